package control

import (
	"encoding/json"
	"errors"
	"net/http"

	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/lab/internal/refusal"
	"pairgate.dev/services/lab/labapi"
)

// codes are the codes of refusals by their status.
var codes = map[int]instance.Code{
	http.StatusBadRequest:     instance.CodeInvalidRequest,
	http.StatusNotFound:       instance.CodeNotFound,
	http.StatusConflict:       instance.CodeConflict,
	http.StatusGatewayTimeout: instance.CodeTimeout,
}

// fail answers with what err is: a refusal, a problem, or an internal error that only the log sees.
func (a *API) fail(w http.ResponseWriter, err error) {
	p := labapi.Problem{Type: "about:blank"}
	if r, ok := errors.AsType[*refusal.Error](err); ok {
		p.Status, p.Detail, p.Reason, p.Code = r.Status, r.Detail, r.Reason, string(codes[r.Status])
		if p.Code == "" {
			p.Code = string(instance.CodeInternal)
		}
	} else {
		problem := instance.AsProblem(err)
		if problem.Code == instance.CodeInternal {
			a.log.Error("a request failed", zap.Error(err))
			problem.Detail = "Something went wrong in the lab; its log has it."
		}
		p.Status, p.Detail, p.Code = problem.Code.HTTPStatus(), problem.Detail, string(problem.Code)
		for _, e := range problem.Errors {
			p.Errors = append(p.Errors, labapi.FieldError{Field: e.Field, Message: e.Message})
		}
	}
	p.Title = http.StatusText(p.Status)
	reply(w, p.Status, "application/problem+json", p)
}

func reply(w http.ResponseWriter, status int, contentType string, body any) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// A caller that has hung up is not told anything.
	_ = json.NewEncoder(w).Encode(body)
}

func replyJSON(w http.ResponseWriter, status int, body any) {
	reply(w, status, "application/json", body)
}
