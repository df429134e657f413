package worker_test

import (
	"context"
	"slices"
	"testing"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// SetPresence implements driver.PresenceSetter.
func (s *fakeSession) SetPresence(_ context.Context, available bool) error {
	s.phone.mu.Lock()
	defer s.phone.mu.Unlock()
	s.phone.presences = append(s.phone.presences, available)
	return nil
}

func TestPresenceReachesTheSessionOfALinkedAccountAndNoOther(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	defer stop()
	record := r.create(true)
	id := instance.ID(record.GetInstance().GetId())
	show := func(available bool) error {
		return bus.Request(t.Context(), r.conn, bus.SessionSubject(id.Partition(), id, bus.VerbPresence),
			&pb.PresenceRequest{Available: available}, &pb.SessionReply{})
	}
	r.ask(record, connect)
	r.await(string(id), "pairing", phase(instance.Pairing))
	if err := show(true); err == nil || instance.AsProblem(err).Code != instance.CodeConflict || instance.AsProblem(err).Phase != instance.Pairing {
		t.Fatalf("the presence of nobody: %v", err)
	}
	r.phone.scan(id)
	r.await(string(id), "online", phase(instance.Online))
	for _, available := range []bool{true, false} {
		if err := show(available); err != nil {
			t.Fatal(err)
		}
	}
	r.phone.mu.Lock()
	defer r.phone.mu.Unlock()
	if !slices.Equal(r.phone.presences, []bool{true, false}) {
		t.Errorf("the session was told %v", r.phone.presences)
	}
}
