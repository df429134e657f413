package bus

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

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
