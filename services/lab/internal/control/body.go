package control

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"

	"pairgate.dev/pkg/instance"
)

// maxBody is the largest JSON body, in bytes.
const maxBody = 64 << 10

// body is a JSON object whose fields are taken out one by one; what is wrong with
// them is collected, so that one answer names all.
type body struct {
	fields map[string]json.RawMessage
	bad    instance.FieldErrors
}

// readBody reads the request's object. An empty body is an empty object where that is allowed.
func readBody(r *http.Request, emptyAllowed bool) (*body, error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, tooLargeOr(err)
	}
	return parseBody(raw, emptyAllowed)
}

func tooLargeOr(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return instance.Problemf(instance.CodeBodyTooLarge, "The body is too large.")
	}
	return instance.Problemf(instance.CodeInvalidRequest, "The body could not be read.")
}

func parseBody(raw []byte, emptyAllowed bool) (*body, error) {
	b := &body{fields: map[string]json.RawMessage{}}
	if len(raw) == 0 && emptyAllowed {
		return b, nil
	}
	if err := json.Unmarshal(raw, &b.fields); err != nil || b.fields == nil {
		return nil, instance.Problemf(instance.CodeInvalidJSON, "The body must be one JSON object.")
	}
	return b, nil
}

// take moves the field to v, if it is there and not null, and says whether it was
// there and right. what names the type for people.
func take[T any](b *body, field, what string, v *T) bool {
	raw, ok := b.fields[field]
	delete(b.fields, field)
	if !ok || string(raw) == "null" {
		return false
	}
	if json.Unmarshal(raw, v) != nil {
		b.bad.Add(field, "must be %s", what)
		return false
	}
	return true
}

// done returns nil, or the problem that names every bad and every unknown field.
func (b *body) done() error {
	for _, field := range slices.Sorted(maps.Keys(b.fields)) {
		b.bad.Add(field, "there is no such field")
	}
	return b.bad.Err()
}
