package evolution

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"pairgate.dev/services/gateway/internal/web"
)

// readTimeout is how long a client may take to send a body.
const readTimeout = 30 * time.Second

// body is what a request carries: an object. What is no object counts as an empty one.
type body struct {
	value map[string]any
	// raw is the object as it was sent, without the space between its parts.
	raw json.RawMessage
}

// body reads the body as the product does: JSON, or a form; any other type counts as
// nothing sent. Without a type it is read as JSON. The error is a failure.
func (c *call) body() (body, error) {
	empty := body{value: map[string]any{}, raw: json.RawMessage("{}")}
	control := http.NewResponseController(c.w)
	// Writers without deadlines, in tests, are no matter.
	_ = control.SetReadDeadline(time.Now().Add(readTimeout))
	data, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, web.MaxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return empty, serverError(http.StatusRequestEntityTooLarge, "request entity too large")
	}
	if err != nil {
		return empty, serverError(http.StatusBadRequest, "request aborted")
	}
	_ = control.SetReadDeadline(time.Time{})
	if len(bytes.TrimSpace(data)) == 0 {
		return empty, nil
	}
	switch kind(c.r.Header.Get("Content-Type")) {
	case "", "application/json":
		return fromJSON(data)
	case "application/x-www-form-urlencoded":
		return fromForm(data)
	}
	return empty, nil
}

func kind(contentType string) string {
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return contentType
	}
	return t
}

func fromJSON(data []byte) (body, error) {
	b := body{value: map[string]any{}, raw: json.RawMessage("{}")}
	var value any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	err := d.Decode(&value)
	if err == nil {
		_, err = d.Token()
	}
	if !errors.Is(err, io.EOF) {
		return b, serverError(http.StatusBadRequest, "The body is not valid JSON.")
	}
	object, ok := value.(map[string]any)
	if !ok {
		if _, list := value.([]any); list {
			return b, nil
		}
		return b, serverError(http.StatusBadRequest, "The body must be a JSON object.")
	}
	b.value = object
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err == nil {
		b.raw = compact.Bytes()
	}
	return b, nil
}

// fromForm reads the fields of a form, each of which is a text.
func fromForm(data []byte) (body, error) {
	b := body{value: map[string]any{}}
	values, err := url.ParseQuery(string(data))
	if err != nil {
		return b, serverError(http.StatusBadRequest, "The body is not a valid form.")
	}
	mergeQuery(b.value, values)
	b.raw, err = web.PlainJSON(b.value)
	return b, err
}

// mergeQuery adds the parameters that the object does not have.
func mergeQuery(object map[string]any, values url.Values) {
	for name, texts := range values {
		if _, has := object[name]; !has && len(texts) > 0 {
			object[name] = texts[0]
		}
	}
}

func text(object map[string]any, name string) string {
	s, _ := object[name].(string)
	return s
}

// first returns the value of the first of the names that the object has.
func first(object map[string]any, names ...string) (any, bool) {
	for _, name := range names {
		if v, ok := object[name]; ok {
			return v, true
		}
	}
	return nil, false
}
