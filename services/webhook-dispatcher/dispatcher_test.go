package dispatcher_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	pb "pairgate.dev/proto/pairgate/v1"
	dispatcher "pairgate.dev/services/webhook-dispatcher"
)

func TestEventsArriveSignedInOrderWithTheirSequence(t *testing.T) {
	w := newWorld(t)
	r := newReceiver(t, nil)
	id := newInstance()
	hook := w.hook(id, r.URL, nil)
	w.start(w.config())
	var want []uint64
	for n := range 20 {
		want = append(want, w.status(id, instance.Offline, uint64(n)))
	}
	got := r.wait(20)
	order, again := firstSight(got, id)
	if !slices.Equal(order, want) || again != 0 {
		t.Fatalf("got %v and %d again, want %v", order, again, want)
	}
	if got[0].event.Incarnation == "" || got[0].event.Kind != "status" {
		t.Fatalf("%+v", got[0].event)
	}
	w.noneOwed()
	for seq, d := range w.attempts(hook) {
		if d.State != "delivered" || d.Attempts != 1 || d.LastAttempt.StatusCode != 200 || !slices.Contains(want, seq) {
			t.Fatalf("attempt %v", d)
		}
	}
}

func TestOrderPerLaneIsKeptUnderFailures(t *testing.T) {
	w := newWorld(t)
	var n atomic.Int64
	r := newReceiver(t, func(_ delivery, rw http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%3 == 0 {
			rw.WriteHeader(500)
		}
	})
	w.hook("", r.URL, nil)
	w.start(w.config())
	ids := instances(4)
	want := map[instance.ID][]uint64{}
	for i := range 80 {
		id := ids[i%len(ids)]
		want[id] = append(want[id], w.status(id, instance.Offline, uint64(i)))
	}
	got := r.wait(80)
	for _, id := range ids {
		if order, _ := firstSight(got, id); !slices.Equal(order, want[id]) {
			t.Fatalf("instance %s: got %v, want %v", id, order, want[id])
		}
	}
	w.noneOwed()
}

