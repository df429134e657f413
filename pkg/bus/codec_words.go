package bus

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

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
