package bus

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// noon is the moment at which the table asks; codes of it live until a minute later unless they say otherwise.
var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func status(phase instance.Phase, attempt uint64) *pb.Event {
	return &pb.Event{Kind: "status", Attempt: attempt, Body: &pb.Event_Status{Status: &pb.Status{Phase: string(phase), Attempt: attempt}}}
}

func qr(text string, attempt, number uint64) *pb.Qr {
	return &pb.Qr{Code: text, Attempt: attempt, Sequence: number, ExpiresAt: timestamppb.New(noon.Add(time.Minute))}
}

func code(text string, attempt, number uint64) *pb.Event {
	return &pb.Event{Kind: "code", Attempt: attempt, Body: &pb.Event_Code{Code: qr(text, attempt, number)}}
}

func withdrawal(attempt uint64) *pb.Event {
	return &pb.Event{Kind: "code", Attempt: attempt, Body: &pb.Event_Code{Code: &pb.Qr{Attempt: attempt}}}
}

func picture(text string, attempt, number, codeSeq uint64) *pb.Event {
	q := qr(text, attempt, number)
	q.Image = []byte("png of " + text)
	return &pb.Event{Kind: "qr", Attempt: attempt, CodeSequence: codeSeq, Body: &pb.Event_Qr{Qr: q}}
}

func typed(text string, attempt uint64) *pb.Event {
	return &pb.Event{Kind: "pairing-code", Attempt: attempt, Body: &pb.Event_PairingCode{PairingCode: &pb.PairingCode{
		Code: text, Attempt: attempt, ExpiresAt: timestamppb.New(noon.Add(time.Minute))}}}
}

func challenge(text string, attempt uint64) *pb.Event {
	return &pb.Event{Kind: "passkey", Attempt: attempt, Body: &pb.Event_Passkey{Passkey: &pb.PasskeyChallenge{
		Options: text, ExpiresAt: timestamppb.New(noon.Add(time.Minute))}}}
}

func expired(ev *pb.Event) *pb.Event {
	at := timestamppb.New(noon)
	switch b := ev.Body.(type) {
	case *pb.Event_Code:
		b.Code.ExpiresAt = at
	case *pb.Event_Qr:
		b.Qr.ExpiresAt = at
	case *pb.Event_PairingCode:
		b.PairingCode.ExpiresAt = at
	case *pb.Event_Passkey:
		b.Passkey.ExpiresAt = at
	}
	return ev
}

