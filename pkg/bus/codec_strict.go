package bus

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"pairgate.dev/pkg/instance"
)

// maxFieldErrors bounds the answer to a body made of errors; the last says how many more there are.
const maxFieldErrors = 256

// strict walks a JSON value beside the descriptor of a message. It collects what
// is bad and builds what is good, in Go values that encode to JSON.
type strict struct {
	errors  instance.FieldErrors
	omitted int
	hidden  []string
}

func (s *strict) add(path, format string, args ...any) {
	if len(s.errors) >= maxFieldErrors {
		s.omitted++
		return
	}
	s.errors.Add(path, format, args...)
}

func (s *strict) fieldErrors() instance.FieldErrors {
	if s.omitted > 0 {
		s.errors.Add("", "%d more fields are wrong", s.omitted)
		s.omitted = 0
	}
	return s.errors
}

// refuse is the answer where the protobuf library refuses what the walk accepted.
func refuse(desc protoreflect.MessageDescriptor) error {
	return instance.Problemf(instance.CodeInvalidRequest, "The body is no %s in the protobuf JSON mapping.", desc.Name())
}

func encodeClean(v any) ([]byte, error) { return json.Marshal(v) }

// message checks an object. ok is false when v is no object.
func (s *strict) message(path string, desc protoreflect.MessageDescriptor, v any) (clean any, ok bool) {
	object, isObject := v.(jsonObject)
	if !isObject {
		s.add(path, "must be an object, not %s", typeName(v))
		return nil, false
	}
	out := map[string]any{}
	oneofs := map[protoreflect.Name]bool{}
	seen := make(map[string]int, len(object))
	for _, m := range object {
		at := join(path, m.name)
		if s.repeated(at, seen, m.name) {
			delete(out, m.name)
			continue
		}
		field := desc.Fields().ByJSONName(m.name)
		if field == nil || path == "" && slices.Contains(s.hidden, m.name) {
			s.add(at, "unknown field%s", s.hint(path, desc, m.name))
			continue
		}
		if m.value == nil {
			continue // null is absent
		}
		if o := field.ContainingOneof(); o != nil && !o.IsSynthetic() {
			if oneofs[o.Name()] {
				s.add(at, "only one of %s may be given", alternatives(o))
				continue
			}
			oneofs[o.Name()] = true
		}
		if value, good := s.field(at, field, m.value); good {
			out[m.name] = value
		}
	}
	return out, true
}

// repeated says whether the name has stood in the object before, and complains
// of it once.
func (s *strict) repeated(path string, seen map[string]int, name string) bool {
	seen[name]++
	if seen[name] == 2 {
		s.add(path, "stands there more than once")
	}
	return seen[name] > 1
}

// hint names the field that was meant, where only the spelling differs.
func (s *strict) hint(path string, desc protoreflect.MessageDescriptor, name string) string {
	fields := desc.Fields()
	squeeze := strings.NewReplacer("_", "", "-", "")
	for i := range fields.Len() {
		meant := fields.Get(i).JSONName()
		if path == "" && slices.Contains(s.hidden, meant) || meant == name {
			continue
		}
		if strings.EqualFold(squeeze.Replace(name), meant) {
			return "; did you mean " + meant + "?"
		}
	}
	return ""
}

func (s *strict) field(path string, field protoreflect.FieldDescriptor, v any) (clean any, ok bool) {
	switch {
	case field.IsMap():
		return s.mapping(path, field, v)
	case field.IsList():
		return s.list(path, field, v)
	default:
		return s.single(path, field, v)
	}
}

func (s *strict) list(path string, field protoreflect.FieldDescriptor, v any) (clean any, ok bool) {
	list, isList := v.([]any)
	if !isList {
		s.add(path, "must be a list, not %s", typeName(v))
		return nil, false
	}
	out := make([]any, len(list))
	for i, element := range list {
		at := path + "[" + strconv.Itoa(i) + "]"
		value, good := any(nil), false
		if element == nil {
			s.add(at, "must be %s, not null", wanted(field))
		} else {
			value, good = s.single(at, field, element)
		}
		if !good {
			value = placeholder(field)
		}
		out[i] = value
	}
	return out, true
}