func TestOneDeadEndpointDelaysNobodyElse(t *testing.T) {
	w := newWorld(t)
	release := make(chan struct{})
	dead := newReceiver(t, func(_ delivery, _ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	healthy := newReceiver(t, nil)
	var ids []instance.ID
	for range 40 {
		id := newInstance()
		ids = append(ids, id)
		w.hook(id, healthy.URL, nil)
	}
	w.hook("", dead.URL, nil)
	cfg := w.config()
	cfg.Concurrency = 8
	w.start(cfg)
	for _, id := range ids {
		w.status(id, instance.Idle, 0)
	}
	healthy.wait(len(ids))
	if n := len(dead.got()); n != 0 {
		t.Fatalf("the dead endpoint took %d", n)
	}
}

func TestEndpointGetsEveryEventAfterTheReplyThatMadeIt(t *testing.T) {
	w := newWorld(t)
	r := newReceiver(t, nil)
	w.start(w.config())
	id := newInstance()
	var before, after []uint64
	for range 100 {
		before = append(before, w.status(id, instance.Idle, 0))
		one := newInstance()
		w.hook(one, r.URL, nil)
		after = append(after, w.status(one, instance.Idle, 0))
	}
	got := r.wait(len(after))
	for _, d := range got {
		if slices.Contains(before, d.sequence) {
			t.Fatalf("event %d is older than every endpoint", d.sequence)
		}
		after = slices.DeleteFunc(after, func(s uint64) bool { return s == d.sequence })
	}
	if len(after) > 0 {
		t.Fatalf("never delivered: %v", after)
	}
}

func TestAnEndpointIsNotOwedWhatWasBeforeItAndWhatItDidNotAskFor(t *testing.T) {
	w := newWorld(t)
	r := newReceiver(t, nil)
	id := newInstance()
	w.status(id, instance.Idle, 0)
	w.hook(id, r.URL, func(rec *pb.EndpointRecord) { rec.Webhook.Events = []string{"qr"} })
	w.hook(id, r.URL+"/disabled", func(rec *pb.EndpointRecord) { rec.Webhook.Enabled = false })
	w.hook(id, r.URL+"/other", func(rec *pb.EndpointRecord) { rec.Webhook.InstanceId = string(newInstance()) })
	w.hook(id, r.URL+"/unknown", func(rec *pb.EndpointRecord) { rec.Webhook.Format = "carrier-pigeon" })
	w.start(w.config())
	w.status(id, instance.Pairing, 1)
	want := w.picture(id, 1, 1, time.Minute)
	if got := r.wait(1); got[0].sequence != want || got[0].path != "/" {
		t.Fatalf("%+v", got)
	}
	w.noneOwed()
	if n := len(r.got()); n != 1 {
		t.Fatalf("%d deliveries", n)
	}
}

func TestNoPictureIsDeliveredAfterTheScan(t *testing.T) {
	w := newWorld(t)
	r := newReceiver(t, status(500))
	id := newInstance()
	hook := w.hook(id, r.URL, nil)
	cfg := w.config()
	w.start(cfg)
	opened := w.status(id, instance.Pairing, 1)
	bustest.CheckFor(t, patience, func() error {
		if r.attempts() == 0 {
			return fmt.Errorf("not tried yet")
		}
		return nil
	})
	var pictures []uint64
	for n := range 20 {
		pictures = append(pictures, w.picture(id, 1, uint64(n+1), time.Minute))
	}
	linked := w.status(id, instance.Online, 1)
	late := w.picture(id, 1, 21, time.Minute)
	r.setAnswer(nil)
	r.wait(2)
	w.noneOwed()
	if order, _ := firstSight(r.got(), id); !slices.Equal(order, []uint64{opened, linked}) {
		t.Fatalf("got %v, want %v", order, []uint64{opened, linked})
	}
	log := w.attempts(hook)
	for _, seq := range append(pictures, late) {
		if d := log[seq]; d.GetState() != "dropped" || d.GetReason() != "superseded" {
			t.Fatalf("picture %d: %v", seq, d)
		}
	}
}

func TestAnExpiredPictureIsDropped(t *testing.T) {
	w := newWorld(t)
	r := newReceiver(t, nil)
	id := newInstance()
	hook := w.hook(id, r.URL, nil)
	w.status(id, instance.Pairing, 1)
	expired := w.picture(id, 1, 1, -time.Second)
	w.start(w.config())
	r.wait(1)
	w.noneOwed()
	if d := w.attempts(hook)[expired]; d.GetState() != "dropped" || d.GetReason() != "expired" {
		t.Fatalf("%v", d)
	}
}

func TestARestartForgetsNothing(t *testing.T) {
	w := newWorld(t)
	slow := func(_ delivery, _ http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(2 * time.Millisecond):
		case <-r.Context().Done():
		}
	}
	r := newReceiver(t, slow)
	w.hook("", r.URL, nil)
	ids := instances(6)
	want := map[instance.ID][]uint64{}
	const total = 300
	crashes := 0
	cfg := w.config()
	d := w.start(cfg)
	for i := range total {
		id := ids[i%len(ids)]
		want[id] = append(want[id], w.status(id, instance.Offline, uint64(i)))
		switch i {
		case 80:
			r.wait(20)
			d.crash()
			crashes++
			d = w.start(cfg)
		case 160:
			r.wait(80)
			d.stop()
			d = w.start(cfg)
		}
	}
	bustest.CheckFor(t, patience, func() error {
		for _, id := range ids {
			if order, _ := firstSight(r.got(), id); len(order) < len(want[id]) {
				return fmt.Errorf("%d of %d", len(order), len(want[id]))
			}
		}
		return nil
	})
	w.noneOwed()
	duplicates := 0
	for _, id := range ids {
		order, again := firstSight(r.got(), id)
		if !slices.Equal(order, want[id]) {
			t.Fatalf("instance %s: got %v, want %v", id, order, want[id])
		}
		duplicates += again
	}
	// One for each lane that was in flight at each crash.
	if duplicates > crashes*len(ids) {
		t.Fatalf("%d duplicates", duplicates)
	}
}

func TestTwoDispatchersHaveOneRouter(t *testing.T) {
	w := newWorld(t)
	r := newReceiver(t, nil)
	w.hook("", r.URL, nil)
	first, second := w.start(w.config()), w.start(w.config())
	ids := instances(8)
	want := map[instance.ID][]uint64{}
	for i := range 200 {
		id := ids[i%len(ids)]
		want[id] = append(want[id], w.status(id, instance.Offline, uint64(i)))
		if i == 100 {
			first.stop()
		}
	}
	r.wait(200)
	w.noneOwed()
	for _, id := range ids {
		order, again := firstSight(r.got(), id)
		if !slices.Equal(order, want[id]) || again != 0 {
			t.Fatalf("instance %s: %d again; got %v, want %v", id, again, order, want[id])
		}
	}
	second.stop()
}

func TestExhaustedDeliveryBecomesADeadLetterAndItsLaneMovesOn(t *testing.T) {
	w := newWorld(t)
	var bad atomic.Uint64
	r := newReceiver(t, func(d delivery, rw http.ResponseWriter, _ *http.Request) {
		if d.sequence == bad.Load() {
			rw.WriteHeader(400)
			rw.Write([]byte("no"))
		}
	})
	id := newInstance()
	hook := w.hook(id, r.URL, nil)
	bad.Store(w.lastEvent() + 1)
	cfg := w.config()
	cfg.RetrySchedule = cfg.RetrySchedule[:2]
	w.start(cfg)
	w.status(id, instance.Idle, 0)
	next := w.status(id, instance.Idle, 1)
	if got := r.wait(1); got[0].sequence != next {
		t.Fatalf("%+v", got)
	}
	w.noneOwed()
	dead := w.records(bus.StreamDeadLetters, bus.DeadLettersOf(hook))
	d := dead[bad.Load()]
	if len(dead) != 1 || d.GetReason() != "exhausted" || d.Attempts != 3 || d.LastAttempt.StatusCode != 400 || d.LastAttempt.Response != "no" || d.EventId == "" {
		t.Fatalf("%v", dead)
	}
}

func TestADisabledEndpointKeepsWhatItIsOwed(t *testing.T) {
	w := newWorld(t)
	r := newReceiver(t, status(500))
	id := newInstance()
	hook := w.hook(id, r.URL, nil)
	w.start(w.config())
	first := w.status(id, instance.Idle, 0)
	bustest.CheckFor(t, patience, func() error {
		if r.attempts() == 0 {
			return fmt.Errorf("not tried yet")
		}
		return nil
	})
	rec := w.getHook(hook)
	rec.Webhook.Enabled = false
	w.putHook(rec)
	r.setAnswer(nil)
	other := newInstance()
	w.hook(other, r.URL, nil)
	w.status(other, instance.Idle, 0)
	bustest.CheckFor(t, patience, func() error {
		if _, again := firstSight(r.got(), other); len(r.got()) == 0 || again > 0 {
			return fmt.Errorf("the other is not delivered")
		}
		return nil
	})
	rec.Webhook.Enabled = true
	w.putHook(rec)
	bustest.CheckFor(t, patience, func() error {
		if order, _ := firstSight(r.got(), id); !slices.Equal(order, []uint64{first}) {
			return fmt.Errorf("got %v", order)
		}
		return nil
	})
	w.noneOwed()
}

func TestWhatADeletedEndpointWasOwedIsPurged(t *testing.T) {
	w := newWorld(t)
	r := newReceiver(t, status(500))
	id := newInstance()
	hook := w.hook(id, r.URL, nil)
	w.start(w.config())
	for n := range 10 {
		w.status(id, instance.Idle, uint64(n))
	}
	bustest.CheckFor(t, patience, func() error {
		if w.owed() != 10 {
			return fmt.Errorf("not owed yet")
		}
		return nil
	})
	if err := w.kv().Delete(w.ctx(), bus.EndpointKey(hook)); err != nil {
		t.Fatal(err)
	}
	w.noneOwed()
}

// registry answers the dispatcher's requests as the registry does.
func (w *world) registry() {
	w.tb.Helper()
	s, err := bus.NewService(w.conn, bus.ServiceConfig{Name: "instance-registry"})
	if err != nil {
		w.tb.Fatal(err)
	}
	w.tb.Cleanup(func() {
		if err := s.Stop(w.ctx()); err != nil {
			w.tb.Error(err)
		}
	})
	err = bus.Handle(s, bus.SubjectWebhooksUpdate, func(ctx context.Context, req *pb.UpdateWebhookRequest) (*pb.UpdateWebhookReply, error) {
		e, err := w.kv().Get(ctx, bus.EndpointKey(req.WebhookId))
		if err != nil {
			return nil, err
		}
		rec := w.getHook(req.WebhookId)
		if e.Revision() != req.ExpectedRevision || rec.Webhook.InstanceId != req.Ref {
			return nil, instance.Problemf(instance.CodeConflict, "changed")
		}
		if req.Enabled != nil {
			rec.Webhook.Enabled, rec.Webhook.DisabledReason = req.GetEnabled(), req.DisabledReason
		}
		if since := req.GetFailingSince(); since != nil {
			if rec.Webhook.FailingSince = since; since.AsTime().Unix() == 0 {
				rec.Webhook.FailingSince = nil
			}
		}
		w.putHook(rec)
		return &pb.UpdateWebhookReply{Webhook: rec.Webhook}, nil
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	err = bus.Handle(s, bus.SubjectInstancesGet, func(_ context.Context, req *pb.GetInstanceRequest) (*pb.GetInstanceReply, error) {
		return &pb.GetInstanceReply{Instance: &pb.Instance{Id: req.Ref, Name: "one", Number: 9000000001}}, nil
	})
	if err != nil {
		w.tb.Fatal(err)
	}
}

func TestGoneDisablesTheEndpointAndKeepsWhatItIsOwed(t *testing.T) {
	w := newWorld(t)
	w.registry()
	r := newReceiver(t, status(410))
	id := newInstance()
	hook := w.hook(id, r.URL, nil)
	w.start(w.config())
	w.status(id, instance.Idle, 0)
	bustest.CheckFor(t, patience, func() error {
		if rec := w.getHook(hook); rec.Webhook.Enabled || rec.Webhook.DisabledReason != "gone" {
			return fmt.Errorf("still enabled")
		}
		return nil
	})
	if n := w.owed(); n != 1 {
		t.Fatalf("%d owed", n)
	}
}

func TestRetryAfterHoldsTheWholeEndpoint(t *testing.T) {
	w := newWorld(t)
	r := newReceiver(t, func(_ delivery, rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Retry-After", "3600")
		rw.WriteHeader(429)
	})
	hook := w.hook("", r.URL, nil)
	w.start(w.config())
	first := w.status(newInstance(), instance.Idle, 0)
	bustest.CheckFor(t, patience, func() error {
		d := w.attempts(hook)[first]
		if d.GetState() != "pending" {
			return fmt.Errorf("no record")
		}
		if wait := time.Until(d.NextAttemptAt.AsTime()); wait < 59*time.Minute || d.LastAttempt.StatusCode != 429 || d.LastAttempt.Error != "status" {
			t.Fatalf("%v", d)
		}
		return nil
	})
	for range 10 {
		w.status(newInstance(), instance.Idle, 0)
	}
	bustest.CheckFor(t, patience, func() error {
		if w.owed() != 11 {
			return fmt.Errorf("not owed yet")
		}
		return nil
	})
	if n := r.attempts(); n != 1 {
		t.Fatalf("%d attempts", n)
	}
}

func TestATestEventIsSentAtOnce(t *testing.T) {
	w := newWorld(t)
	w.registry()
	r := newReceiver(t, nil)
	id := newInstance()
	hook := w.hook(id, r.URL, func(rec *pb.EndpointRecord) {
		rec.Webhook.Enabled = false
		sealed, err := w.ring.Seal([]byte(`{"X-Key":"k"}`), seal.ForWebhookHeaders(rec.Webhook.Id))
		if err != nil {
			t.Fatal(err)
		}
		rec.SealedHeaders = sealed
	})
	header := make(chan string, 1)
	r.setAnswer(func(_ delivery, _ http.ResponseWriter, r *http.Request) { header <- r.Header.Get("X-Key") })
	w.start(w.config())
	rep := new(pb.TestWebhookReply)
	if err := bus.Request(w.ctx(), w.conn, bus.SubjectWebhooksTest, &pb.TestWebhookRequest{WebhookId: hook, Ref: string(id)}, rep); err != nil {
		t.Fatal(err)
	}
	if rep.Attempt.StatusCode != 200 || rep.Attempt.Error != "" || rep.Attempt.Number != 1 || <-header != "k" {
		t.Fatalf("%v", rep.Attempt)
	}
	if got := r.got(); len(got) != 1 || got[0].event.Kind != "test" || got[0].id != got[0].event.ID {
		t.Fatalf("%+v", got)
	}
	for name, req := range map[string]*pb.TestWebhookRequest{
		"Unknown":         {WebhookId: "nobody"},
		"OfAnother":       {WebhookId: hook, Ref: string(newInstance())},
		"NotOfEverything": {WebhookId: hook},
	} {
		err := bus.Request(w.ctx(), w.conn, bus.SubjectWebhooksTest, req, rep)
		if instance.AsProblem(err).Code != instance.CodeWebhookNotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := bus.Request(w.ctx(), w.conn, bus.SubjectWebhooksTest, &pb.TestWebhookRequest{}, rep); instance.AsProblem(err).Code != instance.CodeInvalidRequest {
		t.Errorf("no id: %v", err)
	}
}

func TestABacklogOfAnUnreachableEndpointIsDeliveredAfterARestart(t *testing.T) {
	const backlog = 1200 // of each lane more than it holds in memory
	w := newWorld(t)
	r := newReceiver(t, status(503))
	hook := w.hook("", r.URL, nil)
	ids := instances(50)
	d := w.start(w.config())
	want := map[instance.ID][]uint64{}
	for i := range backlog {
		id := ids[i%len(ids)]
		want[id] = append(want[id], w.status(id, instance.Offline, uint64(i)))
	}
	bustest.CheckFor(t, patience, func() error {
		if n := w.owed(); n < backlog {
			return fmt.Errorf("%d owed", n)
		}
		return nil
	})
	d.stop()
	r.setAnswer(nil)
	w.start(w.config())
	r.wait(backlog)
	w.noneOwed()
	for _, id := range ids {
		if order, again := firstSight(r.got(), id); !slices.Equal(order, want[id]) || again > 0 {
			t.Fatalf("instance %s: %d again, got %v, want %v", id, again, order, want[id])
		}
	}
	counted := 0
	for _, a := range w.attempts(hook) {
		if a.Attempts > 1 {
			counted++
		}
	}
	if counted == 0 {
		t.Fatal("the attempts before the restart are forgotten")
	}
}

func TestRunRefusesAMasterKeyThatIsNone(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.MasterKey = "not a key"
	err := dispatcher.Run(w.ctx(), cfg, dispatcher.Deps{Bus: w.conn})
	if err == nil || !strings.Contains(err.Error(), "PAIRGATE_MASTER_KEY") || strings.Contains(err.Error(), "not a key") {
		t.Fatal(err)
	}
}

func TestADrainLeavesWhatHangsToTheNextOwner(t *testing.T) {
	w := newWorld(t)
	hang := func(_ delivery, rw http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		rw.WriteHeader(500)
	}
	r := newReceiver(t, hang)
	id := newInstance()
	w.hook(id, r.URL, nil)
	d := w.start(w.config())
	want := w.status(id, instance.Idle, 0)
	bustest.CheckFor(t, patience, func() error {
		if r.attempts() == 0 {
			return fmt.Errorf("not tried yet")
		}
		return nil
	})
	d.stop()
	if n := w.owed(); n != 1 {
		t.Fatalf("%d owed", n)
	}
	r.setAnswer(nil)
	w.start(w.config())
	if got := r.wait(1); got[0].sequence != want {
		t.Fatalf("%+v", got)
	}
	w.noneOwed()
}
