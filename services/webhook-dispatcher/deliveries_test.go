package dispatcher_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// ask sends a request that must succeed.
func ask[Rep any, P interface {
	*Rep
	proto.Message
}](w *world, subject string, req proto.Message,
) P {
	w.tb.Helper()
	rep := P(new(Rep))
	if err := bus.Request(w.ctx(), w.conn, subject, req, rep); err != nil {
		w.tb.Fatalf("%s: %v", subject, err)
	}
	return rep
}

// refused sends a request and returns the code of the problem.
func (w *world) refused(subject string, req proto.Message) instance.Code {
	w.tb.Helper()
	err := bus.Request(w.ctx(), w.conn, subject, req, nil)
	if err == nil {
		w.tb.Fatalf("%s: not refused: %v", subject, req)
	}
	return instance.AsProblem(err).Code
}

func (w *world) list(hook, state string) []*pb.Delivery {
	w.tb.Helper()
	return ask[pb.ListDeliveriesReply](w, bus.SubjectWebhooksDeliveries, &pb.ListDeliveriesRequest{WebhookId: hook, State: state}).GetDeliveries()
}

// listed waits until the webhook has n deliveries in the state.
func (w *world) listed(hook, state string, n int) []*pb.Delivery {
	w.tb.Helper()
	var got []*pb.Delivery
	bustest.CheckFor(w.tb, patience, func() error {
		if got = w.list(hook, state); len(got) != n {
			return fmt.Errorf("%d %s deliveries, want %d", len(got), state, n)
		}
		return nil
	})
	return got
}

func sequences(all []*pb.Delivery) (out []uint64) {
	for _, d := range all {
		out = append(out, d.GetSequence())
	}
	return out
}

func TestDeliveriesAreListedWhateverBecameOfThem(t *testing.T) {
	w := newWorld(t)
	id, other := newInstance(), newInstance()
	cfg := w.config()
	cfg.RetrySchedule = cfg.RetrySchedule[:1]
	w.start(cfg)
	r := newReceiver(t, nil)
	hook := w.hook(id, r.URL, nil)
	w.hook(other, r.URL, nil)
	w.status(other, instance.Idle, 0)
	var want []uint64
	for n := range 3 {
		want = append(want, w.status(id, instance.Pairing, uint64(n)))
	}
	r.wait(4)
	r.setAnswer(status(400))
	want = append(want, w.status(id, instance.Offline, 9))
	w.listed(hook, "failed", 1)
	r.setAnswer(nil)
	expired := w.picture(id, 9, 1, -time.Second)
	w.listed(hook, "dropped", 1)
	rec := w.getHook(hook)
	rec.Webhook.Enabled = false
	// The router leaves out what a disabled webhook would get, so it has to be owed before.
	release := make(chan struct{})
	r.setAnswer(waitFor(release))
	pending := w.status(id, instance.Online, 9)
	waiting := w.status(id, instance.Offline, 9)
	w.listed(hook, "pending", 2)

	all := w.list(hook, "")
	newest := slices.Clone(append(want, expired, pending, waiting))
	slices.Reverse(newest)
	if got := sequences(all); !slices.Equal(got, newest) {
		t.Fatalf("got %v, want %v", got, newest)
	}
	for i, state := range []string{"pending", "pending", "dropped", "failed", "delivered", "delivered", "delivered"} {
		if d := all[i]; d.GetState() != state || d.GetWebhookId() != hook || d.GetInstanceId() != string(id) || d.GetId() == "" || d.GetEventId() == "" {
			t.Errorf("%d: %v, want %s", i, d, state)
		}
	}
	if d := all[3]; d.GetReason() != "exhausted" || d.GetAttempts() != 2 || d.GetLastAttempt().GetStatusCode() != 400 {
		t.Errorf("%v", d)
	}
	for _, d := range w.list(hook, "pending") {
		if d.GetSequence() != pending && d.GetSequence() != waiting {
			t.Errorf("%v", d)
		}
	}
	close(release)
	w.noneOwed()
	if got := w.listed(hook, "delivered", 5); got[0].GetSequence() != waiting {
		t.Errorf("%v", got[0])
	}
}

