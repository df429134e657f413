package web

import (
	"bytes"
	"encoding/json"
)

// PlainJSON encodes a value as JavaScript does, in which "<" and "&" stay what they
// are, and without a line break at its end: clients of imitated products compare
// whole bodies.
func PlainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
