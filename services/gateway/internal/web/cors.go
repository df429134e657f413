package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"pairgate.dev/pkg/instance"
)

// AnyOrigin stands for every origin in a list of origins.
const AnyOrigin = "*"

// What a page may send and read beside what browsers always allow. The methods
// are those of each route.
const (
	corsRequestHeaders = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, " + HeaderRequestID
	corsAnswerHeaders  = "Location, Retry-After, RateLimit-Limit, RateLimit-Policy, RateLimit-Remaining, RateLimit-Reset, " +
		"WWW-Authenticate, " + HeaderRequestID
	// corsMaxAge is how many seconds a browser may remember a preflight; none takes more than two hours.
	corsMaxAge = "7200"
)

// ValidOrigin says whether text is an origin as browsers send it, or AnyOrigin:
// scheme, host and a port that is not the scheme's own, in lower case and nothing else.
func ValidOrigin(text string) bool {
	if text == AnyOrigin {
		return true
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Hostname() == "" || u.Scheme+"://"+u.Host != text || text != strings.ToLower(text) {
		return false
	}
	return !(u.Scheme == "http" && u.Port() == "80" || u.Scheme == "https" && u.Port() == "443" || strings.HasSuffix(u.Host, ":"))
}

// AllowOrigins lets pages of these origins use the routes from a browser (CORS),
// and read the answers, errors included. Without it, or with none, browsers refuse
// them. Cookies and other credentials of the browser are never asked for: a page
// sends its token itself. Call it before the first request.
func (rt *Router) AllowOrigins(origins []string) { rt.origins = origins }

// cors adds what a browser needs to let a page of another origin read the answer.
// It returns true when it has answered the request, which was a preflight.
func (rt *Router) cors(w http.ResponseWriter, r *http.Request) bool {
	if len(rt.origins) == 0 {
		return false
	}
	h, origin := w.Header(), r.Header.Get("Origin")
	anyOrigin := slices.Contains(rt.origins, AnyOrigin)
	if !anyOrigin {
		h.Add("Vary", "Origin") // or a cache would give one page the answer for another
	}
	switch {
	case origin == "":
		return false
	case anyOrigin:
		h.Set("Access-Control-Allow-Origin", AnyOrigin)
	case slices.Contains(rt.origins, origin):
		h.Set("Access-Control-Allow-Origin", origin)
	default:
		return false
	}
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		h.Set("Access-Control-Expose-Headers", corsAnswerHeaders)
		return false
	}
	methods := rt.allowed(r)
	if len(methods) == 0 {
		rt.fail(w, r, instance.Problemf(instance.CodeNotFound, "There is no such route."))
		return true
	}
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	h.Set("Access-Control-Allow-Headers", corsRequestHeaders)
	h.Set("Access-Control-Max-Age", corsMaxAge)
	w.WriteHeader(http.StatusNoContent)
	return true
}
