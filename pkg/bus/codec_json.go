package bus

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"pairgate.dev/pkg/instance"
)

// maxDepth bounds how deep a request may nest; none of ours needs more than five.
const maxDepth = 32

// A JSON value is one of: jsonObject, []any, json.Number, string, bool, nil.
// jsonObject keeps members in order, and with their duplicates.
type jsonObject []jsonMember

type jsonMember struct {
	name  string
	value any
}

// parseJSON parses a whole body. The error is a *instance.Problem with CodeInvalidJSON.
func parseJSON(body []byte) (any, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, instance.Problemf(instance.CodeInvalidJSON, "The body is empty; send a JSON object.")
	}
	if at := invalidUTF8(body); at >= 0 {
		return nil, instance.Problemf(instance.CodeInvalidJSON, "The body is not UTF-8 text: the byte at offset %d is no part of a character.", at)
	}
	// Scanning the whole first gives exact offsets, and finds what follows the value.
	if err := json.Unmarshal(body, new(json.RawMessage)); err != nil {
		return nil, brokenJSON(body, err)
	}
	if at := loneSurrogate(body); at >= 0 {
		return nil, instance.Problemf(instance.CodeInvalidJSON, "The JSON is broken at byte %d: half of a surrogate pair.", at)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	v, err := parseValue(dec, 0)
	if errors.Is(err, errTooDeep) {
		return nil, instance.Problemf(instance.CodeInvalidJSON, "The JSON nests deeper than %d levels at byte %d.", maxDepth, dec.InputOffset())
	}
	if err != nil {
		return nil, brokenJSON(body, err)
	}
	return v, nil
}

var errTooDeep = errors.New("too deep")

func parseValue(dec *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch tok {
	case json.Delim('{'):
		object := jsonObject{}
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return nil, err
			}
			value, err := parseValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			text, _ := name.(string)
			object = append(object, jsonMember{text, value})
		}
		_, err = dec.Token()
		return object, err
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			value, err := parseValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		_, err = dec.Token()
		return list, err
	}
	return tok, nil
}

// brokenJSON tells where the JSON breaks, without the text that is there.
func brokenJSON(body []byte, err error) error {
	at := int64(len(body))
	what := "it ends too early"
	if se, ok := errors.AsType[*json.SyntaxError](err); ok && !errors.Is(err, io.ErrUnexpectedEOF) && se.Offset > 0 && !endsEarly(se) {
		// The offset counts the bytes read, the offending one included.
		at, what = se.Offset-1, "that character cannot stand there"
	}
	return instance.Problemf(instance.CodeInvalidJSON, "The JSON is broken at byte %d: %s.", at, what)
}

func endsEarly(err *json.SyntaxError) bool { return err.Error() == "unexpected end of JSON input" }

func invalidUTF8(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// loneSurrogate returns the offset of an escaped half of a surrogate pair, or
// -1. The body is valid JSON, so every backslash begins an escape in a string.
func loneSurrogate(b []byte) int {
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		if b[i+1] != 'u' {
			i++
			continue
		}
		switch unit := hex4(b[i+2:]); {
		case 0xDC00 <= unit && unit <= 0xDFFF:
			return i
		case 0xD800 <= unit && unit <= 0xDBFF:
			if i+12 > len(b) || b[i+6] != '\\' || b[i+7] != 'u' {
				return i
			}
			if low := hex4(b[i+8:]); low < 0xDC00 || low > 0xDFFF {
				return i
			}
			i += 11
		default:
			i += 5
		}
	}
	return -1
}

func hex4(b []byte) (n int) {
	for _, c := range b[:4] {
		n <<= 4
		switch {
		case c <= '9':
			n |= int(c - '0')
		default:
			n |= int(c|0x20-'a') + 10
		}
	}
	return n
}
