package gateway_test

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
)

// opened makes an instance with a window, a code and its picture.
func (w *world) opened(name string) made {
	w.Helper()
	m := w.make(name)
	w.publish(status(m.id, instance.Pairing, 1, 0))
	w.publish(code(m.id, "Q1", 1, 1))
	w.publish(picture(m.id, "Q1", 1, 1))
	w.shows(m, instance.Pairing, 1)
	bustest.CheckFor(w, patience, func() error {
		got := w.admin(http.MethodGet, m.path+"/qr", "").want(http.StatusOK).json()
		if _, drawn := got["image"]; !drawn {
			return errNotYet{"phase": "without picture"}
		}
		return nil
	})
	return m
}

func TestQRIsTheCurrentOne(t *testing.T) {
	w := start(t)
	m := w.opened("one")
	got := w.admin(http.MethodGet, m.path+"/qr", "").want(http.StatusOK)
	checkQR(t, any(got.json()), "Q1", "")
	if got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", got.header)
	}
	png := w.admin(http.MethodGet, m.path+"/qr.png", "").want(http.StatusOK)
	if string(png.body) != "picture of Q1" || png.header.Get("Content-Type") != "image/png" || png.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %v", png.body, png.header)
	}
	w.publish(code(m.id, "Q2", 1, 2))
	w.publish(picture(m.id, "Q2", 1, 2))
	bustest.CheckFor(t, patience, func() error {
		if got := w.admin(http.MethodGet, m.path+"/qr.png", ""); string(got.body) != "picture of Q2" {
			return errNotYet{"phase": string(got.body)}
		}
		return nil
	})
}

func TestWithoutACodeQRSaysWhy(t *testing.T) {
	w := start(t)
	m := w.make("one")
	for _, path := range []string{"/qr", "/qr.png", "/qr.svg", "/qr.txt"} {
		got := w.admin(http.MethodGet, m.path+path, "").wantCode(404, instance.CodeNoQR).json()
		if got["phase"] != "idle" || got["reason"] != "created" {
			t.Errorf("%v", got)
		}
	}
	w.admin(http.MethodGet, m.path+"/pairing-code", "").wantCode(404, instance.CodeNoPairingCode)
	w.publish(status(m.id, instance.Online, 1, 0))
	w.shows(m, instance.Online, 1)
	w.admin(http.MethodGet, m.path+"/qr?wait=60", "").wantCode(409, instance.CodeAlreadyLinked)
	w.admin(http.MethodGet, m.path+"/pairing-code?wait=60", "").wantCode(409, instance.CodeAlreadyLinked)
}

func TestNoQRAfterTheScan(t *testing.T) {
	w := start(t)
	m := w.opened("one")
	w.publish(code(m.id, "", 1, 1))
	w.publish(status(m.id, instance.Syncing, 1, 0))
	w.publish(picture(m.id, "Q1", 1, 1))
	w.shows(m, instance.Syncing, 1)
	got := w.admin(http.MethodGet, m.path+"/qr", "").wantCode(404, instance.CodeNoQR).json()
	if got["phase"] != "syncing" {
		t.Errorf("%v", got)
	}
}

func TestQRWaitsForACodeAndOpensNoWindow(t *testing.T) {
	w := start(t)
	m := w.make("one")
	done := make(chan answer, 1)
	go func() { done <- w.admin(http.MethodGet, m.path+"/qr?wait=60", "") }()
	w.publish(status(m.id, instance.Pairing, 1, 0))
	w.publish(code(m.id, "Q1", 1, 1))
	w.publish(picture(m.id, "Q1", 1, 1))
	checkQR(t, any((<-done).want(http.StatusOK).json()), "Q1", "")
	if w.registry.count(bus.SubjectInstancesConnect) != 0 {
		t.Error("a window was opened")
	}
}

func TestPicturesInAnotherLookComeFromTheRenderer(t *testing.T) {
	w := start(t)
	m := w.opened("one")
	w.admin(http.MethodGet, m.path+"/qr.svg", "").wantCode(503, instance.CodeUnavailable)
	without := w.admin(http.MethodGet, m.path+"/qr?size=512", "").want(http.StatusOK).json()
	checkQR(t, any(without), "Q1", "renderer_unavailable")
	w.renderer()
	for path, want := range map[string]string{
		"/qr.svg":                            "svg of Q1 at 0",
		"/qr.txt":                            "txt of Q1 at 0",
		"/qr.txt?size=512":                   "txt of Q1 at 0",
		"/qr.png?size=512&level=h":           "png of Q1 at H512",
		"/qr.png?foreground=aa0000":          "png of Q1 at 0#aa0000",
		"/qr.png?foreground=%23AA0000&x=any": "png of Q1 at 0#aa0000",
	} {
		if got := w.admin(http.MethodGet, m.path+path, "").want(http.StatusOK); string(got.body) != want {
			t.Errorf("%s: %s", path, got.body)
		}
	}
}

func TestPairingCodeIsShown(t *testing.T) {
	w := start(t)
	m := w.make("one")
	w.publish(status(m.id, instance.Pairing, 1, 0))
	w.publish(typed(m.id, "ABCD-1234", 1))
	got := w.admin(http.MethodGet, m.path+"/pairing-code?wait=60", "").want(http.StatusOK).json()
	if got["code"] != "ABCD-1234" || got["phone"] != "15550100" {
		t.Errorf("%v", got)
	}
}

// TestOnlyLookingAtTheCodeExtendsTheWindow: not status, not a list.
func TestOnlyLookingAtTheCodeExtendsTheWindow(t *testing.T) {
	w := start(t)
	m := w.make("one")
	idle := w.make("two")
	var touched, touchedIdle atomic.Int64
	for id, n := range map[instance.ID]*atomic.Int64{m.id: &touched, idle.id: &touchedIdle} {
		sub, err := w.conn.NATS().Subscribe(bus.SessionSubject(id.Partition(), id, bus.VerbTouch), func(*nats.Msg) { n.Add(1) })
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = sub.Unsubscribe() }() // the connection ends with the test
	}
	if err := w.conn.NATS().Flush(); err != nil {
		t.Fatal(err)
	}
	w.publish(status(m.id, instance.Pairing, 1, 0))
	w.shows(m, instance.Pairing, 1)
	w.admin(http.MethodGet, "/v1/instances", "").want(http.StatusOK)
	w.admin(http.MethodGet, m.path, "").want(http.StatusOK)
	if n := touched.Load(); n != 0 {
		t.Fatalf("status and list extended the window %d times", n)
	}
	w.admin(http.MethodGet, idle.path+"/qr", "").want(http.StatusNotFound)
	w.admin(http.MethodGet, m.path+"/qr", "").want(http.StatusNotFound)
	bustest.CheckFor(t, patience, func() error {
		if touched.Load() == 0 {
			return errNotYet{"phase": "not touched"}
		}
		return nil
	})
	if touchedIdle.Load() != 0 {
		t.Error("a window that is not open was extended")
	}
}
