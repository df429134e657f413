package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
	"testing/synctest"

	"pairgate.dev/pkg/service"
)

func names(reasons []service.Reason) []service.Condition {
	var n []service.Condition
	for _, r := range reasons {
		n = append(n, r.Name)
	}
	return n
}

func TestNotReadyUntilTheFirstConditionIsNamed(t *testing.T) {
	h := service.NewHealth()
	if got := names(h.Reasons(t.Context())); !reflect.DeepEqual(got, []service.Condition{service.Starting}) {
		t.Fatalf("at first: %v", got)
	}
	h.Set(service.Ownership, errors.New("no lease yet"))
	want := []service.Reason{{Name: service.Ownership, Detail: "no lease yet"}}
	if got := h.Reasons(t.Context()); !reflect.DeepEqual(got, want) {
		t.Errorf("after Set: %v", got)
	}
	h.Set(service.Ownership, nil)
	if got := h.Reasons(t.Context()); len(got) != 0 {
		t.Errorf("at last: %v", got)
	}
}

func TestReasonsOfChecksAndPartsAreCollected(t *testing.T) {
	h, part := service.NewHealth(), service.NewHealth()
	var nats error
	h.Register(service.NATS, func(context.Context) error { return nats })
	h.Register(service.Followers, func(context.Context) error { return errors.New("EVENTS is behind") })
	h.Register(service.Followers, func(context.Context) error { return errors.New("INSTANCES is behind") })
	h.Register(service.Lab, func(context.Context) error { panic("sesame") })
	h.Include(part)
	part.Register(service.Followers, func(context.Context) error { return errors.New("EVENTS is behind") })
	part.Drain()
	want := []service.Reason{
		{Name: service.Draining, Detail: "the process is shutting down"},
		{Name: service.Followers, Detail: "EVENTS is behind"}, {Name: service.Followers, Detail: "INSTANCES is behind"},
		{Name: service.Lab, Detail: "the check failed with a panic (string)"},
	}
	if got := h.Reasons(t.Context()); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	nats = errors.New("disconnected")
	if got := names(h.Reasons(t.Context())); !reflect.DeepEqual(got, []service.Condition{service.Draining, service.Lab, service.NATS}) {
		t.Errorf("got %v", got)
	}
}

func TestReadyzNamesReasons(t *testing.T) {
	h := service.NewHealth()
	get := func() (int, string) {
		w := httptest.NewRecorder()
		service.ReadyHandler(h).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		return w.Code, w.Body.String()
	}
	h.Set(service.Lab, errors.New("no answer"))
	if status, body := get(); status != 503 || body != `{"ready":false,"reasons":[{"name":"lab","detail":"no answer"}]}`+"\n" {
		t.Errorf("%d %s", status, body)
	}
	h.Set(service.Lab, nil)
	if status, body := get(); status != 200 || body != `{"ready":true}`+"\n" {
		t.Errorf("%d %s", status, body)
	}
}

func TestSlowCheckIsNotReadyInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := service.NewHealth()
		h.Register(service.Registry, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		w := httptest.NewRecorder()
		service.ReadyHandler(h).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		var got service.Readiness
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Ready || w.Code != 503 {
			t.Errorf("%d %s %v", w.Code, w.Body, err)
		}
	})
}

func TestConditionsAreDistinctWords(t *testing.T) {
	seen := map[service.Condition]bool{}
	for _, c := range service.Conditions() {
		if seen[c] || c == "" {
			t.Errorf("%q twice or empty", c)
		}
		seen[c] = true
	}
}

func TestReasonsNameTheCauseAndNotItsConsequences(t *testing.T) {
	h := service.NewHealth()
	part := service.NewHealth()
	h.Include(part)
	part.Set(service.Registry, errors.New("nobody answers"))
	part.Set(service.Followers, errors.New("silent"))
	part.Set(service.Lab, errors.New("does not answer"))
	h.Set(service.NATS, errors.New("not connected"))
	if got, want := names(h.Reasons(t.Context())), []service.Condition{service.Lab, service.NATS}; !reflect.DeepEqual(got, want) {
		t.Fatalf("reasons %v, want %v", got, want)
	}
	h.Set(service.NATS, nil)
	if got := h.Reasons(t.Context()); len(got) != 3 {
		t.Fatalf("with NATS back: %v", got)
	}
}
