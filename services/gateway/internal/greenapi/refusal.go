package greenapi

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/gateway/internal/web"
)

// headerCode is the header that tells machines why: the product's own bodies are
// for people, and some are empty.
const headerCode = "X-Error-Code"

const (
	contentText = "text/plain; charset=utf-8"
	contentJSON = "application/json; charset=utf-8"
)

// refusal is an error in the product's own words.
type refusal struct {
	status int
	body   string
	// code is what the header X-Error-Code says.
	code instance.Code
	// json says that the body is JSON; else it is text.
	json       bool
	retryAfter uint32
}

// Error returns the code and the body.
func (e *refusal) Error() string { return string(e.code) + ": " + e.body }

func (e *refusal) write(w http.ResponseWriter) error {
	w.Header().Set(headerCode, string(e.code))
	if e.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatUint(uint64(e.retryAfter), 10))
	}
	if e.body == "" {
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(e.status)
		return nil
	}
	contentType := contentText
	if e.json {
		contentType = contentJSON
	}
	return web.Bytes(w, e.status, contentType, []byte(e.body))
}

// The product's refusals that are made here.
var (
	errNoMethod = &refusal{status: http.StatusNotFound, json: true, code: instance.CodeNotFound,
		body: `{"message":"Not Found","description":"There is no such method, or it is called with another HTTP verb."}`}
	errPrefetch     = &refusal{status: http.StatusForbidden, body: "This method acts; it is not for prefetching.", code: "prefetch_refused"}
	errNumber       = &refusal{status: http.StatusBadRequest, body: "Parameter idInstance not an integer", code: instance.CodeInvalidRequest}
	errNoToken      = &refusal{status: http.StatusBadRequest, body: "Parameter apiTokenInstance not define", code: instance.CodeInvalidRequest}
	errReceipt      = &refusal{status: http.StatusBadRequest, body: "Parameter receiptId must be a Number", code: instance.CodeInvalidRequest}
	errBadData      = &refusal{status: http.StatusBadRequest, body: "bad request data", code: instance.CodeInvalidJSON}
	errUnauthorized = &refusal{status: http.StatusUnauthorized, code: instance.CodeUnauthorized}
	errUnknown      = &refusal{status: http.StatusForbidden, body: "403 Forbidden", code: instance.CodeInstanceNotFound}
	errDeleted      = &refusal{status: http.StatusBadRequest, body: "Instance is deleted", code: "instance_deleted"}
	errTooMany      = &refusal{status: http.StatusTooManyRequests, code: instance.CodeTooManyRequests, retryAfter: 1}
	errTooLarge     = &refusal{status: http.StatusInternalServerError, body: "request entity too large", code: instance.CodeBodyTooLarge}
)

func notOffered(name string) *refusal {
	return &refusal{status: http.StatusNotFound, json: true, code: instance.CodeNotOffered,
		body: `{"message":"Not Found","description":"This server does not offer the method ` + name + `; it is for linking, states, settings and notifications."}`}
}

// invalid is the product's answer to bad fields, all of them named.
func invalid(f instance.FieldErrors) *refusal {
	if len(f) == 0 {
		return errBadData
	}
	details := make([]string, len(f))
	for i, e := range f {
		details[i] = e.Message
		if e.Field != "" {
			details[i] = "'" + e.Field + "' " + e.Message
		}
	}
	return &refusal{status: http.StatusBadRequest, code: instance.CodeInvalidRequest,
		body: "Validation failed. Details: " + strings.Join(details, "; ")}
}

// fail answers a problem, of the registry for the most part, in the product's words.
func fail(w http.ResponseWriter, _ *http.Request, p *instance.Problem) {
	_ = refusalOf(p).write(w) // it has no error
}

func refusalOf(p *instance.Problem) *refusal {
	out := &refusal{status: p.Code.HTTPStatus(), body: p.Detail, code: p.Code, retryAfter: p.RetryAfter}
	switch {
	case p.Code == instance.CodeInvalidRequest:
		return invalid(slices.Clone(p.Errors))
	case p.Code == instance.CodeInvalidJSON:
		return errBadData
	case p.Code == instance.CodeBodyTooLarge:
		return errTooLarge
	case p.Code == instance.CodeUnauthorized:
		return errUnauthorized
	case p.Code == instance.CodeInstanceNotFound || p.Code == instance.CodeForbidden:
		return errUnknown
	case p.Code == instance.CodeTooManyRequests:
		return errTooMany
	case p.Code == instance.CodeNotFound || p.Code == instance.CodeMethodNotAllowed:
		return errNoMethod
	case out.status == http.StatusServiceUnavailable:
		// What these clients are told to try again.
		out.status = http.StatusBadGateway
	case out.status >= http.StatusInternalServerError:
		out.status, out.body = http.StatusInternalServerError, "Internal Server Error"
	default:
		out.status = http.StatusBadRequest
	}
	return out
}
