package standalone_test

import (
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
	pb "pairgate.dev/proto/pairgate/v1"
)

// script writes a made-up stream into a history.
type script struct {
	t  *testing.T
	h  *history
	id instance.ID
}

const scriptedID = instance.ID("019a0000-0000-7000-8000-000000000001")

func (s *script) owner(worker string, released bool) (epoch uint64) {
	s.t.Helper()
	body, err := json.Marshal(lease.Owner{Worker: worker, Nonce: "nonce of " + worker, Released: released})
	if err != nil {
		s.t.Fatal(err)
	}
	s.h.observe(s.h.last+1, bus.OwnerSubject(s.id.Partition()), body)
	return s.h.last
}

func (s *script) event(e *pb.Event) {
	s.t.Helper()
	e.Id, e.Time, e.Instance = bus.NewEventID(), timestamppb.Now(), &pb.InstanceRef{Id: string(s.id)}
	m, err := bus.EncodeEvent(e)
	if err != nil {
		s.t.Fatal(err)
	}
	s.h.observe(s.h.last+1, m.Subject, m.Data)
}

func (s *script) status(epoch, attempt uint64, phase instance.Phase, reason instance.Reason) {
	s.t.Helper()
	status := &pb.Status{Phase: string(phase), Reason: string(reason), Epoch: epoch, Attempt: attempt}
	if phase == instance.Online || phase == instance.Offline {
		status.Account = &pb.Account{Id: "account"}
	}
	s.event(&pb.Event{Kind: string(instance.KindStatus), Epoch: epoch, Attempt: attempt, Body: &pb.Event_Status{Status: status}})
}

func (s *script) code(epoch, attempt, number uint64, text string) {
	s.t.Helper()
	s.event(&pb.Event{Kind: string(instance.KindCode), Epoch: epoch, Attempt: attempt,
		Body: &pb.Event_Code{Code: &pb.Qr{Code: text, Attempt: attempt, Sequence: number}}})
}

// shown takes the instance to a code in its first attempt.
func (s *script) shown(worker string) (epoch uint64) {
	s.t.Helper()
	epoch = s.owner(worker, false)
	s.status(epoch, 1, instance.Connecting, instance.ReasonConnectRequested)
	s.status(epoch, 1, instance.Pairing, instance.ReasonQRIssued)
	s.code(epoch, 1, 1, "first")
	return epoch
}

// online takes the instance to a link.
func (s *script) online(worker string) (epoch uint64) {
	s.t.Helper()
	epoch = s.shown(worker)
	s.code(epoch, 1, 1, "")
	s.status(epoch, 1, instance.Syncing, instance.ReasonScanned)
	s.status(epoch, 1, instance.Online, instance.ReasonLinked)
	return epoch
}

// TestHistoryOfOwnershipSeesEachFault holds the judge of the tests of ownership
// to its word: a stream with one fault is not passed.
func TestHistoryOfOwnershipSeesEachFault(t *testing.T) {
	for name, c := range map[string]struct {
		write func(s *script)
		want  string // part of the one fault; empty for none
	}{
		"take-over of a window": {func(s *script) {
			s.shown("a")
			b := s.owner("b", false)
			s.code(b, 1, 0, "")
			s.status(b, 2, instance.Connecting, instance.ReasonWorkerLost)
			s.status(b, 2, instance.Pairing, instance.ReasonQRIssued)
			s.code(b, 2, 1, "second")
		}, ""},
		"take-over of a link": {func(s *script) {
			s.online("a")
			b := s.owner("b", false)
			s.status(b, 1, instance.Offline, instance.ReasonWorkerLost)
			s.status(b, 1, instance.Online, instance.ReasonReconnected)
		}, ""},
		"hand-over": {func(s *script) {
			s.online("a")
			s.owner("a", true)
			s.status(s.owner("b", false), 1, instance.Offline, instance.ReasonWorkerLost)
		}, ""},
		"late write of the old owner": {func(s *script) {
			a := s.shown("a")
			s.owner("b", false)
			s.code(a, 1, 2, "late")
		}, "code under epoch 1 in partition"},
		"write after the release": {func(s *script) {
			a := s.online("a")
			s.owner("a", true)
			s.status(a, 1, instance.Offline, instance.ReasonConnectionClosed)
		}, "has released"},
		"write without an owner": {func(s *script) {
			s.status(0, 0, instance.Idle, instance.ReasonCreated)
		}, "which nobody owns"},
		"release by a stranger": {func(s *script) {
			s.owner("a", false)
			s.owner("b", true)
		}, "is released by who does not own it"},
		"attempt goes back": {func(s *script) {
			a := s.shown("a")
			s.code(a, 1, 1, "")
			s.status(a, 2, instance.Connecting, instance.ReasonConnectRequested)
			s.status(a, 1, instance.Idle, instance.ReasonQRTimeout)
		}, "goes back from attempt 2 to 1"},
		"window opened anew with the same attempt": {func(s *script) {
			s.shown("a")
			b := s.owner("b", false)
			s.code(b, 1, 0, "")
			s.status(b, 1, instance.Connecting, instance.ReasonWorkerLost)
		}, "had a window open, and its new owner says"},
		"window opened anew for another reason": {func(s *script) {
			s.shown("a")
			b := s.owner("b", false)
			s.code(b, 1, 0, "")
			s.status(b, 2, instance.Connecting, instance.ReasonConnectRequested)
		}, "had a window open, and its new owner says"},
		"linked and paired anew": {func(s *script) {
			s.online("a")
			b := s.owner("b", false)
			s.status(b, 2, instance.Connecting, instance.ReasonWorkerLost)
		}, "was linked, and its new owner says"},
		"code before its status": {func(s *script) {
			a := s.owner("a", false)
			s.status(a, 1, instance.Connecting, instance.ReasonConnectRequested)
			s.code(a, 1, 1, "early")
		}, "while it is connecting"},
		"code left after the scan": {func(s *script) {
			a := s.shown("a")
			s.status(a, 1, instance.Syncing, instance.ReasonScanned)
		}, "with its code still shown"},
		"code told again": {func(s *script) {
			a := s.shown("a")
			s.code(a, 1, 1, "again")
		}, "shows code 1 after 1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &script{t: t, h: newHistory(), id: scriptedID}
			c.write(s)
			got := strings.Join(s.h.faults, "\n")
			if c.want == "" && got != "" || c.want != "" && (len(s.h.faults) != 1 || !strings.Contains(got, c.want)) {
				t.Errorf("the faults seen are %q, want one with %q", got, c.want)
			}
		})
	}
}