func TestDeliveriesArePaged(t *testing.T) {
	w := newWorld(t)
	r := newReceiver(t, nil)
	hook := w.hook("", r.URL, nil)
	w.start(w.config())
	var want []uint64
	for _, id := range instances(25) {
		want = append(want, w.status(id, instance.Idle, 0))
	}
	w.listed(hook, "delivered", 25)
	slices.Reverse(want)
	for _, state := range []string{"", "delivered"} {
		var got []uint64
		req := &pb.ListDeliveriesRequest{WebhookId: hook, State: state, PageSize: 10}
		for pages := 1; ; pages++ {
			page := ask[pb.ListDeliveriesReply](w, bus.SubjectWebhooksDeliveries, req)
			got = append(got, sequences(page.GetDeliveries())...)
			if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
				if pages != 3 {
					t.Errorf("%d pages", pages)
				}
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

func TestARedeliveryKeepsItsIDAndBeginsAnew(t *testing.T) {
	w := newWorld(t)
	r := newReceiver(t, status(500))
	id := newInstance()
	hook := w.hook(id, r.URL, nil)
	cfg := w.config()
	cfg.RetrySchedule = cfg.RetrySchedule[:2]
	w.start(cfg)
	w.status(id, instance.Idle, 0)
	dead := w.listed(hook, "failed", 1)[0]
	r.setAnswer(nil)
	again := ask[pb.RedeliverReply](w, bus.SubjectWebhooksRedeliver, &pb.RedeliverRequest{DeliveryId: dead.GetId()}).GetDelivery()
	if again.GetId() != dead.GetId() || again.GetState() != "pending" || again.GetAttempts() != 0 || again.GetSeries() <= dead.GetSeries() {
		t.Fatalf("%v", again)
	}
	if got := r.wait(1)[0]; got.id != dead.GetId() || got.sequence != dead.GetSequence() || got.event.Incarnation == "" {
		t.Fatalf("%+v", got)
	}
	done := w.listed(hook, "delivered", 1)[0]
	if done.GetAttempts() != 1 || done.GetSeries() != again.GetSeries() {
		t.Fatalf("%v", done)
	}
	if left := w.records(bus.StreamDeadLetters, bus.DeadLettersOf(hook)); len(left) != 0 {
		t.Fatalf("dead letters of what was delivered: %v", left)
	}
	// What was delivered can be asked for once more, and never is an earlier series in the way.
	ask[pb.RedeliverReply](w, bus.SubjectWebhooksRedeliver, &pb.RedeliverRequest{DeliveryId: dead.GetId(), InstanceIds: []string{string(id)}})
	if got := r.wait(2)[1]; got.id != dead.GetId() {
		t.Fatalf("%+v", got)
	}
}

func TestASettledDeliveryThatIsOwedAgainSurvivesATakeOver(t *testing.T) {
	w := newWorld(t)
	r := newReceiver(t, nil)
	id := newInstance()
	hook := w.hook(id, r.URL, nil)
	first := w.start(w.config())
	w.status(id, instance.Idle, 0)
	settled := w.listed(hook, "delivered", 1)[0]
	hang := make(chan struct{})
	defer close(hang)
	r.setAnswer(waitFor(hang))
	ask[pb.RedeliverReply](w, bus.SubjectWebhooksRedeliver, &pb.RedeliverRequest{DeliveryId: settled.GetId()})
	bustest.CheckFor(t, patience, func() error {
		if r.attempts() < 2 {
			return fmt.Errorf("not tried again yet")
		}
		return nil
	})
	first.crash()
	r.setAnswer(nil)
	w.start(w.config())
	w.noneOwed()
	if got := r.wait(2)[1]; got.id != settled.GetId() {
		t.Fatalf("%+v", got)
	}
}

func TestWhatCannotBeRedelivered(t *testing.T) {
	w := newWorld(t)
	release := make(chan struct{})
	r := newReceiver(t, nil)
	id, other := newInstance(), newInstance()
	hook := w.hook(id, r.URL, nil)
	w.start(w.config())
	w.status(id, instance.Pairing, 1)
	w.picture(id, 1, 1, -time.Second)
	picture, gone := w.listed(hook, "dropped", 1)[0], w.listed(hook, "delivered", 1)[0]
	r.setAnswer(waitFor(release))
	w.status(id, instance.Offline, 1)
	pending := w.listed(hook, "pending", 1)[0]
	redeliver := func(d string, of ...string) instance.Code {
		t.Helper()
		return w.refused(bus.SubjectWebhooksRedeliver, &pb.RedeliverRequest{DeliveryId: d, InstanceIds: of})
	}
	for name, c := range map[string]struct {
		got, want instance.Code
	}{
		"no id":            {redeliver(""), instance.CodeInvalidRequest},
		"no uuid":          {redeliver("*"), instance.CodeNotFound},
		"unknown":          {redeliver("0190a6c1-0000-7000-8000-000000000001"), instance.CodeNotFound},
		"another's":        {redeliver(gone.GetId(), string(other)), instance.CodeNotFound},
		"of all instances": {redeliver(gone.GetId(), ""), instance.CodeNotFound},
		"still owed":       {redeliver(pending.GetId()), instance.CodeConflict},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", name, c.got, c.want)
		}
	}
	close(release)
	w.noneOwed()
	if got := redeliver(picture.GetId()); got != instance.CodeEventGone {
		t.Errorf("expired: %s", got)
	}
	if err := w.stream(bus.StreamEvents).DeleteMsg(w.ctx(), gone.GetSequence()); err != nil {
		t.Fatal(err)
	}
	if got := redeliver(gone.GetId()); got != instance.CodeEventGone {
		t.Errorf("aged out: %s", got)
	}
	rec := w.getHook(hook)
	rec.Webhook.Enabled = false
	w.putHook(rec)
	if got := redeliver(pending.GetId()); got != instance.CodeConflict {
		t.Errorf("disabled: %s", got)
	}
	if err := w.kv().Delete(context.Background(), bus.EndpointKey(hook)); err != nil {
		t.Fatal(err)
	}
	if got := redeliver(pending.GetId()); got != instance.CodeNotFound {
		t.Errorf("deleted: %s", got)
	}
}

func TestAReplayBringsEveryLaneInOrder(t *testing.T) {
	w := newWorld(t)
	r := newReceiver(t, nil)
	w.start(w.config())
	ids := instances(5)
	want := map[instance.ID][]uint64{}
	begin := time.Now()
	for n := range 30 {
		for _, id := range ids {
			want[id] = append(want[id], w.status(id, instance.Offline, uint64(n)))
		}
	}
	// It was made later, and is owed nothing of all that.
	hook := w.hook("", r.URL, nil)
	last := w.status(ids[0], instance.Idle, 0)
	r.wait(1)
	w.listed(hook, "delivered", 1)
	until := w.timeOf(last)
	reply := ask[pb.ReplayReply](w, bus.SubjectWebhooksReplay,
		&pb.ReplayRequest{WebhookId: hook, Since: timestamppb.New(begin.Add(-time.Second)), Until: timestamppb.New(until)})
	if reply.GetDeliveries() != 150 || reply.GetLimit() != 10_000 || reply.GetContinueSince() != nil {
		t.Fatalf("%v", reply)
	}
	got := r.wait(151)[1:]
	for _, id := range ids {
		if order, again := firstSight(got, id); !slices.Equal(order, want[id]) || again != 0 {
			t.Fatalf("instance %s: got %v and %d again, want %v", id, order, again, want[id])
		}
	}
	w.noneOwed()
	// Those that were delivered have the same ids when they are replayed once more.
	firstIDs := map[string]bool{}
	for _, d := range got {
		firstIDs[d.id] = true
	}
	reply = ask[pb.ReplayReply](w, bus.SubjectWebhooksReplay, &pb.ReplayRequest{WebhookId: hook, Since: timestamppb.New(begin.Add(-time.Second)),
		Until: timestamppb.New(until), Events: []string{"status", "qr", "status"}})
	if reply.GetDeliveries() != 150 {
		t.Fatalf("%v", reply)
	}
	for _, d := range r.wait(301)[151:] {
		if !firstIDs[d.id] {
			t.Fatalf("another id: %+v", d)
		}
	}
	w.noneOwed()
}

func TestAReplayPassesOverWhatIsOwedAndWhatHasExpired(t *testing.T) {
	w := newWorld(t)
	release := make(chan struct{})
	r := newReceiver(t, waitFor(release))
	id := newInstance()
	hook := w.hook(id, r.URL, func(rec *pb.EndpointRecord) { rec.Webhook.Events = []string{"status", "qr"} })
	w.start(w.config())
	begin := timestamppb.New(time.Now().Add(-time.Minute))
	replay := func(events ...string) *pb.ReplayReply {
		t.Helper()
		return ask[pb.ReplayReply](w, bus.SubjectWebhooksReplay, &pb.ReplayRequest{WebhookId: hook, Since: begin, Events: events, InstanceIds: []string{string(id)}})
	}
	w.status(newInstance(), instance.Idle, 0)
	w.status(id, instance.Pairing, 1)
	w.picture(id, 1, 1, -time.Second)
	w.listed(hook, "pending", 2)
	if got := replay(); got.GetDeliveries() != 0 || got.GetSkipped() != 2 {
		t.Fatalf("while owed: %v", got)
	}
	close(release)
	w.noneOwed()
	if got := replay(); got.GetDeliveries() != 1 || got.GetSkipped() != 1 {
		t.Fatalf("%v", got)
	}
	r.wait(2)
	w.noneOwed()
	if got := replay("created"); got.GetDeliveries() != 0 || got.GetSkipped() != 0 {
		t.Fatalf("no such event: %v", got)
	}
	rec := w.getHook(hook)
	rec.Webhook.Enabled = false
	w.putHook(rec)
	if got := w.refused(bus.SubjectWebhooksReplay, &pb.ReplayRequest{WebhookId: hook, Since: begin}); got != instance.CodeConflict {
		t.Errorf("disabled: %s", got)
	}
}

func TestRequestsAboutDeliveriesNameEveryBadField(t *testing.T) {
	w := newWorld(t)
	hook := w.hook(newInstance(), "https://example.com/", nil)
	w.start(w.config())
	old, now := timestamppb.New(time.Unix(1, 0)), timestamppb.Now()
	for _, c := range []struct {
		subject string
		req     proto.Message
		want    instance.Code
		fields  []string
	}{
		{bus.SubjectWebhooksDeliveries, &pb.ListDeliveriesRequest{State: "lost", PageSize: 1000, PageToken: "x"}, instance.CodeInvalidRequest,
			[]string{"pageSize", "pageToken", "state", "webhookId"}},
		{bus.SubjectWebhooksDeliveries, &pb.ListDeliveriesRequest{WebhookId: "nobody"}, instance.CodeWebhookNotFound, nil},
		{bus.SubjectWebhooksDeliveries, &pb.ListDeliveriesRequest{WebhookId: hook, InstanceIds: []string{string(newInstance())}}, instance.CodeWebhookNotFound, nil},
		{bus.SubjectWebhooksReplay, &pb.ReplayRequest{Events: []string{"smoke"}}, instance.CodeInvalidRequest, []string{"events[0]", "since", "webhookId"}},
		{bus.SubjectWebhooksReplay, &pb.ReplayRequest{WebhookId: hook, Since: now, Until: old}, instance.CodeInvalidRequest, []string{"until"}},
		{bus.SubjectWebhooksReplay, &pb.ReplayRequest{WebhookId: hook, Since: old, InstanceIds: []string{"x"}}, instance.CodeWebhookNotFound, nil},
	} {
		p := instance.AsProblem(bus.Request(w.ctx(), w.conn, c.subject, c.req, nil))
		var fields []string
		for _, f := range p.Errors {
			fields = append(fields, f.Field)
		}
		slices.Sort(fields)
		if p.Code != c.want || !slices.Equal(fields, c.fields) {
			t.Errorf("%s %v: %v", c.subject, c.req, p)
		}
	}
}

// timeOf returns when an event was stored.
func (w *world) timeOf(sequence uint64) time.Time {
	w.tb.Helper()
	m, err := w.stream(bus.StreamEvents).GetMsg(w.ctx(), sequence)
	if err != nil {
		w.tb.Fatal(err)
	}
	return m.Time
}
