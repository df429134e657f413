package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"pairgate.dev/pkg/instance"
)

var (
	// errReported ends a command that has said itself what failed.
	errReported    = errors.New("cli: reported")
	errInterrupted = errors.New("interrupted")
)

// usageError is a wrong argument; of is the synopsis that is shown with it.
type usageError struct{ message, of string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) *usageError {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// refusal is an answer of the gateway that is no success.
type refusal struct {
	Status     int
	Code       string
	Detail     string
	Errors     []instance.FieldError
	RetryAfter uint32
	Phase      string
	Reason     string
}

func (r *refusal) Error() string {
	text := r.Detail
	if r.Code != "" {
		text += " (" + r.Code + ")"
	}
	if r.Reason != "" {
		text += fmt.Sprintf("; the instance is %s, %s", r.Phase, r.Reason)
	}
	return text
}

// refused reads the problem in an answer. One that is not the gateway's, say of a
// proxy before it, is told by its status alone.
func refused(status int, body []byte) *refusal {
	var r refusal
	if json.Unmarshal(body, &r) != nil || r.Detail == "" {
		return &refusal{Status: status, Detail: fmt.Sprintf("the answer is %d %s", status, http.StatusText(status))}
	}
	r.Status = status
	return &r
}

func fromProblem(p *instance.Problem) *refusal {
	return &refusal{Status: p.Code.HTTPStatus(), Code: string(p.Code), Detail: p.Detail, Errors: p.Errors, Phase: string(p.Phase), Reason: string(p.Reason)}
}

// report writes why a command failed, with a line for each bad field.
func report(w io.Writer, err error) {
	fmt.Fprintf(w, "pairgate: %s\n", clean(err.Error()))
	if r, ok := errors.AsType[*refusal](err); ok {
		for _, e := range r.Errors {
			fmt.Fprintf(w, "  %s\n", fieldLine(e))
		}
	}
}

func fieldLine(e instance.FieldError) string {
	if e.Field == "" {
		return clean(e.Message)
	}
	return clean(e.Field + ": " + e.Message)
}

// inline is the error and its bad fields in one line.
func inline(err error) string {
	parts := []string{clean(err.Error())}
	if r, ok := errors.AsType[*refusal](err); ok {
		for _, e := range r.Errors {
			parts = append(parts, fieldLine(e))
		}
	}
	return strings.Join(parts, "; ")
}
