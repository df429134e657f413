package service

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// readinessTimeout ends the context of the checks: probes usually give up after
// a few seconds, and a late answer is none.
const readinessTimeout = 2 * time.Second

// LiveHandler answers /healthz: 200 as long as the process can answer at all.
// What a restart would not mend (NATS away, say) is no matter of being alive.
func LiveHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]bool{"alive": true})
	})
}

// Readiness is the body of /readyz.
type Readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []Reason `json:"reasons,omitempty"`
}

// ReadyHandler answers /readyz: 200 {"ready":true}, or 503 with "ready":false and
// the reasons, each with name and detail.
func ReadyHandler(h *Health) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readinessTimeout)
		defer cancel()
		reasons := h.Reasons(ctx)
		status := http.StatusOK
		if len(reasons) > 0 {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, Readiness{Ready: len(reasons) == 0, Reasons: reasons})
	})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// The only error is a caller that has gone.
	_ = json.NewEncoder(w).Encode(body)
}
