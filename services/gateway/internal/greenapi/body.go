package greenapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"pairgate.dev/services/gateway/internal/web"
)

const (
	// maxBody is the size from which the product refuses a body.
	maxBody     = 100 << 10
	readTimeout = 30 * time.Second
)

// object is a JSON object as it was sent.
type object map[string]json.RawMessage

// readObject reads the body of a request, whatever its method and content type; an
// empty one is an empty object. The error is a refusal.
func readObject(w http.ResponseWriter, r *http.Request) (object, error) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTimeout)) // writers in tests know none
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, errBadData
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return parseObject(body)
}

func parseObject(body []byte) (object, error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return object{}, nil
	}
	var o object
	if err := json.Unmarshal(body, &o); err != nil || o == nil {
		return nil, errBadData
	}
	return o, nil
}

// has says whether the member is there and is not null.
func (o object) has(name string) bool {
	v, ok := o[name]
	return ok && string(v) != "null"
}

// text reads a member that must be a string.
func (o object) text(name string) (string, bool) {
	var s string
	ok := len(o[name]) > 0 && o[name][0] == '"' && json.Unmarshal(o[name], &s) == nil
	return s, ok
}

// integer reads a member that must be a whole number without a sign; clients send
// it as a number or as its digits.
func (o object) integer(name string) (uint64, bool) {
	digits, ok := o.text(name)
	if !ok {
		digits = string(o[name])
	}
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil
}

// answer answers a JSON value as encoding/json writes it, without a line break at
// its end: clients compare whole bodies.
func answer(w http.ResponseWriter, v any) error {
	body, err := web.PlainJSON(v)
	if err != nil {
		return err
	}
	return web.Bytes(w, http.StatusOK, contentJSON, body)
}