// The events of a case get the stream sequences 1, 2, 3 …
func TestReaderRules(t *testing.T) {
	const (
		idle, connecting, pairing = instance.Idle, instance.Connecting, instance.Pairing
	)
	for _, tc := range []struct {
		name   string
		events []*pb.Event
		// What may be shown at the end, by text; empty for nothing.
		code, qr, typed, passkey string
		// dropped are the sequences that no subscriber hears of.
		dropped []int
	}{
		{name: "nothing", events: nil},
		{name: "code before its picture", events: []*pb.Event{status(connecting, 1), status(pairing, 1), code("A", 1, 1)}, code: "A"},
		{name: "code and picture", events: []*pb.Event{status(pairing, 1), code("A", 1, 1), picture("A", 1, 1, 2)}, code: "A", qr: "A"},
		{name: "only the picture is left in the stream", events: []*pb.Event{status(pairing, 1), picture("A", 1, 1, 0)}, code: "A", qr: "A"},
		{name: "code held until its status comes", events: []*pb.Event{code("A", 1, 1), status(pairing, 1)}, code: "A"},
		{name: "no code while connecting", events: []*pb.Event{status(connecting, 1), code("A", 1, 1)}},
		{name: "rotation: no picture until the next is drawn", events: []*pb.Event{status(pairing, 1), code("A", 1, 1), picture("A", 1, 1, 2), code("B", 1, 2)}, code: "B"},
		{name: "rotation: a late picture of the code before", events: []*pb.Event{status(pairing, 1), code("A", 1, 1), code("B", 1, 2), picture("A", 1, 1, 2)}, code: "B", dropped: []int{4}},
		{name: "rotation: the picture of the new code", events: []*pb.Event{status(pairing, 1), code("A", 1, 1), picture("A", 1, 1, 2), code("B", 1, 2), picture("B", 1, 2, 4)}, code: "B", qr: "B"},
		{name: "the highest number wins", events: []*pb.Event{status(pairing, 1), code("B", 1, 2), code("A", 1, 1)}, code: "B", dropped: []int{3}},
		{name: "withdrawn", events: []*pb.Event{status(pairing, 1), code("A", 1, 1), picture("A", 1, 1, 2), withdrawal(1)}},
		{name: "no picture after the withdrawal", events: []*pb.Event{status(pairing, 1), code("A", 1, 1), withdrawal(1), picture("A", 1, 1, 2)}, dropped: []int{4}},
		{name: "no picture after a withdrawal that alone is left in the stream", events: []*pb.Event{status(pairing, 1), status(pairing, 1), withdrawal(1), picture("A", 1, 1, 2)}, dropped: []int{4}},
		{name: "no picture of unknown code after the withdrawal", events: []*pb.Event{status(pairing, 1), code("A", 1, 1), withdrawal(1), picture("A", 1, 1, 0)}, dropped: []int{4}},
		{name: "a new code after a withdrawal", events: []*pb.Event{status(pairing, 1), code("A", 1, 1), withdrawal(1), code("B", 1, 2), picture("B", 1, 2, 4)}, code: "B", qr: "B"},
		{name: "no picture after the scan", events: []*pb.Event{status(pairing, 1), code("A", 1, 1), withdrawal(1), status(instance.Syncing, 1), picture("A", 1, 1, 2)}, dropped: []int{5}},
		{name: "no picture after the scan without a withdrawal", events: []*pb.Event{status(pairing, 1), code("A", 1, 1), picture("A", 1, 1, 2), status(instance.Syncing, 1)}},
		{name: "no picture while online", events: []*pb.Event{status(pairing, 1), code("A", 1, 1), status(instance.Online, 1), picture("A", 1, 1, 2), code("B", 1, 2)}, dropped: []int{4, 5}},
		{name: "no code after the window closed", events: []*pb.Event{status(pairing, 1), code("A", 1, 1), status(idle, 1), code("B", 1, 2)}, dropped: []int{4}},
		{name: "an earlier attempt", events: []*pb.Event{status(pairing, 1), code("A", 1, 1), status(connecting, 2), picture("A", 1, 1, 2), status(pairing, 2)}, dropped: []int{4}},
		{name: "a new attempt starts at one", events: []*pb.Event{status(pairing, 1), code("A", 1, 7), status(idle, 1), status(pairing, 2), code("B", 2, 1)}, code: "B"},
		{name: "a new attempt in one window", events: []*pb.Event{status(pairing, 1), code("A", 1, 7), status(pairing, 2), code("B", 2, 1), picture("B", 2, 1, 4)}, code: "B", qr: "B"},
		{name: "a late withdrawal of an earlier attempt", events: []*pb.Event{status(pairing, 2), code("B", 2, 1), withdrawal(1)}, code: "B", dropped: []int{3}},
		{name: "another reason for pairing keeps the code", events: []*pb.Event{status(pairing, 1), code("A", 1, 1), status(pairing, 1)}, code: "A"},
		{name: "expired code", events: []*pb.Event{status(pairing, 1), expired(code("A", 1, 1))}},
		{name: "expired picture", events: []*pb.Event{status(pairing, 1), expired(code("A", 1, 1)), expired(picture("A", 1, 1, 2))}},
		{name: "password asked for", events: []*pb.Event{status(pairing, 1), code("A", 1, 1), status(instance.PasswordRequired, 1)}},
		{name: "back from the password without a new code", events: []*pb.Event{status(pairing, 1), code("A", 1, 1), status(instance.PasswordRequired, 1), status(pairing, 1)}},
		{name: "pairing code beside the code", events: []*pb.Event{status(pairing, 1), code("A", 1, 1), typed("ABCD", 1)}, code: "A", typed: "ABCD"},
		{name: "pairing code withdrawn", events: []*pb.Event{status(pairing, 1), typed("ABCD", 1), typed("", 1)}},
		{name: "pairing code of an earlier attempt", events: []*pb.Event{status(pairing, 2), typed("ABCD", 1)}, dropped: []int{2}},
		{name: "pairing code after the scan", events: []*pb.Event{status(pairing, 1), typed("ABCD", 1), status(instance.Syncing, 1), typed("EFGH", 1)}, dropped: []int{4}},
		{name: "pairing code expired", events: []*pb.Event{status(pairing, 1), expired(typed("ABCD", 1))}},
		{name: "passkey", events: []*pb.Event{status(pairing, 1), status(instance.PasskeyRequired, 1), challenge("{}", 1)}, passkey: "{}"},
		{name: "passkey before its status", events: []*pb.Event{status(pairing, 1), challenge("{}", 1), status(instance.PasskeyRequired, 1)}, passkey: "{}"},
		{name: "passkey answered", events: []*pb.Event{status(instance.PasskeyRequired, 1), challenge("{}", 1), status(instance.Syncing, 1)}},
		{name: "passkey expired", events: []*pb.Event{status(instance.PasskeyRequired, 1), expired(challenge("{}", 1))}},
		{name: "passkey of an earlier attempt", events: []*pb.Event{status(instance.PasskeyRequired, 2), challenge("{}", 1)}, dropped: []int{2}},
	} {
		t.Run(strings.ReplaceAll(tc.name, ":", ""), func(t *testing.T) {
			s := new(session)
			var dropped []int
			for i, ev := range tc.events {
				if !s.apply(ev, uint64(i+1)) {
					dropped = append(dropped, i+1)
				}
			}
			snap := s.current("0190a8f0-0000-7000-8000-000000000001", noon)
			check := func(what, got, want string) {
				if got != want {
					t.Errorf("%s is %q, want %q", what, got, want)
				}
			}
			check("code", snap.Code.GetCode(), tc.code)
			check("picture", snap.QR.GetCode(), tc.qr)
			check("pairing code", snap.PairingCode.GetCode(), tc.typed)
			passkey := ""
			if snap.Passkey != nil {
				passkey = snap.Passkey.Options
			}
			check("passkey", passkey, tc.passkey)
			if len(dropped) != len(tc.dropped) {
				t.Fatalf("dropped %v, want %v", dropped, tc.dropped)
			}
			for i := range dropped {
				if dropped[i] != tc.dropped[i] {
					t.Fatalf("dropped %v, want %v", dropped, tc.dropped)
				}
			}
			if !snap.Known && snap.Status.Phase != instance.Idle {
				t.Errorf("an instance without status reads as %s", snap.Status.Phase)
			}
		})
	}
}

