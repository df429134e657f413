package gateway_test

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	gateway "pairgate.dev/services/gateway"
)

func TestEventsComeLiveAndOnlyTheOwn(t *testing.T) {
	w := start(t)
	mine, other := w.make("mine"), w.make("other")
	own, all := w.events(mine.path+"/events", mine.token, ""), w.events("/v1/events", adminKey, "")
	w.publish(status(other.id, instance.Connecting, 0, 1))
	sequence := w.publish(status(mine.id, instance.Pairing, 1, 1))
	w.publish(code(mine.id, "Q1", 1, 1))
	w.publish(picture(mine.id, "Q1", 1, 1))

	first := own.wantKind("status")
	var ev struct {
		Sequence, Incarnation, ID string
		Instance                  struct{ ID string }
		Status                    struct{ Phase string }
	}
	if err := json.Unmarshal([]byte(first.data), &ev); err != nil {
		t.Fatal(err)
	}
	if first.id != numberText(sequence) || ev.Sequence != first.id || ev.Incarnation == "" || ev.Instance.ID != string(mine.id) || ev.Status.Phase != "pairing" {
		t.Errorf("%+v %+v", first, ev)
	}
	own.wantKind("code")
	own.wantKind("qr")
	for _, kind := range []string{"status", "status", "code", "qr"} {
		all.wantKind(kind)
	}
}

func TestEventsResumeAfterTheLastOne(t *testing.T) {
	w := start(t)
	m := w.make("one")
	s := w.events(m.path+"/events", m.token, "")
	w.publish(status(m.id, instance.Connecting, 0, 1))
	last := s.wantKind("status")
	s.cancel()
	w.publish(status(m.id, instance.Pairing, 1, 1))
	w.publish(status(m.id, instance.Syncing, 1, 1))
	again := w.events(m.path+"/events", m.token, last.id)
	for _, phase := range []string{"pairing", "syncing"} {
		if ev := again.wantKind("status"); !strings.Contains(ev.data, `"`+phase+`"`) {
			t.Errorf("%s: %s", phase, ev.data)
		}
	}
}

// TestAStreamWithoutEventsCanBeResumed: the client is told its position at once.
func TestAStreamWithoutEventsCanBeResumed(t *testing.T) {
	w := start(t)
	m := w.make("one")
	w.publish(status(m.id, instance.Connecting, 0, 1))
	w.shows(m, instance.Connecting, 0)
	s := w.events(m.path+"/events", m.token, "")
	position := ""
	for position == "" {
		ev, ok := s.block()
		if !ok {
			t.Fatal("ended")
		}
		position = ev.id
	}
	s.cancel()
	w.publish(status(m.id, instance.Syncing, 1, 1))
	if ev := w.events(m.path+"/events", m.token, position).wantKind("status"); !strings.Contains(ev.data, "syncing") {
		t.Errorf("%s", ev.data)
	}
}

func TestAnUnknownLastIDGetsAGapAndWhatIsNow(t *testing.T) {
	w := start(t)
	m, idle := w.opened("one"), w.make("two")
	for _, lastID := range []string{"99999999", "abc", "-1", "0"} {
		s := w.events("/v1/events", adminKey, lastID)
		if gap := s.wantKind("gap"); gap.id != "" {
			t.Errorf("%q: the gap moves the last id to %s before the snapshot is told", lastID, gap.id)
		}
		if ev := s.wantKind("status"); !strings.Contains(ev.data, "pairing") || !strings.Contains(ev.data, string(m.id)) || ev.id != "" {
			t.Errorf("%q: %+v", lastID, ev)
		}
		if ev := s.wantKind("qr"); !strings.Contains(ev.data, "Q1") {
			t.Errorf("%q: %+v", lastID, ev)
		}
		if ev := s.wantKind("status"); !strings.Contains(ev.data, "idle") || !strings.Contains(ev.data, string(idle.id)) {
			t.Errorf("%q: %+v", lastID, ev)
		}
		if ev, ok := s.block(); !ok || ev.id == "" || ev.kind != "" {
			t.Errorf("%q: no position after the snapshot: %+v", lastID, ev)
		}
		s.cancel()
	}
}

