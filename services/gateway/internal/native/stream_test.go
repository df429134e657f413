package native

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

func TestASilentStreamHasAHeartbeatEveryFifteenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Second)
		defer cancel()
		w := httptest.NewRecorder()
		s := &watch{API: New(Options{}), who: principal{admin: true}, events: make(chan *pb.Event),
			out: &eventWriter{w: w, control: http.NewResponseController(w), timeout: time.Second}}
		s.follow(ctx)
		if n := strings.Count(w.Body.String(), ": \n\n"); n != 4 {
			t.Errorf("%d heartbeats in a minute: %q", n, w.Body)
		}
	})
}

// TestReadersDropWhatIsOver is the rule for codes and pictures when they are
// written, which may be later than when they came.
func TestReadersDropWhatIsOver(t *testing.T) {
	at := time.Now()
	live, over := timestamppb.New(at.Add(time.Minute)), timestamppb.New(at.Add(-time.Second))
	pairingNow := bus.Snapshot{Status: instance.Status{Phase: instance.Pairing, Attempt: 2}, Code: &pb.Qr{Code: "now", Attempt: 2, Sequence: 3}, PairingCodeSequence: 50}
	qr := func(attempt, number uint64, expires *timestamppb.Timestamp) *pb.Event {
		return &pb.Event{Kind: "qr", Body: &pb.Event_Qr{Qr: &pb.Qr{Code: "x", Attempt: attempt, Sequence: number, ExpiresAt: expires}}}
	}
	typed := func(attempt, sequence uint64) *pb.Event {
		return &pb.Event{Kind: "pairing-code", Sequence: sequence, Body: &pb.Event_PairingCode{PairingCode: &pb.PairingCode{Code: "x", Attempt: attempt, ExpiresAt: live}}}
	}
	passkey := &pb.Event{Kind: "passkey", Attempt: 2, Body: &pb.Event_Passkey{Passkey: &pb.PasskeyChallenge{Options: "{}", ExpiresAt: live}}}
	for _, tt := range []struct {
		name string
		ev   *pb.Event
		now  bus.Snapshot
		want bool
	}{
		{"current picture", qr(2, 3, live), pairingNow, true},
		{"picture of a newer code than is known", qr(2, 4, live), pairingNow, true},
		{"picture before a rotation", qr(2, 2, live), pairingNow, false},
		{"picture of an earlier attempt", qr(1, 9, live), pairingNow, false},
		{"expired picture", qr(2, 3, over), pairingNow, false},
		{"picture after the scan", qr(2, 3, live), bus.Snapshot{Status: instance.Status{Phase: instance.Syncing, Attempt: 2}}, false},
		{"withdrawal", &pb.Event{Body: &pb.Event_Code{Code: &pb.Qr{Attempt: 1}}}, pairingNow, true},
		{"current pairing code", typed(2, 50), pairingNow, true},
		{"pairing code before another", typed(2, 49), pairingNow, false},
		{"pairing code of an earlier attempt", typed(1, 60), pairingNow, false},
		{"passkey challenge in its phase", passkey, bus.Snapshot{Status: instance.Status{Phase: instance.PasskeyRequired, Attempt: 2}}, true},
		{"passkey challenge after its phase", passkey, bus.Snapshot{Status: instance.Status{Phase: instance.Online, Attempt: 2}}, false},
		{"status", &pb.Event{Body: &pb.Event_Status{Status: &pb.Status{}}}, pairingNow, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := current(tt.ev, tt.now, at); got != tt.want {
				t.Errorf("%v", got)
			}
		})
	}
}

func FuzzLastEventID(f *testing.F) {
	for _, seed := range []string{"", "1", "0", "-1", "+1", " 1", "18446744073709551615", "18446744073709551616", "1e3", "0x10", "abc", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sequence, ok := parseEventID(text)
		if ok && (sequence == 0 || strings.TrimLeft(text, "0") != strconv.FormatUint(sequence, 10)) {
			t.Errorf("%q is taken for %d", text, sequence)
		}
	})
}
