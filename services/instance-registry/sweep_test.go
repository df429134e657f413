package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/instance-registry/internal/store"

	pb "pairgate.dev/proto/pairgate/v1"
)

// consistent fails the test when an index key is held that no record uses, when
// a record lacks one, or when a webhook is of no instance.
func (w *world) consistent(t *testing.T, when string) {
	t.Helper()
	var want []string
	for _, key := range w.keys(t, bus.InstanceKeys) {
		id, _ := bus.ParseInstanceKey(key)
		rec, err := w.load(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if rec.live() {
			i := rec.GetInstance()
			want = append(want, bus.NameKey(i.GetName()), bus.TokenKey(rec.GetTokenHash(), id))
		}
		if !rec.GetAbandoned() {
			want = append(want, bus.NumberKey(rec.GetInstance().GetNumber()))
		}
	}
	got := w.keys(t, bus.NameKeys, bus.NumberKeys, bus.TokenKeys)
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s: keys held %v, used %v", when, got, want)
	}
	keys, err := w.endpoints.Keys(t.Context(), "e.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		id, _ := bus.ParseEndpointKey(key)
		e, err := w.loadEndpoint(t.Context(), id)
		if errors.Is(err, errNoWebhook) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if rec, err := w.load(t.Context(), instance.ID(e.GetWebhook().GetInstanceId())); err != nil || !rec.live() {
			t.Errorf("%s: webhook without instance (%v)", when, err)
		}
	}
}

