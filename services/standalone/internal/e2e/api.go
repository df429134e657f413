package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"pairgate.dev/pkg/bus/bustest"
)

// API is an HTTP client of the gateway.
type API struct {
	tb   testing.TB
	base string
	key  string
	http *http.Client
}

// NewAPI returns a client that uses the key; base is the gateway's http URL.
func NewAPI(tb testing.TB, base, key string) *API {
	a := &API{tb: tb, base: base, key: key, http: &http.Client{Timeout: 90 * time.Second}}
	tb.Cleanup(a.http.CloseIdleConnections)
	return a
}

// URL is the gateway's address, for other clients.
func (a *API) URL() string { return a.base }

// Key is the client's key.
func (a *API) Key() string { return a.key }

// With returns a client of the same gateway with another key; empty for none.
func (a *API) With(key string) *API { return &API{tb: a.tb, base: a.base, key: key, http: a.http} }

// Reply is an answer; Body is its JSON, nil when it is none.
type Reply struct {
	Status int
	Header http.Header
	Raw    []byte
	Body   map[string]any
}

// Try sends a request; body is sent as it is when it is []byte, else as JSON.
func (a *API) Try(method, path string, body any, header ...string) (Reply, error) {
	var content io.Reader
	switch body := body.(type) {
	case nil:
	case []byte:
		content = bytes.NewReader(body)
	default:
		encoded, err := json.Marshal(body)
		if err != nil {
			return Reply{}, err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(a.tb.Context(), method, a.base+path, content)
	if err != nil {
		return Reply{}, err
	}
	if a.key != "" {
		request.Header.Set("Authorization", "Bearer "+a.key)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := a.http.Do(request)
	if err != nil {
		return Reply{}, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return Reply{}, err
	}
	r := Reply{Status: response.StatusCode, Header: response.Header, Raw: raw}
	if json.Unmarshal(raw, &r.Body) != nil {
		r.Body = nil
	}
	return r, nil
}

// Poll asks until done says so of an answer of 200, for at most a minute. It may be
// used from any goroutine.
func (a *API) Poll(path string, done func(body map[string]any) bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		r, err := a.Try(http.MethodGet, path, nil)
		if err != nil {
			return err
		}
		if r.Status == http.StatusOK && done(r.Body) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited in vain, GET %s answers %d %s", path, r.Status, r.Raw)
		}
	}
}

// Call is Try that fails the test when there is no answer.
func (a *API) Call(method, path string, body any, header ...string) Reply {
	a.tb.Helper()
	r, err := a.Try(method, path, body, header...)
	if err != nil {
		a.tb.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

// Want is Call that fails the test unless the status is the one wanted.
func (a *API) Want(status int, method, path string, body any, header ...string) Reply {
	a.tb.Helper()
	r := a.Call(method, path, body, header...)
	if r.Status != status {
		a.tb.Fatalf("%s %s: %d, want %d: %s", method, path, r.Status, status, r.Raw)
	}
	return r
}

// AwaitReady waits until /readyz says yes.
func (a *API) AwaitReady() {
	a.tb.Helper()
	bustest.CheckFor(a.tb, time.Minute, func() error {
		r, err := a.With("").Try(http.MethodGet, "/readyz", nil)
		if err != nil {
			return err
		}
		if r.Status != http.StatusOK {
			return fmt.Errorf("not ready: %s", r.Raw)
		}
		return nil
	})
}

// Status returns an instance's status.
func (a *API) Status(ref string) map[string]any {
	a.tb.Helper()
	return a.Want(http.StatusOK, http.MethodGet, "/v1/instances/"+ref+"/status", nil).Body
}

// AwaitPhase waits until the instance is in the phase, and returns its status.
func (a *API) AwaitPhase(ref, phase string) map[string]any {
	a.tb.Helper()
	return a.AwaitStatus(ref, "phase "+phase, func(s map[string]any) bool { return s["phase"] == phase })
}

// AwaitStatus waits until the instance's status is as wanted, and returns it.
func (a *API) AwaitStatus(ref, what string, wanted func(map[string]any) bool) (status map[string]any) {
	a.tb.Helper()
	bustest.CheckFor(a.tb, 40*time.Second, func() error {
		r, err := a.Try(http.MethodGet, "/v1/instances/"+ref+"/status", nil)
		if err != nil {
			return err
		}
		if r.Status != http.StatusOK || !wanted(r.Body) {
			return fmt.Errorf("waiting for %s, the answer is %d %s", what, r.Status, r.Raw)
		}
		status = r.Body
		return nil
	})
	return status
}
