package worker_test

import (
	"testing"
	"time"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

func TestLinkOverARestart(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	defer func() { stop() }()
	record := r.create(true)
	id := record.GetInstance().GetId()

	number := r.ask(record, connect)
	s := r.await(id, "pairing", phase(instance.Pairing))
	if s.Attempt != 1 || s.ObservedRequest != number {
		t.Fatalf("attempt %d, observed %d of %d", s.Attempt, s.ObservedRequest, number)
	}
	r.phone.scan(instance.ID(id))
	online := r.await(id, "online", phase(instance.Online))
	if online.Account == nil || online.Account.Phone != "15550001" || online.Reason != instance.ReasonLinked {
		t.Fatalf("status %+v", online)
	}

	stop()
	stop = r.start()
	back := r.await(id, "online again", func(s instance.Status) bool { return s.Phase == instance.Online && s.Epoch > online.Epoch })
	if back.Reason != instance.ReasonReconnected || back.Attempt != 1 {
		t.Fatalf("status %+v", back)
	}
	if r.phone.pairs[instance.ID(id)] != 1 {
		t.Fatalf("paired %d times", r.phone.pairs[instance.ID(id)])
	}
}

// The order in which readers see a link: the status before the first code, the
// withdrawal before the status that ends pairing.
func TestCodeIsWithdrawnBeforePairingEnds(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	defer stop()
	record := r.create(true)
	id := record.GetInstance().GetId()
	r.ask(record, connect)
	r.await(id, "pairing", phase(instance.Pairing))
	r.phone.session(instance.ID(id)).code()
	r.phone.scan(instance.ID(id))
	r.await(id, "online", phase(instance.Online))

	var seen []string
	for _, e := range r.events(id) {
		switch {
		case e.GetStatus() != nil:
			seen = append(seen, e.GetStatus().GetPhase())
		case e.GetCode() != nil && e.GetCode().GetCode() == "":
			seen = append(seen, "withdrawn")
		case e.GetCode() != nil:
			seen = append(seen, "code")
		}
	}
	want := []string{"connecting", "pairing", "code", "code", "withdrawn", "syncing", "online"}
	if len(seen) == len(want)-1 { // The first code may have given way to the second before it was sent.
		want = append(want[:2:2], want[3:]...)
	}
	if len(seen) != len(want) {
		t.Fatalf("saw %v, want %v", seen, want)
	}
	for i := range want {
		if seen[i] != want[i] {
			t.Fatalf("saw %v, want %v", seen, want)
		}
	}
}

func TestOpenWindowIsOpenedAnewByTheNextOwner(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	defer func() { stop() }()
	record := r.create(true)
	id := record.GetInstance().GetId()
	r.ask(record, connect)
	first := r.await(id, "pairing", phase(instance.Pairing))
	stop()
	stop = r.start()
	again := r.await(id, "pairing again", func(s instance.Status) bool { return s.Phase == instance.Pairing && s.Attempt == 2 })
	if again.Epoch <= first.Epoch {
		t.Fatalf("epoch %d after %d", again.Epoch, first.Epoch)
	}
	var lost bool
	for _, e := range r.events(id) {
		s := e.GetStatus()
		lost = lost || s.GetPhase() == "connecting" && s.GetReason() == "worker_lost" && s.GetAttempt() == 2
	}
	if !lost {
		t.Fatal("no status connecting/worker_lost with the next attempt")
	}
}

// A logout and a connect that nobody saw one by one are both done, in order.
func TestUnobservedRequestsAreDoneInTheirOrder(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	defer func() { stop() }()
	record := r.create(true)
	id := record.GetInstance().GetId()
	r.ask(record, connect)
	r.await(id, "pairing", phase(instance.Pairing))
	r.phone.scan(instance.ID(id))
	r.await(id, "online", phase(instance.Online))
	stop()
	r.ask(record, logout)
	number := r.ask(record, connect)
	stop = r.start()
	r.await(id, "a new window", func(s instance.Status) bool { return s.Phase == instance.Pairing && s.ObservedRequest == number })
	if r.phone.logouts[instance.ID(id)] != 1 {
		t.Fatalf("logged out %d times", r.phone.logouts[instance.ID(id)])
	}
}

func TestSameRequestSeenTwiceChangesNothing(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	defer stop()
	record := r.create(true)
	id := record.GetInstance().GetId()
	r.ask(record, connect)
	r.await(id, "pairing", phase(instance.Pairing))
	r.put(record)
	r.put(record)
	number := r.ask(record, restart)
	s := r.await(id, "the restart", func(s instance.Status) bool { return s.Phase == instance.Pairing && s.ObservedRequest == number })
	if s.Attempt != 2 {
		t.Fatalf("attempt %d", s.Attempt)
	}
}

func TestNothingIsToldBeforeTheCreation(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	defer stop()
	record := r.create(false)
	id := record.GetInstance().GetId()
	r.ask(record, connect)
	other := r.create(true)
	r.ask(other, connect)
	r.await(other.GetInstance().GetId(), "the other to pair", phase(instance.Pairing))
	if events := r.events(id); len(events) != 0 {
		t.Fatalf("%d events before created", len(events))
	}
	r.tell(record, instance.KindCreated)
	r.await(id, "pairing", phase(instance.Pairing))
	if events := r.events(id); events[0].GetKind() != "created" {
		t.Fatalf("the first event is %s", events[0].GetKind())
	}
}

func TestRemoteLogoutIsNotUndoneByARestartOfTheWorker(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	defer func() { stop() }()
	record := r.create(true)
	id := record.GetInstance().GetId()
	r.ask(record, connect)
	r.await(id, "pairing", phase(instance.Pairing))
	r.phone.scan(instance.ID(id))
	r.await(id, "online", phase(instance.Online))
	r.phone.session(instance.ID(id)).tell(instance.Closed{Reason: instance.ReasonLoggedOutOnPhone})
	idle := r.await(id, "idle", phase(instance.Idle))
	if idle.Reason != instance.ReasonLoggedOutOnPhone {
		t.Fatalf("reason %s", idle.Reason)
	}
	opened := r.phone.opened[instance.ID(id)]
	stop()
	stop = r.start()
	r.await(id, "idle under the next epoch", func(s instance.Status) bool { return s.Phase == instance.Idle && s.Epoch > idle.Epoch })
	if r.phone.opened[instance.ID(id)] != opened {
		t.Fatal("a session was opened without a command")
	}
}

func TestMissingKeysAreToldAndNeverPairedAnew(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	defer func() { stop() }()
	record := r.create(true)
	id := record.GetInstance().GetId()
	r.ask(record, connect)
	r.await(id, "pairing", phase(instance.Pairing))
	r.phone.scan(instance.ID(id))
	r.await(id, "online", phase(instance.Online))
	stop()
	if err := r.phone.Forget(t.Context(), instance.ID(id)); err != nil {
		t.Fatal(err)
	}
	stop = r.start()
	s := r.await(id, "offline", func(s instance.Status) bool { return s.Reason == instance.ReasonKeysMissing })
	if s.Phase != instance.Offline || r.phone.pairs[instance.ID(id)] != 1 {
		t.Fatalf("status %+v, paired %d times", s, r.phone.pairs[instance.ID(id)])
	}
}

func TestTouchAndPasswordReachTheOwner(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	defer stop()
	record := r.create(true)
	id := instance.ID(record.GetInstance().GetId())
	r.ask(record, connect)
	r.await(string(id), "pairing", phase(instance.Pairing))
	if err := bus.Send(t.Context(), r.conn, bus.SessionSubject(id.Partition(), id, bus.VerbTouch), &pb.TouchRequest{}); err != nil {
		t.Fatal(err)
	}
	bustest.CheckFor(t, 5*time.Second, func() error {
		err := bus.Request(t.Context(), r.conn, bus.SessionSubject(id.Partition(), id, bus.VerbPassword),
			&pb.PasswordRequest{Password: "secret"}, &pb.SessionReply{})
		if p := instance.AsProblem(err); err == nil || p.Code != instance.CodeConflict || p.Phase != instance.Pairing {
			t.Fatalf("a password nobody asked for: %v", err)
		}
		return nil
	})
}