func TestNoCodeOfAnEarlierAttemptIsReplayed(t *testing.T) {
	w := start(t)
	m := w.make("one")
	from := w.publish(status(m.id, instance.Connecting, 0, 1))
	w.publish(status(m.id, instance.Pairing, 1, 1))
	w.publish(code(m.id, "first attempt", 1, 1))
	w.publish(picture(m.id, "first attempt", 1, 1))
	w.publish(typed(m.id, "AAAA-0000", 1))
	w.publish(status(m.id, instance.Idle, 1, 1))
	w.publish(status(m.id, instance.Pairing, 2, 2))
	w.publish(code(m.id, "rotated away", 2, 1))
	expired := code(m.id, "expired", 2, 2)
	expired.GetCode().ExpiresAt = timestamppb.New(time.Now().Add(-time.Second))
	w.publish(expired)
	w.publish(code(m.id, "current", 2, 3))
	w.shows(m, instance.Pairing, 2)
	bustest.CheckFor(t, patience, func() error {
		if got := w.admin(http.MethodGet, m.path+"/qr", ""); !strings.Contains(string(got.body), "current") {
			return errNotYet{"phase": string(got.body)}
		}
		return nil
	})
	s := w.events(m.path+"/events", m.token, numberText(from))
	for _, want := range []string{"pairing", "idle", "pairing"} {
		if ev := s.wantKind("status"); !strings.Contains(ev.data, want) {
			t.Errorf("%s: %s", want, ev.data)
		}
	}
	if ev := s.wantKind("code"); !strings.Contains(ev.data, "current") {
		t.Errorf("%s", ev.data)
	}
}

func TestAStreamEndsWithItsToken(t *testing.T) {
	w := start(t)
	m := w.make("one")
	s := w.events(m.path+"/events", m.token, "")
	w.admin(http.MethodPost, m.path+"/token", "").want(http.StatusOK)
	if ev, ok := s.next(); ok {
		t.Errorf("got %+v", ev)
	}
}

func TestTheDeletionIsTheLastEvent(t *testing.T) {
	w := start(t)
	m := w.make("one")
	s := w.events(m.path+"/events", m.token, "")
	w.admin(http.MethodDelete, m.path, "").want(http.StatusNoContent)
	w.publish(status(m.id, instance.Deleted, 0, 1))
	gone := event(m.id, instance.KindDeleted, 0)
	gone.Body = &pb.Event_Spec{Spec: &pb.Instance{Id: string(m.id)}}
	w.publish(gone)
	s.wantKind("status")
	s.wantKind("deleted")
	if ev, ok := s.next(); ok {
		t.Errorf("got %+v", ev)
	}
}

func TestAnOpenStreamExtendsTheWindow(t *testing.T) {
	w := start(t)
	m := w.make("one")
	var touched atomic.Int64
	if _, err := w.conn.NATS().Subscribe(bus.SessionSubject(m.id.Partition(), m.id, bus.VerbTouch), func(*nats.Msg) { touched.Add(1) }); err != nil {
		t.Fatal(err)
	}
	if err := w.conn.NATS().Flush(); err != nil {
		t.Fatal(err)
	}
	w.publish(status(m.id, instance.Pairing, 1, 0))
	w.shows(m, instance.Pairing, 1)
	w.events(m.path+"/events", m.token, "")
	bustest.CheckFor(t, patience, func() error {
		if touched.Load() == 0 {
			return errNotYet{"phase": "not touched"}
		}
		return nil
	})
}

// narrow makes connections that hold little, so that a client that does not read is noticed.
type narrow struct{ net.Listener }

func (n narrow) Accept() (net.Conn, error) {
	conn, err := n.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		err = tcp.SetWriteBuffer(4 << 10)
	}
	return conn, err
}

func TestASlowClientIsCutOff(t *testing.T) {
	w := start(t, func(_ *gateway.Config, d *gateway.Deps) { d.Listener = narrow{d.Listener} })
	m := w.make("one")
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("GET " + m.path + "/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + m.token + "\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	metric := func(name, value string) func() error {
		return func() error {
			if got := string(w.admin(http.MethodGet, "/metrics", "").want(http.StatusOK).body); !strings.Contains(got, name+" "+value+"\n") {
				return errNotYet{"phase": name + " is not " + value}
			}
			return nil
		}
	}
	bustest.CheckFor(t, patience, metric("pairgate_http_event_streams", "1"))
	for range 600 {
		ev := status(m.id, instance.Connecting, 0, 1)
		ev.GetStatus().Detail = strings.Repeat("x", 10<<10)
		w.publish(ev)
	}
	bustest.CheckFor(t, patience, metric("pairgate_http_event_streams", "0"))
	bustest.CheckFor(t, patience, metric("pairgate_http_event_streams_cut_total", "1"))
}
