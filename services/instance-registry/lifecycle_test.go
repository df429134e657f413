package registry

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// derived waits until the durable consumer has nothing left to derive.
func (w *world) derived(t *testing.T) {
	t.Helper()
	bustest.CheckFor(t, patience, func() error {
		last, err := w.lastOf(t.Context(), bus.BucketStream(bus.BucketInstances))
		if err != nil {
			return err
		}
		c, err := w.conn.JetStream().Consumer(t.Context(), bus.BucketStream(bus.BucketInstances), bus.DurableLifecycle)
		if err != nil {
			return err
		}
		if i := c.CachedInfo(); i.NumPending > 0 || i.NumAckPending > 0 {
			return fmt.Errorf("%d pending, %d in hand, of %d", i.NumPending, i.NumAckPending, last)
		}
		return nil
	})
}

func TestLifecycleEvents(t *testing.T) {
	w := serving(t)
	i := w.made(t, simple("shop")).GetInstance()
	must[pb.CommandReply](t, w, bus.SubjectInstancesConnect, &pb.ConnectRequest{Ref: "shop"})
	must[pb.RotateTokenReply](t, w, bus.SubjectInstancesRotateToken, &pb.RotateTokenRequest{Ref: "shop"})
	must[pb.UpdateInstanceReply](t, w, bus.SubjectInstancesUpdate, &pb.UpdateInstanceRequest{Ref: "shop", QrTimeout: new(uint32(60))})
	must[pb.UpdateInstanceReply](t, w, bus.SubjectInstancesUpdate, &pb.UpdateInstanceRequest{Ref: "shop", QrTimeout: new(uint32(60))}) // changes nothing
	must[pb.UpdateInstanceReply](t, w, bus.SubjectInstancesUpdate, &pb.UpdateInstanceRequest{Ref: "shop", Name: new("store")})
	must[pb.DeleteInstanceReply](t, w, bus.SubjectInstancesDelete, &pb.DeleteInstanceRequest{Ref: "store"})
	w.derived(t)
	w.waitKinds(t, i.GetId(), "created updated updated")
	w.says(t, i.GetId(), instance.Status{Phase: instance.Deleted, Reason: instance.ReasonDeleted})
	events := w.waitKinds(t, i.GetId(), "created updated updated deleted")
	for n, ev := range events {
		kind := instance.Kind(ev.GetKind())
		if ev.GetId() != bus.LifecycleEventID(instance.ID(i.GetId()), ev.GetRevision(), kind) {
			t.Errorf("event %d has an id of its own", n)
		}
		if ev.GetIncarnation() == "" || ev.GetInstance().GetNumber() != i.GetNumber() || ev.GetSpec().GetStatus() != nil {
			t.Errorf("event %v", ev)
		}
	}
	if got := events[2].GetSpec(); got.GetName() != "store" || got.GetSpecVersion() != 3 || got.GetQrTimeout() != 60 {
		t.Errorf("updated tells of %v", got)
	}
	if ref := events[3].GetInstance(); ref.GetName() != "store" {
		t.Errorf("deleted names %v", ref)
	}

	// Beginning again from the first revision publishes nothing.
	before, err := w.lastOf(t.Context(), bus.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	w.stop()
	if err := w.conn.JetStream().DeleteConsumer(t.Context(), bus.BucketStream(bus.BucketInstances), bus.DurableLifecycle); err != nil {
		t.Fatal(err)
	}
	w.launch(t, w.cfg)
	w.derived(t)
	if after, err := w.lastOf(t.Context(), bus.StreamEvents); err != nil || after != before {
		t.Errorf("deriving again published %d events (%v)", after-before, err)
	}
}

// Replicas that derive the same revision at once, as after an acknowledgement
// that was late, publish one event.
func TestTwoReplicasDeriveOneEvent(t *testing.T) {
	w := bench(t)
	reply, err := w.create(t.Context(), simple("shop"))
	if err != nil {
		t.Fatal(err)
	}
	id := instance.ID(reply.GetInstance().GetId())
	rec, err := w.load(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	updated := record{InstanceRecord: proto.CloneOf(rec.InstanceRecord), revision: rec.revision + 5, stored: rec.stored}
	updated.Instance.SpecVersion = 2
	for range 2 {
		l := newLifecycle(w.registry)
		for _, r := range []record{rec, updated, rec} {
			if err := l.derive(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if events := w.eventsOf(t, string(id)); len(events) != 2 || events[0].GetKind() != "created" || events[1].GetKind() != "updated" {
		t.Errorf("events %v", events)
	}
}

// A deletion that nobody has derived yet must not be told before the update that preceded it.
func TestDeletedIsNotToldEarly(t *testing.T) {
	w := bench(t)
	reply, err := w.create(t.Context(), simple("shop"))
	if err != nil {
		t.Fatal(err)
	}
	id := reply.GetInstance().GetId()
	if _, err := w.update(t.Context(), &pb.UpdateInstanceRequest{Ref: "shop", Name: new("store")}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.delete(t.Context(), &pb.DeleteInstanceRequest{Ref: "store"}); err != nil {
		t.Fatal(err)
	}
	w.says(t, id, instance.Status{Phase: instance.Deleted, Reason: instance.ReasonDeleted})
	l := newLifecycle(w.registry)
	if done, err := l.tell(t.Context(), instance.ID(id)); err != nil || done {
		t.Errorf("told before anything was derived: %v, %v", done, err)
	}
	w.launch(t, w.cfg)
	w.waitKinds(t, id, "created updated deleted")
}

func TestAbandonedCreationIsNotTold(t *testing.T) {
	w := serving(t)
	rec, err := w.abandon(t.Context(), newID())
	if err != nil {
		t.Fatal(err)
	}
	w.derived(t)
	if events := w.eventsOf(t, string(rec.id())); len(events) != 0 {
		t.Errorf("events %v", events)
	}
	refused(t, w, instance.CodeInstanceNotFound, bus.SubjectInstancesGet, &pb.GetInstanceRequest{Ref: string(rec.id())})
	refused(t, w, instance.CodeInstanceNotFound, bus.SubjectInstancesDelete, &pb.DeleteInstanceRequest{Ref: string(rec.id())})
	w.sweepNow(t, w.cfg.Retention*2)
	if rec, err := w.load(t.Context(), rec.id()); err != nil || rec.exists() {
		t.Errorf("the tombstone stays: %v", err)
	}
}

// A record that can not be read must not stop the events of all others.
func TestUnreadableRecordIsLeftOut(t *testing.T) {
	w := serving(t)
	for _, body := range []string{"not json", "{}", `{"instance":{"id":"elsewhere"}}`} {
		if _, err := w.instances.Put(t.Context(), bus.InstanceKey(newID()), []byte(body), 0); err != nil {
			t.Fatal(err)
		}
	}
	w.waitKinds(t, w.made(t, simple("shop")).GetInstance().GetId(), "created")
}

// What decides the next event must not age out of the stream.
func TestCreatedOutlivesTheAgeOfEvents(t *testing.T) {
	w := serving(t)
	i := w.made(t, simple("shop")).GetInstance()
	w.waitKinds(t, i.GetId(), "created")
	msg, err := w.events.GetLastMsgForSubject(t.Context(), bus.EventSubject(instance.ID(i.GetId()), instance.KindCreated))
	if errors.Is(err, jetstream.ErrMsgNotFound) || err != nil {
		t.Fatal(err)
	}
	if ttl := msg.Header.Get(jetstream.MsgTTLHeader); ttl != bus.TTLNever {
		t.Errorf("TTL %q", ttl)
	}
}
