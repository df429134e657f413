package evolution

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/gateway/internal/web"
)

// failure is an error as Evolution API answers it. The shape of the message depends
// on where the error comes from, and clients index into it.
type failure struct {
	status int
	// text is the name of the error, which is not always that of the status.
	text string
	// message is a text, a list of texts, or a list with one list of texts.
	message    any
	retryAfter uint32
}

// Error implements error.
func (f *failure) Error() string { return "evolution: " + strconv.Itoa(f.status) + " " + f.text }

type envelope struct {
	Status   int    `json:"status"`
	Error    string `json:"error"`
	Response struct {
		Message any `json:"message"`
	} `json:"response"`
}

func (f *failure) write(w http.ResponseWriter) {
	e := envelope{Status: f.status, Error: f.text}
	e.Response.Message = f.message
	if f.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatUint(uint64(f.retryAfter), 10))
	}
	_ = answer(w, f.status, e) // texts alone are always JSON
}

// answer writes a body as the product does: without escapes that JSON does not need.
func answer(w http.ResponseWriter, status int, v any) error {
	body, err := web.PlainJSON(v)
	if err != nil {
		return err
	}
	return web.Bytes(w, status, "application/json; charset=utf-8", body)
}

// exception is an error that the product raises itself: its texts are a list.
func exception(status int, messages ...string) *failure {
	return &failure{status: status, text: http.StatusText(status), message: messages}
}

func badRequest(messages ...string) *failure { return exception(http.StatusBadRequest, messages...) }

// invalid is what the validator says: a list inside a list.
func invalid(messages []string) *failure {
	return &failure{status: http.StatusBadRequest, text: http.StatusText(http.StatusBadRequest), message: [][]string{messages}}
}

var errUnauthorized = &failure{status: http.StatusUnauthorized, text: "Unauthorized", message: "Unauthorized"}

// serverError is what Express calls every error that comes before the routes.
func serverError(status int, message string) *failure {
	return &failure{status: status, text: http.StatusText(http.StatusInternalServerError), message: message}
}

func unknownInstance(name string) *failure {
	return exception(http.StatusNotFound, `The "`+name+`" instance does not exist`)
}

func nameTaken(name string) *failure {
	return exception(http.StatusForbidden, `This name "`+name+`" is already in use.`)
}

func notConnected(name string) *failure {
	return badRequest(`The "` + name + `" instance is not connected`)
}

// unrouted is Express's answer to what no route serves.
func unrouted(r *http.Request) *failure {
	return exception(http.StatusNotFound, "Cannot "+r.Method+" "+r.URL.RequestURI())
}

// asFailure says how an error is answered; ok is false for one that only the log may tell.
func asFailure(err error) (f *failure, ok bool) {
	if f, ok := errors.AsType[*failure](err); ok {
		return f, true
	}
	if p, ok := errors.AsType[*instance.Problem](err); ok {
		return ofProblem(p), true
	}
	return nil, false
}

// fields are the names of bad fields in this product's words.
var fields = strings.NewReplacer(
	"settings.evolution.values.", "", "settings.qr.", "QRCODE_COLOR ", "webhooks[0].", "webhook.",
	"headers.values", "webhook.headers", "formatEvents.kinds", "webhook.events")

// ofProblem says a problem in the shape of this product.
func ofProblem(p *instance.Problem) *failure {
	status := p.Code.HTTPStatus()
	switch p.Code {
	case instance.CodeUnauthorized:
		return errUnauthorized
	case instance.CodeInternal:
		return &failure{status: status, text: http.StatusText(status), message: p.Detail}
	case instance.CodeBodyTooLarge:
		return serverError(status, "request entity too large")
	case instance.CodeConflict, instance.CodeAlreadyLinked, instance.CodeNumberTaken, instance.CodeStillRunning, instance.CodeNotOffered:
		status = http.StatusBadRequest // it has no 409 and no 501
	}
	messages := []string{p.Detail}
	if len(p.Errors) > 0 {
		messages = nil
	}
	for _, e := range p.Errors {
		messages = append(messages, strings.TrimSpace(ourField(e.Field)+": "+e.Message))
	}
	f := exception(status, messages...)
	f.retryAfter = p.RetryAfter
	return f
}

func ourField(field string) string {
	if field == "name" {
		return "instanceName"
	}
	if host, ok := strings.CutPrefix(field, "proxy."); ok {
		return "proxy" + strings.ToUpper(host[:1]) + host[1:]
	}
	return fields.Replace(field)
}