// caughtUp waits until the views show what is stored.
func (w *world) caughtUp(t *testing.T) {
	t.Helper()
	for bucket, wait := range map[string]func(context.Context, uint64) error{
		bus.BucketInstances: w.views.Instances.WaitRevision, bus.BucketEndpoints: w.views.Endpoints.WaitRevision} {
		last, err := w.lastOf(t.Context(), bus.BucketStream(bucket))
		if err == nil {
			err = wait(t.Context(), last)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A process may die between any two writes of any operation: the sweeper then
// frees exactly what no record uses, and name, number and token can be had again.
func TestSweeperFreesWhatACrashLeftAtEveryStep(t *testing.T) {
	creation := &pb.CreateInstanceRequest{Name: "new", Provider: "simulated", Number: 7103000002, Token: "token-of-the-new-one",
		Webhooks: []*pb.WebhookSpec{{Url: "https://example.com/"}}}
	for name, operation := range map[string]func(ctx context.Context, r *registry) error{
		"create": func(ctx context.Context, r *registry) error { _, err := r.create(ctx, creation); return err },
		"rename": func(ctx context.Context, r *registry) error {
			_, err := r.update(ctx, &pb.UpdateInstanceRequest{Ref: "old", Name: new("new")})
			return err
		},
		"rotate": func(ctx context.Context, r *registry) error {
			_, err := r.rotateToken(ctx, &pb.RotateTokenRequest{Ref: "old", Token: "token-of-the-new-one"})
			return err
		},
		"delete": func(ctx context.Context, r *registry) error {
			_, err := r.delete(ctx, &pb.DeleteInstanceRequest{Ref: "old"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			steps := 0
			for n := 0; ; n++ {
				w := bench(t)
				if _, err := w.create(t.Context(), &pb.CreateInstanceRequest{Name: "old", Provider: "simulated", Number: 7103000001}); err != nil {
					t.Fatal(err)
				}
				dying, died := w.crashAfter(n)
				if err := operation(t.Context(), dying); err == nil && !died() {
					steps = n
					break
				}
				w.caughtUp(t)
				w.sweepNow(t, 2*w.cfg.ClaimAge)
				w.consistent(t, fmt.Sprintf("after a crash at write %d", n))
				if name == "create" {
					if _, err := w.create(t.Context(), creation); err != nil && w.created("new") == "" {
						t.Errorf("after a crash at write %d: %v", n, err)
					}
				}
			}
			if steps < 3 {
				t.Errorf("only %d writes", steps)
			}
		})
	}
}

func (w *world) created(name string) instance.ID {
	id, _ := w.views.Instances.Resolve(name)
	return id
}

// A creation that is only slow, and not dead, must not end as a record whose
// claims were freed under it.
func TestSweeperMakesAPendingCreationImpossible(t *testing.T) {
	w := bench(t)
	slow := w.interrupted("i.", func() { w.sweepNow(t, 2*w.cfg.ClaimAge) })
	_, err := slow.create(t.Context(), simple("shop"))
	if p := instance.AsProblem(err); err == nil || p.Code != instance.CodeUnavailable {
		t.Errorf("the slow creation ended with %v", err)
	}
	w.caughtUp(t)
	w.consistent(t, "afterwards")
	if _, err := w.create(t.Context(), simple("shop")); err != nil {
		t.Errorf("the name is not free: %v", err)
	}
}

// A rename, or a new token, that is only slow finds its claim freed and makes it anew.
func TestSweeperUnderASlowRename(t *testing.T) {
	w := bench(t)
	if _, err := w.create(t.Context(), simple("old")); err != nil {
		t.Fatal(err)
	}
	slow := w.interrupted("i.", func() { w.caughtUp(t); w.sweepNow(t, 2*w.cfg.ClaimAge) })
	reply, err := slow.update(t.Context(), &pb.UpdateInstanceRequest{Ref: "old", Name: new("new")})
	if err != nil || reply.GetInstance().GetName() != "new" {
		t.Fatalf("%v, %v", reply, err)
	}
	w.consistent(t, "after the rename")
	slow = w.interrupted("i.", func() { w.caughtUp(t); w.sweepNow(t, 2*w.cfg.ClaimAge) })
	if _, err := slow.rotateToken(t.Context(), &pb.RotateTokenRequest{Ref: "new"}); err != nil {
		t.Fatal(err)
	}
	w.consistent(t, "after the new token")
}

func TestSweeperLeavesYoungClaims(t *testing.T) {
	w := bench(t)
	if _, err := store.Take(t.Context(), w.instances, bus.NameKey("young"), newID()); err != nil {
		t.Fatal(err)
	}
	w.sweepNow(t, 0)
	if keys := w.keys(t, bus.NameKeys); len(keys) != 1 {
		t.Errorf("keys %v", keys)
	}
	// What a first sweep only suspects, the next one frees, though it looks at new claims only.
	s := newSweeper(w.registry, newLifecycle(w.registry))
	if err := s.sweep(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return time.Now().Add(2 * w.cfg.ClaimAge) }
	if err := s.sweep(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if keys := w.keys(t, bus.NameKeys); len(keys) != 0 {
		t.Errorf("keys %v", keys)
	}
	w.sweepNow(t, 2*markerAge)
	if keys, err := w.instances.Keys(t.Context(), bus.NameKeys); err != nil || len(keys) != 0 {
		t.Errorf("traces of removed keys %v, %v", keys, err)
	}
}

func TestDeletedInstanceIsCleanedUp(t *testing.T) {
	w := serving(t)
	req := simple("shop")
	req.Webhooks = []*pb.WebhookSpec{{Url: "https://example.com/a"}, {Url: "https://example.com/b"}}
	i := w.made(t, req).GetInstance()
	id := instance.ID(i.GetId())
	w.says(t, i.GetId(), instance.Status{Phase: instance.Idle, Reason: instance.ReasonCreated})
	must[pb.DeleteInstanceReply](t, w, bus.SubjectInstancesDelete, &pb.DeleteInstanceRequest{Ref: "shop"})
	w.says(t, i.GetId(), instance.Status{Phase: instance.Deleted, Reason: instance.ReasonDeleted})
	events := w.waitKinds(t, i.GetId(), "created deleted")

	w.sweepNow(t, 0)
	w.caughtUp(t)
	hooks := w.views.Endpoints.ByInstance(id)
	if len(hooks) != 2 || hooks[0].GetInstanceDeletedAt() == nil || hooks[1].GetInstanceDeletedAt() == nil {
		t.Fatalf("webhooks %v", hooks)
	}
	// One delivery is still owed: that webhook stays, the other one goes when the router is past the event.
	if _, err := w.conn.JetStream().Publish(t.Context(), bus.LaneSubject(hooks[0].GetWebhook().GetId(), id), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	w.sweepNow(t, 0)
	w.caughtUp(t)
	if left := w.views.Endpoints.ByInstance(id); len(left) != 2 {
		t.Fatalf("webhooks %v before anything was routed", left)
	}
	w.routed(t, events[1].GetSequence())
	w.sweepNow(t, 0)
	w.caughtUp(t)
	if left := w.views.Endpoints.ByInstance(id); len(left) != 1 || left[0].GetWebhook().GetId() != hooks[0].GetWebhook().GetId() {
		t.Fatalf("webhooks %v", left)
	}
	if rec, err := w.load(t.Context(), id); err != nil || !rec.exists() {
		t.Fatalf("the record is gone early: %v", err)
	}
	w.sweepNow(t, w.cfg.Retention+time.Hour)
	w.caughtUp(t)
	if rec, err := w.load(t.Context(), id); err != nil || rec.exists() {
		t.Errorf("the record is still there: %v, %v", rec, err)
	}
	if last, err := w.last(t.Context(), id, instance.KindStatus); err != nil || last.sequence != 0 {
		t.Errorf("the status is still there: %v, %v", last, err)
	}
	refused(t, w, instance.CodeNumberTaken, bus.SubjectInstancesCreate, &pb.CreateInstanceRequest{Name: "again", Provider: "simulated", Number: i.GetNumber()})
}

// routed says, as the dispatcher does, that events were routed up to the sequence.
func (w *world) routed(t *testing.T, sequence uint64) {
	t.Helper()
	incarnation, err := w.conn.Incarnation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m, err := bus.RolePosition{Incarnation: incarnation, Sequence: sequence}.Message(bus.RoleRouter, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.conn.JetStream().PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func TestSweeperCleansInTheBackground(t *testing.T) {
	cfg := testConfig()
	cfg.SweepInterval, cfg.ClaimAge = 20*time.Millisecond, time.Millisecond
	w := servingWith(t, cfg)
	if _, err := store.Take(t.Context(), w.instances, bus.NameKey("left behind"), newID()); err != nil {
		t.Fatal(err)
	}
	bustest.CheckFor(t, patience, func() error {
		if keys := w.keys(t, bus.NameKeys); len(keys) > 0 {
			return fmt.Errorf("keys %v", keys)
		}
		return nil
	})
}
