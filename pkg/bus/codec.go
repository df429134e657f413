package bus

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/instance"
)

var (
	jsonOut     = protojson.MarshalOptions{EmitDefaultValues: true}
	jsonLenient = protojson.UnmarshalOptions{DiscardUnknown: true}
	jsonStrict  = protojson.UnmarshalOptions{}
	binaryIn    = proto.UnmarshalOptions{DiscardUnknown: true}
)

// EncodeJSON returns m in the protobuf JSON mapping: camel-case names, default
// values included, absent messages left out, 64-bit numbers as decimal strings.
// The bytes are not stable between versions: sign and hash what is sent, never
// what is encoded again.
func EncodeJSON(m proto.Message) ([]byte, error) {
	b, err := jsonOut.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("bus: encoding %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return b, nil
}

// DecodeJSON decodes an event, a reply or a stored record into m, which is reset
// first. Unknown fields are ignored, so that newer peers can add some.
func DecodeJSON(body []byte, m proto.Message) error {
	if err := jsonLenient.Unmarshal(body, m); err != nil {
		// The library's text may hold a piece of the body.
		return fmt.Errorf("bus: the bytes are no JSON of a %s", m.ProtoReflect().Descriptor().Name())
	}
	return nil
}

// DecodeStrict decodes a user's JSON request into m, which is reset first. The
// error is nil or a *instance.Problem: CodeInvalidJSON for an empty body or broken
// JSON, with the byte where it breaks; CodeInvalidRequest naming every unknown
// field, every duplicate and every value of a wrong type or range, by JSON path.
// No text of it holds a value of the body.
//
// Only the camel-case JSON names are accepted; null means absent; 64-bit numbers
// may be numbers or decimal strings.
func DecodeStrict(body []byte, m proto.Message, opts ...DecodeOption) error {
	fields, err := DecodeStrictFields(body, m, opts...)
	if err != nil {
		return err
	}
	return fields.Err()
}

// DecodeStrictFields is DecodeStrict for callers that go on to validate: the bad
// fields are returned apart from err, and m holds the good ones. A bad element
// of a list keeps its place, empty, so that paths of later ones stay right. When
// err is not nil, m is empty.
func DecodeStrictFields(body []byte, m proto.Message, opts ...DecodeOption) (instance.FieldErrors, error) {
	proto.Reset(m)
	var cfg decodeConfig
	for _, opt := range opts {
		opt(&cfg)
	}
	root, err := parseJSON(body)
	if err != nil {
		return nil, err
	}
	s := strict{hidden: cfg.hidden}
	desc := m.ProtoReflect().Descriptor()
	clean, ok := s.message("", desc, root)
	if !ok {
		return s.fieldErrors(), nil
	}
	if len(s.errors) == 0 {
		if err := jsonStrict.Unmarshal(body, m); err != nil {
			proto.Reset(m)
			return nil, refuse(desc)
		}
		return nil, nil
	}
	good, err := encodeClean(clean)
	if err == nil {
		err = jsonStrict.Unmarshal(good, m)
	}
	if err != nil {
		proto.Reset(m)
	}
	return s.fieldErrors(), nil
}

// DecodeAndValidate decodes a user's JSON request strictly, validates what is
// good of it, and returns one *instance.Problem that names every bad field of
// both. validate may be nil. Where decoding found a field bad, what validate says
// of it or of what is inside it is left out.
func DecodeAndValidate[M proto.Message](body []byte, m M, validate func(M) instance.FieldErrors, opts ...DecodeOption) error {
	bad, err := DecodeStrictFields(body, m, opts...)
	if err != nil {
		return err
	}
	if validate == nil {
		return bad.Err()
	}
	return MergeFieldErrors(bad, validate(m)).Err()
}

// MergeFieldErrors returns the errors of decoding and those of validation that
// are not of a field, or inside a field, that decoding found bad.
func MergeFieldErrors(decoding, validation instance.FieldErrors) instance.FieldErrors {
	merged := append(instance.FieldErrors(nil), decoding...)
	for _, v := range validation {
		if !covered(decoding, v.Field) {
			merged = append(merged, v)
		}
	}
	return merged
}

func covered(decoding instance.FieldErrors, field string) bool {
	for _, d := range decoding {
		if within(field, d.Field) {
			return true
		}
	}
	return false
}

// within says whether path is parent or lies inside it.
func within(path, parent string) bool {
	if parent == "" || path == parent {
		return true
	}
	return len(path) > len(parent) && path[:len(parent)] == parent && (path[len(parent)] == '.' || path[len(parent)] == '[')
}

// DecodeOption changes what DecodeStrict accepts.
type DecodeOption func(*decodeConfig)

type decodeConfig struct{ hidden []string }

// WithoutFields makes top-level fields of the message unknown, by their JSON
// names: over HTTP, what stands in the route or in a header is no field of the body.
func WithoutFields(names ...string) DecodeOption {
	return func(c *decodeConfig) { c.hidden = append(c.hidden, names...) }
}

// decodeBinary decodes a binary request; unknown fields are discarded.
func decodeBinary(body []byte, m proto.Message) error {
	if err := binaryIn.Unmarshal(body, m); err != nil {
		return instance.Problemf(instance.CodeInvalidRequest, "The body is not a protobuf message of type %s.",
			m.ProtoReflect().Descriptor().FullName())
	}
	return nil
}
