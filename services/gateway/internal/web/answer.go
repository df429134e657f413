package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/service"
)

// writeTimeout is how long a client may take to read an answer that is written at once.
const writeTimeout = 30 * time.Second

// recorder notes what was answered.
type recorder struct {
	http.ResponseWriter
	route  string
	status int
	mount  *Mount // that serves it; nil for none
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// JSON answers a protobuf message in its JSON mapping.
func JSON(w http.ResponseWriter, status int, m proto.Message) error {
	body, err := bus.EncodeJSON(m)
	if err != nil {
		return err
	}
	return Bytes(w, status, bus.ContentJSON, body)
}

// Object is a JSON object whose members were encoded before.
type Object map[string]json.RawMessage

// ObjectOf returns the JSON mapping of a message, member by member.
func ObjectOf(m proto.Message) (Object, error) {
	body, err := bus.EncodeJSON(m)
	if err != nil {
		return nil, err
	}
	var o Object
	return o, json.Unmarshal(body, &o)
}

// Write answers the object.
func (o Object) Write(w http.ResponseWriter, status int) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return Bytes(w, status, bus.ContentJSON, body)
}

// Bytes answers a whole body. No answer of the gateway may be kept by caches:
// each is of a moment, and many hold secrets. A client that has gone is no error.
func Bytes(w http.ResponseWriter, status int, contentType string, body []byte) error {
	// Without a deadline, who does not read would hold the connection for ever.
	// Writers that know none, in tests, are no matter.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body)
	return nil
}

// NoContent answers 204.
func NoContent(w http.ResponseWriter) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// fail answers an error. One that is no problem is logged and hidden.
func (rt *Router) fail(w http.ResponseWriter, r *http.Request, err error) {
	p, ok := errors.AsType[*instance.Problem](err)
	switch {
	case ok:
	case r.Context().Err() != nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		p = &instance.Problem{Code: instance.CodeTimeout, Detail: "The request could not be finished in time; it may have been carried out.", RetryAfter: 1}
	default:
		rt.log.Error("request failed", service.RequestID(bus.RequestID(r.Context())), service.TraceID(r.Context()), zap.Error(err))
		p = instance.AsProblem(err)
	}
	rt.problem(w, r, p)
}

func (rt *Router) problem(w http.ResponseWriter, r *http.Request, p *instance.Problem) {
	if rec, ok := w.(*recorder); ok && rec.status != 0 {
		// The answer has begun; the client learns by its end that something went wrong.
		panic(http.ErrAbortHandler)
	} else if ok && rec.mount != nil {
		rec.mount.Fail(w, r, p)
		return
	}
	body, err := bus.EncodeJSON(bus.ProblemToProto(p))
	if err != nil {
		rt.log.Error("problem not encoded", service.RequestID(bus.RequestID(r.Context())), service.TraceID(r.Context()), zap.Error(err))
		body = []byte("{}")
	}
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatUint(uint64(p.RetryAfter), 10))
	}
	if p.Code == instance.CodeUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="pairgate"`)
	}
	_ = Bytes(w, p.Code.HTTPStatus(), bus.ContentProblemJSON, body) // it has no error
}

func start() time.Time { return time.Now() }

// finish is deferred around a request: it answers a panic, counts and logs.
func (rt *Router) finish(rec *recorder, r *http.Request, began time.Time) {
	v := recover()
	aborted := v == http.ErrAbortHandler
	if v != nil && !aborted {
		rt.logPanic(r, v)
		aborted = rec.status != 0
		if !aborted {
			rt.problem(rec, r, instance.AsProblem(errPanicked))
		}
	}
	if rec.status == 0 {
		rec.status = http.StatusOK // the server sends it for a handler that wrote nothing
	}
	took := time.Since(began)
	rt.metrics.observe(rec.route, r.Method, rec.status, took)
	if entry := rt.log.Check(zap.DebugLevel, "request served"); entry != nil {
		entry.Write(service.RequestID(bus.RequestID(r.Context())), service.TraceID(r.Context()), zap.String("method", methodLabel(r.Method)),
			zap.String("route", rec.route), zap.Int("status", rec.status), zap.Duration("took", took))
	}
	if aborted {
		panic(http.ErrAbortHandler)
	}
}

var errPanicked = errors.New("web: a handler panicked")

// logPanic names the value only when the runtime made it: any other may hold what a user sent.
func (rt *Router) logPanic(r *http.Request, v any) {
	what := "a value that is not shown"
	if re, ok := v.(runtime.Error); ok {
		what = re.Error()
	}
	rt.log.Error("handler panicked", service.RequestID(bus.RequestID(r.Context())), service.TraceID(r.Context()),
		zap.String("panic", what), zap.ByteString("stack", debug.Stack()))
}
