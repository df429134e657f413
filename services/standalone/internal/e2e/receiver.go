package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/services/webhook-dispatcher/signature"
)

// Receiver takes webhooks and remembers each, in the order of their arrival.
type Receiver struct {
	tb     testing.TB
	server *httptest.Server

	mu   sync.Mutex
	got  []Webhook
	seen map[string]bool
	fail func() int
}

// Webhook is one that arrived, the first time.
type Webhook struct {
	ID     string
	Header http.Header
	Raw    []byte
	Kind   string
	Phase  string
	Reason string
	// Sequence is the stream's.
	Sequence string
	// Code is the text of a code or picture.
	Code     string
	Instance string
}

// NewReceiver starts a receiver on loopback.
func NewReceiver(tb testing.TB) *Receiver {
	r := &Receiver{tb: tb, seen: map[string]bool{}}
	r.server = httptest.NewServer(http.HandlerFunc(r.take))
	tb.Cleanup(r.server.Close)
	return r
}

// URL is where webhooks are to be sent.
func (r *Receiver) URL() string { return r.server.URL + "/webhook" }

// Addr is the receiver's address.
func (r *Receiver) Addr() net.Addr { return r.server.Listener.Addr() }

// Answer sets what later webhooks are answered with; those not answered with 204 do not count as received.
func (r *Receiver) Answer(status func() int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = status
}

func (r *Receiver) take(w http.ResponseWriter, request *http.Request) {
	raw, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		if status := r.fail(); status != http.StatusNoContent {
			w.WriteHeader(status)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
	id := request.Header.Get("webhook-id")
	if r.seen[id] {
		return
	}
	r.seen[id] = true
	var event struct {
		Kind     string
		Sequence string
		Status   struct{ Phase, Reason string }
		Code     struct{ Code string }
		Qr       struct{ Code string }
		Instance struct{ ID string }
	}
	if err := json.Unmarshal(raw, &event); err != nil {
		r.tb.Errorf("a webhook is not JSON: %v", err)
	}
	r.got = append(r.got, Webhook{ID: id, Header: request.Header.Clone(), Raw: raw, Kind: event.Kind, Phase: event.Status.Phase,
		Reason: event.Status.Reason, Sequence: event.Sequence, Code: event.Code.Code + event.Qr.Code, Instance: event.Instance.ID})
}

// All returns what arrived so far, each webhook once.
func (r *Receiver) All() []Webhook {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Webhook(nil), r.got...)
}

// Await waits for a webhook that is as wanted.
func (r *Receiver) Await(what string, wanted func(Webhook) bool) (found Webhook) {
	r.tb.Helper()
	bustest.CheckFor(r.tb, 60*time.Second, func() error {
		all := r.All()
		for _, w := range all {
			if wanted(w) {
				found = w
				return nil
			}
		}
		return fmt.Errorf("no webhook of %s among %d", what, len(all))
	})
	return found
}

// Verify fails the test unless every webhook that arrived is signed with the secret.
func (r *Receiver) Verify(secret string) {
	r.tb.Helper()
	key, err := signature.ParseSecret(secret)
	if err != nil {
		r.tb.Fatal(err)
	}
	for _, w := range r.All() {
		if err := signature.Verify([]signature.Key{key}, w.Header, w.Raw, time.Now()); err != nil {
			r.tb.Fatalf("webhook %s (%s): %v", w.ID, w.Kind, err)
		}
	}
}
