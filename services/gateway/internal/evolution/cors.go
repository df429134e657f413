package evolution

import (
	"net/http"
	"slices"

	"pairgate.dev/services/gateway/internal/web"
)

// cors adds what a browser needs to let a page of another origin read the answer.
// It returns true when it has answered the request, which was a preflight. Cookies
// are never asked for, because keys are sent by the page itself.
func (a *API) cors(w http.ResponseWriter, r *http.Request) bool {
	h, origin := w.Header(), r.Header.Get("Origin")
	h.Add("Vary", "Origin")
	if origin != "" && (slices.Contains(a.Origins, web.AnyOrigin) || slices.Contains(a.Origins, origin)) {
		h.Set("Access-Control-Allow-Origin", origin)
	}
	if r.Method != http.MethodOptions {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "POST,GET,PUT,DELETE")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Add("Vary", "Access-Control-Request-Headers")
		h.Set("Access-Control-Allow-Headers", asked)
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}
