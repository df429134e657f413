package instance

import (
	"errors"
	"fmt"
	"strings"
)

// Code is the stable code of a problem; it decides the HTTP status and the
// NATS error code, in one table.
type Code string

// The codes of this version.
const (
	CodeInvalidRequest   Code = "invalid_request"
	CodeInvalidJSON      Code = "invalid_json"
	CodeUnauthorized     Code = "unauthorized"
	CodeForbidden        Code = "forbidden"
	CodeNotFound         Code = "not_found"
	CodeInstanceNotFound Code = "instance_not_found"
	CodeWebhookNotFound  Code = "webhook_not_found"
	CodeNoQR             Code = "no_qr"
	CodeNoPairingCode    Code = "no_pairing_code"
	CodeMethodNotAllowed Code = "method_not_allowed"
	CodeNameTaken        Code = "name_taken"
	CodeNumberTaken      Code = "number_taken"
	CodeAlreadyLinked    Code = "already_linked"
	CodeConflict         Code = "conflict"
	CodeStillRunning     Code = "still_running"
	CodeEventGone        Code = "event_gone"
	CodeBodyTooLarge     Code = "body_too_large"
	CodeQRTextTooLong    Code = "qr_text_too_long"
	CodeKeyReused        Code = "idempotency_key_reused"
	CodeTooManyRequests  Code = "too_many_requests"
	CodeInternal         Code = "internal_error"
	CodeNotOffered       Code = "not_offered"
	CodeNoOwner          Code = "no_owner"
	CodeUnavailable      Code = "unavailable"
	CodeTimeout          Code = "timeout"
	CodeDraining         Code = "draining"
)

var httpStatus = map[Code]int{
	CodeInvalidRequest: 400, CodeInvalidJSON: 400, CodeQRTextTooLong: 400,
	CodeUnauthorized: 401, CodeForbidden: 403,
	CodeNotFound: 404, CodeInstanceNotFound: 404, CodeWebhookNotFound: 404, CodeNoQR: 404, CodeNoPairingCode: 404,
	CodeMethodNotAllowed: 405,
	CodeNameTaken:        409, CodeNumberTaken: 409, CodeAlreadyLinked: 409, CodeConflict: 409, CodeStillRunning: 409,
	CodeEventGone:    410,
	CodeBodyTooLarge: 413, CodeKeyReused: 422, CodeTooManyRequests: 429,
	CodeInternal: 500, CodeNotOffered: 501,
	CodeNoOwner: 503, CodeUnavailable: 503, CodeDraining: 503, CodeTimeout: 503,
}

// HTTPStatus returns the HTTP status of the code; 500 for a code that is not in the table.
func (c Code) HTTPStatus() int {
	if s, ok := httpStatus[c]; ok {
		return s
	}
	return 500
}

// Codes lists every code.
func Codes() []Code {
	codes := make([]Code, 0, len(httpStatus))
	for c := range httpStatus {
		codes = append(codes, c)
	}
	return codes
}

// FieldError is one bad field of a request.
type FieldError struct {
	// Field is a JSON path such as "webhooks[0].url"; empty for the body as a whole.
	Field   string
	Message string
}

// Problem is an error that a caller is told of. Detail and field messages
// never hold a secret, a phone number or the bad value itself.
type Problem struct {
	Code   Code
	Detail string
	Errors []FieldError
	// RetryAfter is in seconds; 0 when unknown.
	RetryAfter uint32
	// Phase and Reason of the instance, where they explain the refusal.
	Phase  Phase
	Reason Reason
}

// Error returns the code and the detail, and the bad fields by name.
func (p *Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", p.Code, p.Detail)
	for _, e := range p.Errors {
		fmt.Fprintf(&b, "; %s: %s", e.Field, e.Message)
	}
	return b.String()
}

// Problemf makes a problem with a formatted detail.
func Problemf(code Code, format string, args ...any) *Problem {
	return &Problem{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// AsProblem returns the problem that err is or wraps, or an internal error that hides what err says.
func AsProblem(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	return &Problem{Code: CodeInternal, Detail: "Something went wrong on our side; the log has it under the request id."}
}

// FieldErrors collects the bad fields of one request.
type FieldErrors []FieldError

// Add notes a bad field.
func (f *FieldErrors) Add(field, format string, args ...any) {
	*f = append(*f, FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
}

// Err returns nil when no field is bad, else a *Problem with code CodeInvalidRequest that names them all.
func (f FieldErrors) Err() error {
	if len(f) == 0 {
		return nil
	}
	return &Problem{Code: CodeInvalidRequest, Detail: fmt.Sprintf("%d field(s) of the request are missing or wrong.", len(f)), Errors: f}
}
