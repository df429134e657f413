package web

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
)

const (
	// MaxBody is the size of the largest body that is taken.
	MaxBody = 1 << 20
	// readTimeout is how long a client may take to send a body.
	readTimeout = 30 * time.Second
)

var errTooLarge = instance.Problemf(instance.CodeBodyTooLarge, "The body is larger than 1 MiB.")

// Body reads the whole body of a JSON request; an empty one counts as an empty
// object, as it does over NATS, so that what is missing is named. The error is a problem:
// CodeBodyTooLarge above MaxBody, CodeInvalidRequest for a content type other than
// JSON, CodeInvalidJSON for a body that breaks off.
func Body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > MaxBody {
		return nil, errTooLarge
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, instance.Problemf(instance.CodeInvalidJSON, "The body could not be read to its end.")
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	if len(body) > 0 && !isJSON(r.Header.Get("Content-Type")) {
		return nil, instance.Problemf(instance.CodeInvalidRequest, "The body must be JSON: send the header Content-Type: application/json.")
	}
	if len(body) == 0 {
		body = []byte("{}")
	}
	return body, nil
}

// isJSON accepts JSON types, and no type at all.
func isJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == bus.ContentJSON || strings.HasPrefix(t, "application/") && strings.HasSuffix(t, "+json"))
}

// Decode reads a body into m, strictly, and returns what is wrong with fields of
// it. hidden are fields of m that are none of the body. The error is that of Body,
// or CodeInvalidJSON for broken JSON.
func Decode(w http.ResponseWriter, r *http.Request, m proto.Message, hidden ...string) (instance.FieldErrors, error) {
	body, err := Body(w, r)
	if err != nil {
		return nil, err
	}
	return bus.DecodeStrictFields(body, m, bus.WithoutFields(hidden...))
}
