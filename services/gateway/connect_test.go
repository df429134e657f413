package gateway_test

import (
	"encoding/base64"
	"net/http"
	"testing"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// TestConnectWaitsForWhatSettlesIt: each case is what the worker and the renderer
// publish once the connect is stored, and how the answer looks.
func TestConnectWaitsForWhatSettlesIt(t *testing.T) {
	w := start(t)
	for _, tt := range []struct {
		name, body, wait string
		before, after    func(id instance.ID, request uint64) []*pb.Event
		status           int
		phase            instance.Phase
		qr, reason       string
		typed            string
	}{
		{name: "a code with its picture", wait: "60", status: 200, phase: instance.Pairing, qr: "A1",
			after: func(id instance.ID, n uint64) []*pb.Event {
				return []*pb.Event{status(id, instance.Connecting, 0, n), status(id, instance.Pairing, 1, n), code(id, "A1", 1, 1), picture(id, "A1", 1, 1)}
			}},
		{name: "no picture of an earlier attempt", wait: "60", status: 200, phase: instance.Pairing, qr: "new",
			before: func(id instance.ID, _ uint64) []*pb.Event {
				return []*pb.Event{status(id, instance.Pairing, 1, 0), code(id, "old", 1, 1), picture(id, "old", 1, 1), status(id, instance.Idle, 1, 0)}
			},
			after: func(id instance.ID, n uint64) []*pb.Event {
				return []*pb.Event{picture(id, "old", 1, 1), status(id, instance.Pairing, 2, n), picture(id, "older", 1, 2), code(id, "new", 2, 1), picture(id, "new", 2, 1)}
			}},
		{name: "a window that is open already", wait: "60", status: 200, phase: instance.Pairing, qr: "open",
			before: func(id instance.ID, _ uint64) []*pb.Event {
				return []*pb.Event{status(id, instance.Pairing, 1, 0), code(id, "open", 1, 1), picture(id, "open", 1, 1)}
			},
			after: func(id instance.ID, n uint64) []*pb.Event { return []*pb.Event{status(id, instance.Pairing, 1, n)} }},
		{name: "without its renderer, the code's text and the reason", wait: "60", status: 200, phase: instance.Pairing, qr: "bare", reason: "renderer_unavailable",
			after: func(id instance.ID, n uint64) []*pb.Event {
				return []*pb.Event{status(id, instance.Pairing, 1, n), code(id, "bare", 1, 1)}
			}},
		{name: "linked already", wait: "60", status: 200, phase: instance.Online,
			after: func(id instance.ID, n uint64) []*pb.Event { return []*pb.Event{status(id, instance.Online, 0, n)} }},
		{name: "refused by the messenger", wait: "60", status: 200, phase: instance.Blocked,
			after: func(id instance.ID, n uint64) []*pb.Event { return []*pb.Event{status(id, instance.Blocked, 0, n)} }},
		{name: "scanned while the picture was awaited", wait: "60", status: 200, phase: instance.Syncing,
			after: func(id instance.ID, n uint64) []*pb.Event {
				return []*pb.Event{status(id, instance.Pairing, 1, n), code(id, "A1", 1, 1), code(id, "", 1, 1), status(id, instance.Syncing, 1, n)}
			}},
		{name: "a pairing code", body: `{"method":"code","phone":"15550100"}`, wait: "60", status: 200, phase: instance.Pairing, typed: "ABCD-1234",
			after: func(id instance.ID, n uint64) []*pb.Event {
				return []*pb.Event{status(id, instance.Pairing, 1, n), code(id, "A1", 1, 1), picture(id, "A1", 1, 1), typed(id, "ABCD-1234", 1)}
			}},
		{name: "a QR is no pairing code", body: `{"method":"code","phone":"15550100"}`, wait: "1", status: 202, phase: instance.Pairing,
			after: func(id instance.ID, n uint64) []*pb.Event {
				return []*pb.Event{status(id, instance.Pairing, 1, n), code(id, "A1", 1, 1), picture(id, "A1", 1, 1)}
			}},
		{name: "nothing in time", wait: "1", status: 202, phase: instance.Connecting,
			after: func(id instance.ID, n uint64) []*pb.Event { return []*pb.Event{status(id, instance.Connecting, 0, n)} }},
		{name: "an answer to an earlier command", wait: "1", status: 202, phase: instance.Online,
			after: func(id instance.ID, n uint64) []*pb.Event { return []*pb.Event{status(id, instance.Online, 0, n-1)} }},
		{name: "nobody works", wait: "1", status: 202, phase: instance.Idle,
			after: func(instance.ID, uint64) []*pb.Event { return nil }},
		{name: "no wait", wait: "", status: 202, phase: instance.Idle,
			after: func(instance.ID, uint64) []*pb.Event { return nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{TB: t, conn: w.conn, registry: w.registry, url: w.url}
			m := w.make(tt.name)
			if tt.before != nil {
				for _, ev := range tt.before(m.id, 0) {
					w.publish(ev)
				}
			}
			w.registry.after = func(id instance.ID, request uint64) {
				for _, ev := range tt.after(id, request) {
					w.publish(ev)
				}
			}
			path := m.path + "/connect"
			if tt.wait != "" {
				path += "?wait=" + tt.wait
			}
			got := w.admin(http.MethodPost, path, tt.body).want(tt.status).json()
			if got["phase"] != string(tt.phase) {
				t.Errorf("phase %v, want %s", got["phase"], tt.phase)
			}
			checkQR(t, got["qr"], tt.qr, tt.reason)
			code, _ := got["pairingCode"].(map[string]any)
			if (code != nil) != (tt.typed != "") || code != nil && code["code"] != tt.typed {
				t.Errorf("pairing code %v, want %q", code, tt.typed)
			}
		})
	}
}

func checkQR(t *testing.T, shown any, text, reason string) {
	t.Helper()
	qr, _ := shown.(map[string]any)
	if (qr != nil) != (text != "") {
		t.Fatalf("qr %v, want %q", qr, text)
	}
	if qr == nil {
		return
	}
	image, hasImage := qr["image"]
	why, hasReason := qr["imageReason"]
	if qr["code"] != text || hasImage != (reason == "") || hasReason != (reason != "") {
		t.Fatalf("qr %v, want %q and reason %q", qr, text, reason)
	}
	if hasReason && why != reason || hasImage && image != base64.StdEncoding.EncodeToString([]byte("picture of "+text)) {
		t.Errorf("qr %v", qr)
	}
}

func TestLogoutWaitsForIdleAndRestartForTheOwner(t *testing.T) {
	w := start(t)
	m := w.make("one")
	w.registry.after = func(id instance.ID, n uint64) {
		w.publish(status(id, instance.Online, 0, n))
		w.publish(status(id, instance.Idle, 0, n))
	}
	if got := w.admin(http.MethodPost, m.path+"/logout?wait=60", "{}").want(http.StatusOK).json(); got["phase"] != "idle" {
		t.Errorf("%v", got)
	}
	w.registry.after = func(id instance.ID, n uint64) { w.publish(status(id, instance.Offline, 0, n)) }
	if got := w.admin(http.MethodPost, m.path+"/restart?wait=60", "").want(http.StatusOK).json(); got["phase"] != "offline" {
		t.Errorf("%v", got)
	}
	w.registry.after = nil
	w.admin(http.MethodPost, m.path+"/logout", "").want(http.StatusAccepted)
	w.admin(http.MethodPost, m.path+"/restart?wait=1", "").want(http.StatusAccepted)
	w.admin(http.MethodPost, m.path+"/password", `{"password":"p"}`).want(http.StatusOK)
	if n := w.registry.count(bus.SubjectInstancesPassword); n != 1 {
		t.Errorf("%d", n)
	}
}
