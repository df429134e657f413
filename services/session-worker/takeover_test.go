package worker_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/session-worker/driver"
)

func remove(record *pb.InstanceRecord, number uint64) { record.DeleteRequest = number }

// An idle instance is told of anew by the next owner without asking anybody.
func TestTakingOverAnIdleInstanceCostsItsStatusOnly(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	defer func() { stop() }()
	record := r.create(true)
	id := record.GetInstance().GetId()
	r.ask(record, connect)
	r.await(id, "pairing", phase(instance.Pairing))
	number := r.ask(record, logout)
	first := r.await(id, "idle", phase(instance.Idle))
	stop()
	looked := r.phone.count(r.phone.looked, id)
	stop = r.start()
	again := r.await(id, "the next epoch", func(s instance.Status) bool { return s.Epoch > first.Epoch })
	first.Epoch, first.Previous = again.Epoch, first.Phase
	if again != first || again.ObservedRequest != number {
		t.Fatalf("told %+v, want %+v", again, first)
	}
	if n := r.phone.count(r.phone.looked, id); n != looked {
		t.Fatal("the key store was asked")
	}
	r.ask(record, connect)
	r.await(id, "pairing", phase(instance.Pairing))
}

// Without the driver nobody knows whether keys are missing: the instance comes
// back by itself as soon as a worker has the driver.
func TestLinkSurvivesAWorkerWithoutTheDriver(t *testing.T) {
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
	drivers := r.drivers
	r.drivers = []driver.Driver{}
	stop = r.start()
	s := r.await(id, "offline", func(s instance.Status) bool { return s.Reason == instance.ReasonProviderMissing })
	if s.Phase != instance.Offline || s.Account == nil {
		t.Fatalf("status %+v", s)
	}
	stop()
	r.drivers = drivers
	stop = r.start()
	r.await(id, "online again", phase(instance.Online))
}

// The stream forgets creations after some days, the wish to connect may come later.
func TestConnectLongAfterTheCreation(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	defer stop()
	record := r.create(false)
	record.Instance.CreatedAt = timestamppb.New(time.Now().AddDate(0, -1, 0))
	r.ask(record, connect)
	r.await(record.GetInstance().GetId(), "pairing", phase(instance.Pairing))
}

// However long there was no worker, a deletion is done; but not a second time
// when its statuses are being cleaned up.
func TestDeletionIsDoneOnceHoweverLate(t *testing.T) {
	r := newRig(t)
	late := r.create(true)
	late.DeletedAt = timestamppb.New(time.Now().AddDate(0, 0, -3))
	r.ask(late, remove)
	cleaned := proto.CloneOf(late)
	cleaned.Instance = r.create(true).GetInstance()
	r.tell(cleaned, instance.KindDeleted)
	r.ask(cleaned, remove)
	defer r.start()()

	r.await(late.GetInstance().GetId(), "the deletion", phase(instance.Deleted))
	other := r.create(true)
	r.ask(other, connect)
	r.await(other.GetInstance().GetId(), "pairing", phase(instance.Pairing))
	for _, e := range r.events(cleaned.GetInstance().GetId()) {
		if e.GetStatus() != nil {
			t.Fatalf("status %s of an instance that is being cleaned up", e.GetStatus().GetPhase())
		}
	}
}