func (s *strict) mapping(path string, field protoreflect.FieldDescriptor, v any) (clean any, ok bool) {
	object, isObject := v.(jsonObject)
	if !isObject {
		s.add(path, "must be an object, not %s", typeName(v))
		return nil, false
	}
	key, value := field.MapKey(), field.MapValue()
	out := map[string]any{}
	seen := make(map[string]int, len(object))
	for _, m := range object {
		at := join(path, m.name)
		if s.repeated(at, seen, m.name) {
			delete(out, m.name)
			continue
		}
		if !mapKeyOK(key, m.name) {
			s.add(at, "the name must be %s", wanted(key))
			continue
		}
		if m.value == nil {
			s.add(at, "must be %s, not null", wanted(value))
			continue
		}
		if element, good := s.single(at, value, m.value); good {
			out[m.name] = element
		}
	}
	return out, true
}

// single checks one value that is neither null nor repeated.
func (s *strict) single(path string, field protoreflect.FieldDescriptor, v any) (clean any, ok bool) {
	if field.Message() != nil && !wellKnown(field.Message()) {
		return s.message(path, field.Message(), v)
	}
	if complaint := scalar(field, v); complaint != "" {
		s.add(path, "%s", complaint)
		return nil, false
	}
	return v, true
}

// scalar returns what is wrong with a value, or "". It never repeats the value.
func scalar(field protoreflect.FieldDescriptor, v any) string {
	number, isNumber := v.(json.Number)
	text, isText := v.(string)
	mustBe := "must be " + wanted(field) + ", not " + typeName(v)
	switch field.Kind() {
	case protoreflect.BoolKind:
		if _, isBool := v.(bool); !isBool {
			return mustBe
		}
	case protoreflect.StringKind:
		if !isText {
			return mustBe
		}
	case protoreflect.BytesKind:
		if !isText {
			return mustBe
		}
		if !validBase64(text) {
			return "must be base64"
		}
	case protoreflect.EnumKind:
		if !isText {
			return mustBe
		}
		if field.Enum().Values().ByName(protoreflect.Name(text)) == nil {
			return "must be " + wanted(field)
		}
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		if !isNumber {
			return mustBe
		}
		if _, err := strconv.ParseFloat(number.String(), bits(field.Kind())); err != nil {
			return "is out of range"
		}
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return checkWellKnown(field.Message(), v, mustBe)
	default:
		literal := number.String()
		if isText && bits(field.Kind()) == 64 {
			literal = text
		} else if !isNumber {
			return mustBe
		}
		return checkInteger(field.Kind(), literal)
	}
	return ""
}

func checkInteger(kind protoreflect.Kind, literal string) string {
	digits, negative := strings.CutPrefix(literal, "-")
	if whole, fraction, found := strings.Cut(digits, "."); found && fraction != "" && strings.Trim(fraction, "0") == "" {
		digits = whole
	}
	if !decimal(digits) {
		return "must be a whole number in decimal digits"
	}
	switch kind {
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		if negative {
			return "must not be negative"
		}
		if _, err := strconv.ParseUint(digits, 10, bits(kind)); err != nil {
			return "is too large"
		}
	default:
		if negative {
			digits = "-" + digits
		}
		if _, err := strconv.ParseInt(digits, 10, bits(kind)); err != nil {
			return "is out of range"
		}
	}
	return ""
}

// decimal says whether s is a JSON integer without sign.
func decimal(s string) bool {
	if s == "" || len(s) > 1 && s[0] == '0' {
		return false
	}
	return strings.Trim(s, "0123456789") == ""
}

func bits(kind protoreflect.Kind) int {
	switch kind {
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind, protoreflect.Uint64Kind,
		protoreflect.Fixed64Kind, protoreflect.DoubleKind:
		return 64
	}
	return 32
}

// validBase64 accepts what the protobuf JSON mapping does: both alphabets, with or without padding.
func validBase64(s string) bool {
	enc := base64.StdEncoding
	if strings.ContainsAny(s, "-_") {
		enc = base64.URLEncoding
	}
	if len(s)%4 != 0 {
		enc = enc.WithPadding(base64.NoPadding)
	}
	_, err := enc.DecodeString(s)
	return err == nil
}

