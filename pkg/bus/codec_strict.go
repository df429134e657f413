package bus

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

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
