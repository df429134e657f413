package cli

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"pairgate.dev/pkg/bus/bustest"
)

// TestFollowGoesOnWhereItBrokeOff: the next request says what was heard last, and
// a refusal then ends it.
func TestFollowGoesOnWhereItBrokeOff(t *testing.T) {
	bustest.CheckGoroutines(t)
	var requests atomic.Int32
	var asked atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch requests.Add(1) {
		case 1:
			fmt.Fprint(w, "retry: 2000\n\nid: 7\nevent: status\ndata: {}\n\nid: 8\nevent: cut")
		default:
			asked.Store(r.Header.Get("Last-Event-ID"))
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"code":"instance_not_found","detail":"Gone.","status":404}`)
		}
	}))
	defer server.Close()
	c := newClient(server.URL, "key")
	defer c.close()
	f := c.follow(t.Context(), "/v1/events", "")
	defer f.stop()
	var kinds []string
	for m := range f.messages {
		if m.lost != nil {
			m.event = "lost"
		}
		kinds = append(kinds, m.event)
	}
	if fmt.Sprint(kinds) != "[status lost]" || asked.Load() != "7" {
		t.Errorf("heard %v, and asked for what is after %v", kinds, asked.Load())
	}
	if r, ok := errors.AsType[*refusal](f.err); !ok || r.Code != "instance_not_found" {
		t.Errorf("it ended with %v", f.err)
	}
}

// TestTheKeyGoesToNobodyElse: a redirect is not followed.
func TestTheKeyGoesToNobodyElse(t *testing.T) {
	var heard atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { heard.Store(true) }))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	c := newClient(server.URL, "key")
	defer c.close()
	if _, err := c.get(t.Context(), "/v1/instances"); err == nil || heard.Load() {
		t.Errorf("followed %v, %v", heard.Load(), err)
	}
}