func wellKnown(desc protoreflect.MessageDescriptor) bool {
	return desc.ParentFile().Package() == "google.protobuf"
}

// checkWellKnown leaves types such as Timestamp to the library that knows them.
func checkWellKnown(desc protoreflect.MessageDescriptor, v any, mustBe string) string {
	if _, isText := v.(string); !isText && (desc.Name() == "Timestamp" || desc.Name() == "Duration") {
		return mustBe
	}
	typ, err := protoregistry.GlobalTypes.FindMessageByName(desc.FullName())
	if err != nil {
		return "cannot be given"
	}
	raw, err := encodeClean(plain(v))
	if err != nil || protojson.Unmarshal(raw, typ.New().Interface()) != nil {
		return "must be " + wantedMessage(desc)
	}
	return ""
}

// plain turns parsed JSON into values that encode to the same JSON again.
func plain(v any) any {
	switch v := v.(type) {
	case jsonObject:
		out := map[string]any{}
		for _, m := range v {
			out[m.name] = plain(m.value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = plain(element)
		}
		return out
	}
	return v
}

func mapKeyOK(key protoreflect.FieldDescriptor, name string) bool {
	switch key.Kind() {
	case protoreflect.StringKind:
		return true
	case protoreflect.BoolKind:
		return name == "true" || name == "false"
	default:
		return checkInteger(key.Kind(), name) == "" && !strings.Contains(name, ".")
	}
}

// placeholder keeps the place of a bad element of a list.
func placeholder(field protoreflect.FieldDescriptor) any {
	switch {
	case field.Message() != nil && wellKnown(field.Message()):
		return zeroWellKnown[field.Message().Name()]
	case field.Message() != nil:
		return map[string]any{}
	case field.Kind() == protoreflect.BoolKind:
		return false
	case field.Kind() == protoreflect.StringKind, field.Kind() == protoreflect.BytesKind:
		return ""
	case field.Kind() == protoreflect.EnumKind:
		return string(field.Enum().Values().Get(0).Name())
	}
	return 0
}

var zeroWellKnown = map[protoreflect.Name]any{"Timestamp": "1970-01-01T00:00:00Z", "Duration": "0s"}

// wanted says in words what a value of the field looks like.
func wanted(field protoreflect.FieldDescriptor) string {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.StringKind:
		return "a string"
	case protoreflect.BytesKind:
		return "a string of base64"
	case protoreflect.EnumKind:
		values := field.Enum().Values()
		names := make([]string, values.Len())
		for i := range names {
			names[i] = string(values.Get(i).Name())
		}
		return "one of " + strings.Join(names, ", ")
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return wantedMessage(field.Message())
	}
	return "a number"
}

func wantedMessage(desc protoreflect.MessageDescriptor) string {
	if !wellKnown(desc) {
		return "an object"
	}
	switch desc.Name() {
	case "Timestamp":
		return "a time such as 2026-01-02T15:04:05Z"
	case "Duration":
		return "a duration such as 1.5s"
	}
	return "a " + string(desc.Name())
}

func alternatives(o protoreflect.OneofDescriptor) string {
	names := make([]string, o.Fields().Len())
	for i := range names {
		names[i] = o.Fields().Get(i).JSONName()
	}
	return strings.Join(names, ", ")
}

func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	case jsonObject:
		return "an object"
	}
	return fmt.Sprintf("%T", v)
}

// maxNameInPath bounds a name that the sender chose.
const maxNameInPath = 64

// join adds a name to a path. A name that is not plain is quoted in brackets, so
// that a path cannot be mistaken for another.
func join(path, name string) string {
	if plainName(name) {
		if path == "" {
			return name
		}
		return path + "." + name
	}
	if len(name) > maxNameInPath {
		name = strings.ToValidUTF8(name[:maxNameInPath], "") + "…"
	}
	return path + "[" + strconv.Quote(name) + "]"
}

func plainName(name string) bool {
	for _, r := range name {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-') {
			return false
		}
	}
	return name != "" && len(name) <= maxNameInPath
}
