package gateway_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// fakeDispatcher answers requests about deliveries, and remembers the last one of each.
type fakeDispatcher struct {
	mu   sync.Mutex
	last map[string]proto.Message
}

func (f *fakeDispatcher) note(subject string, req proto.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last[subject] = req
}

func (f *fakeDispatcher) lastOf(subject string) proto.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last[subject]
}

func startDispatcher(w *world) *fakeDispatcher {
	w.Helper()
	f := &fakeDispatcher{last: map[string]proto.Message{}}
	svc, err := bus.NewService(w.conn, bus.ServiceConfig{Name: "webhook-dispatcher"})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := svc.Stop(context.Background()); err != nil {
			w.Error(err)
		}
	})
	for _, err := range []error{
		bus.Handle(svc, bus.SubjectWebhooksDeliveries, func(_ context.Context, q *pb.ListDeliveriesRequest) (*pb.ListDeliveriesReply, error) {
			f.note(bus.SubjectWebhooksDeliveries, q)
			return &pb.ListDeliveriesReply{Deliveries: []*pb.Delivery{{Id: "d", State: "failed", Kind: "status", Attempts: 10,
				LastAttempt: &pb.DeliveryAttempt{At: timestamppb.Now(), StatusCode: 500, Response: "sesame"}}}, NextPageToken: "more"}, nil
		}, bus.WithValidate(func(q *pb.ListDeliveriesRequest) (e instance.FieldErrors) {
			if q.GetState() == "lost" {
				e.Add("state", "must be a state")
			}
			return e
		})),
		bus.Handle(svc, bus.SubjectWebhooksRedeliver, func(_ context.Context, q *pb.RedeliverRequest) (*pb.RedeliverReply, error) {
			f.note(bus.SubjectWebhooksRedeliver, q)
			if q.GetDeliveryId() == "gone" {
				return nil, instance.Problemf(instance.CodeEventGone, "The event has aged out.")
			}
			return &pb.RedeliverReply{Delivery: &pb.Delivery{Id: q.GetDeliveryId(), State: "pending"}}, nil
		}),
		bus.Handle(svc, bus.SubjectWebhooksReplay, func(_ context.Context, q *pb.ReplayRequest) (*pb.ReplayReply, error) {
			f.note(bus.SubjectWebhooksReplay, q)
			return &pb.ReplayReply{Deliveries: 7, Limit: 10_000, ContinueSince: q.GetSince()}, nil
		}, bus.WithValidate(func(q *pb.ReplayRequest) (e instance.FieldErrors) {
			if q.GetSince() == nil {
				e.Add("since", "is required")
			}
			return e
		})),
	} {
		if err != nil {
			w.Fatal(err)
		}
	}
	return f
}

func TestDeliveriesReplayAndRedelivery(t *testing.T) {
	w := start(t)
	f := startDispatcher(w)
	m := w.make("one")
	const deliveries, replay, redeliver = "/v1/webhooks/w1/deliveries", "/v1/webhooks/w1/replay", "/v1/deliveries/d1/redeliver"
	for token, within := range map[string][]string{adminKey: nil, m.token: {string(m.id)}} {
		page := w.send(http.MethodGet, deliveries+"?state=failed&pageSize=5&pageToken=x", token, "", nil).want(http.StatusOK).json()
		if page["nextPageToken"] != "more" || len(page["deliveries"].([]any)) != 1 {
			t.Errorf("%v", page)
		}
		list := f.lastOf(bus.SubjectWebhooksDeliveries).(*pb.ListDeliveriesRequest)
		if list.GetWebhookId() != "w1" || list.GetState() != "failed" || list.GetPageSize() != 5 || list.GetPageToken() != "x" || !slices.Equal(list.GetInstanceIds(), within) {
			t.Errorf("%v", list)
		}
		if got := w.send(http.MethodPost, redeliver, token, "", nil).want(http.StatusAccepted).json(); got["id"] != "d1" || got["state"] != "pending" {
			t.Errorf("%v", got)
		}
		if again := f.lastOf(bus.SubjectWebhooksRedeliver).(*pb.RedeliverRequest); again.GetDeliveryId() != "d1" || !slices.Equal(again.GetInstanceIds(), within) {
			t.Errorf("%v", again)
		}
		got := w.send(http.MethodPost, replay, token, `{"since":"2026-01-02T03:04:05Z","until":"2026-02-02T03:04:05Z","events":["status"]}`, nil).want(http.StatusAccepted).json()
		if got["deliveries"] != "7" || got["limit"] != "10000" || got["continueSince"] != "2026-01-02T03:04:05Z" {
			t.Errorf("%v", got)
		}
		want := &pb.ReplayRequest{WebhookId: "w1", Since: &timestamppb.Timestamp{Seconds: 1767323045}, Until: &timestamppb.Timestamp{Seconds: 1770001445},
			Events: []string{"status"}, InstanceIds: within}
		if sent := f.lastOf(bus.SubjectWebhooksReplay); !proto.Equal(sent, want) {
			t.Errorf("%v", sent)
		}
	}
	w.send(http.MethodGet, deliveries, "nobody's", "", nil).wantCode(401, instance.CodeUnauthorized)
	w.admin(http.MethodPost, "/v1/deliveries/gone/redeliver", "").wantCode(410, instance.CodeEventGone)
	for _, c := range []struct {
		method, path, body string
		fields             []string
	}{
		{http.MethodGet, deliveries + "?state=lost&pageSize=x", "", []string{"pageSize", "state"}},
		{http.MethodPost, redeliver, `{"instanceIds":[],"deliveryId":"x"}`, []string{"deliveryId", "instanceIds"}},
		{http.MethodPost, replay, `{"webhookId":"x","instanceIds":[],"until":"soon"}`, []string{"instanceIds", "since", "until", "webhookId"}},
	} {
		_, fields := w.admin(c.method, c.path, c.body).wantCode(400, instance.CodeInvalidRequest).problem()
		if slices.Sort(fields); !slices.Equal(fields, c.fields) {
			t.Errorf("%s: %v, want %v", c.path, fields, c.fields)
		}
	}
}