func TestEventsThatComeAgainChangeNothing(t *testing.T) {
	events := []*pb.Event{status(instance.Pairing, 1), code("A", 1, 1), picture("A", 1, 1, 2), code("B", 1, 2)}
	s := new(session)
	for i, ev := range events {
		s.apply(ev, uint64(i+1))
	}
	for i, ev := range events {
		s.apply(ev, uint64(i+1))
	}
	snap := s.current("", noon)
	if snap.Code.GetCode() != "B" || snap.QR != nil || snap.StatusSequence != 1 || snap.CodeSequence != 4 {
		t.Errorf("after a repetition: %+v", snap)
	}
}

func TestPicturesAreNotKeptOnceNobodyMayUseThem(t *testing.T) {
	s := new(session)
	s.apply(status(instance.Pairing, 1), 1)
	s.apply(code("A", 1, 1), 2)
	s.apply(picture("A", 1, 1, 2), 3)
	if s.pairing.expire(noon.Add(time.Minute)) || s.pairing.qr != nil || s.pairing.code != nil {
		t.Error("an expired picture is kept")
	}
	s.apply(code("B", 1, 2), 4)
	s.apply(picture("B", 1, 2, 4), 5)
	s.apply(status(instance.Online, 1), 6)
	if s.pairing != nil {
		t.Error("a picture is kept after the window")
	}
}

func TestCreationTimeOfAnID(t *testing.T) {
	want := time.UnixMilli(0x0190a8f01234).UTC()
	if got := createdAt("0190a8f0-1234-7000-8000-000000000001"); !got.Equal(want) {
		t.Errorf("created at %v, want %v", got, want)
	}
	for _, id := range []instance.ID{"", "x", "0190a8f0-1234-4000-8000-000000000001", "zzzzzzzz-zzzz-7zzz-8000-000000000001"} {
		if got := createdAt(id); !got.IsZero() {
			t.Errorf("createdAt(%q) is %v", id, got)
		}
	}
}

func FuzzReaderRules(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5})
	f.Add([]byte{0x11, 0x52, 0x33, 0x94, 0x75})
	phases := instance.Phases()
	f.Fuzz(func(t *testing.T, steps []byte) {
		s := new(session)
		for i, b := range steps {
			attempt, number := uint64(b>>3&3), uint64(b>>5)
			var ev *pb.Event
			switch b & 7 {
			case 0, 1:
				ev = status(phases[int(b>>5)%len(phases)], attempt)
			case 2:
				ev = withdrawal(attempt)
			case 3, 4:
				ev = code("A", attempt, number)
			case 5:
				ev = picture("A", attempt, number, uint64(i))
			case 6:
				ev = typed("ABCD", attempt)
			default:
				ev = challenge("{}", attempt)
			}
			s.apply(ev, uint64(i+1))
			snap := s.current("", noon)
			if snap.Status.Phase != instance.Pairing && (snap.Code != nil || snap.QR != nil || snap.PairingCode != nil) {
				t.Fatalf("a code is shown in phase %s", snap.Status.Phase)
			}
			for _, q := range []*pb.Qr{snap.Code, snap.QR} {
				if q != nil && (q.GetAttempt() != snap.Status.Attempt || q.GetCode() == "") {
					t.Fatalf("a code of attempt %d is shown in attempt %d", q.GetAttempt(), snap.Status.Attempt)
				}
			}
			if snap.QR != nil && snap.QR.GetSequence() != snap.Code.GetSequence() {
				t.Fatal("the picture is not that of the code")
			}
		}
	})
}
