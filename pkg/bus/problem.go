package bus

import (
	"net/http"
	"strings"

	pb "pairgate.dev/proto/pairgate/v1"

	"pairgate.dev/pkg/instance"
)

// problemType is the first part of a problem's type, a URN; the code follows.
const problemType = "urn:pairgate:problem:"

// ProblemToProto returns the problem as it goes over the wire, on HTTP and NATS
// alike: type, title and status are derived from the code.
func ProblemToProto(p *instance.Problem) *pb.Problem {
	out := &pb.Problem{
		Type:       problemType + string(p.Code),
		Title:      title(p.Code),
		Status:     uint32(p.Code.HTTPStatus()),
		Detail:     p.Detail,
		Code:       string(p.Code),
		RetryAfter: p.RetryAfter,
		Phase:      string(p.Phase),
		Reason:     string(p.Reason),
	}
	for _, e := range p.Errors {
		out.Errors = append(out.Errors, &pb.FieldError{Field: e.Field, Message: e.Message})
	}
	return out
}

// ProblemFromProto undoes ProblemToProto. A code that this version does not know
// is replaced by one with the same status, so that the caller's status stays right.
func ProblemFromProto(p *pb.Problem) *instance.Problem {
	out := &instance.Problem{
		Code:       knownCode(instance.Code(p.GetCode()), int(p.GetStatus())),
		Detail:     p.GetDetail(),
		RetryAfter: p.GetRetryAfter(),
		Phase:      instance.Phase(p.GetPhase()),
		Reason:     instance.Reason(p.GetReason()),
	}
	for _, e := range p.GetErrors() {
		out.Errors = append(out.Errors, instance.FieldError{Field: e.GetField(), Message: e.GetMessage()})
	}
	return out
}

// generic are the codes that stand for a status when nothing better is known.
var generic = map[int]instance.Code{
	400: instance.CodeInvalidRequest, 401: instance.CodeUnauthorized, 403: instance.CodeForbidden,
	404: instance.CodeNotFound, 405: instance.CodeMethodNotAllowed, 409: instance.CodeConflict,
	413: instance.CodeBodyTooLarge, 422: instance.CodeKeyReused, 429: instance.CodeTooManyRequests,
	501: instance.CodeNotOffered, 503: instance.CodeUnavailable,
}

func knownCode(code instance.Code, status int) instance.Code {
	if code == instance.CodeInternal || code.HTTPStatus() != http.StatusInternalServerError {
		return code
	}
	if g, ok := generic[status]; ok {
		return g
	}
	return instance.CodeInternal
}

// title turns a code into words: "name_taken" into "Name taken".
func title(code instance.Code) string {
	words := strings.ReplaceAll(string(code), "_", " ")
	words = strings.ReplaceAll(words, "qr", "QR")
	words = strings.ReplaceAll(words, "json", "JSON")
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + words[1:]
}
