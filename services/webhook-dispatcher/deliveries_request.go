package dispatcher

import (
	"context"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/again"
	"pairgate.dev/services/webhook-dispatcher/internal/history"
	"pairgate.dev/services/webhook-dispatcher/internal/journal"
)

var errNoDelivery = instance.Problemf(instance.CodeNotFound, "There is no such delivery here, or nothing is known of it any more.")

func checkDeliveries(q *pb.ListDeliveriesRequest) (f instance.FieldErrors) {
	require(&f, "webhookId", q.GetWebhookId())
	if q.GetState() != "" && !slices.Contains(journal.States(), q.GetState()) {
		f.Add("state", "must be one of %s", strings.Join(journal.States(), ", "))
	}
	instance.CheckPageSize(&f, "pageSize", q.GetPageSize())
	if _, ok := parsePageToken(q.GetPageToken()); !ok {
		f.Add("pageToken", "must be a nextPageToken of an earlier answer")
	}
	return f
}

// deliveries lists the deliveries of a webhook, those of the newest events first. What
// becomes owed while somebody turns the pages is not on the later ones; nothing is shown twice.
func (d *dispatcher) deliveries(ctx context.Context, req *pb.ListDeliveriesRequest) (*pb.ListDeliveriesReply, error) {
	if _, err := d.endpointOf(ctx, req.GetWebhookId(), req.GetInstanceIds()); err != nil {
		return nil, err
	}
	var none instance.FieldErrors
	size := instance.CheckPageSize(&none, "pageSize", req.GetPageSize())
	before, _ := parsePageToken(req.GetPageToken())
	page, next, err := d.history.List(ctx, history.Query{Endpoint: req.GetWebhookId(), State: req.GetState(), Before: before, Size: int(size)})
	if err != nil {
		return nil, err
	}
	return &pb.ListDeliveriesReply{Deliveries: page, NextPageToken: pageToken(next)}, nil
}

// A page token is opaque to users so that its content may change.
const pageTokenPrefix = "before:"

func pageToken(next uint64) string {
	if next == 0 {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(pageTokenPrefix + strconv.FormatUint(next, 10)))
}

func parsePageToken(token string) (before uint64, ok bool) {
	if token == "" {
		return 0, true
	}
	text, err := base64.RawURLEncoding.DecodeString(token)
	number, found := strings.CutPrefix(string(text), pageTokenPrefix)
	if err != nil || !found {
		return 0, false
	}
	before, err = strconv.ParseUint(number, 10, 64)
	return before, err == nil && before > 0
}

// redeliver makes one delivery owed again.
func (d *dispatcher) redeliver(ctx context.Context, req *pb.RedeliverRequest) (*pb.RedeliverReply, error) {
	if err := d.runner.CatchUp(ctx); err != nil {
		return nil, err
	}
	scope := history.Scope{Any: len(req.GetInstanceIds()) == 0}
	for _, id := range req.GetInstanceIds() {
		if id == "" {
			continue // that would be the webhooks of all instances
		}
		for _, rec := range d.views.Endpoints.ByInstance(instance.ID(id)) {
			scope.Endpoints = append(scope.Endpoints, rec.GetWebhook().GetId())
		}
	}
	found, ok, err := d.history.Find(ctx, req.GetDeliveryId(), scope)
	if err != nil {
		return nil, err
	}
	rec, _, still := d.hooks.Get(found.Record.GetWebhookId())
	if !ok || !still {
		return nil, errNoDelivery
	}
	now, err := d.again.Redeliver(ctx, rec.GetWebhook(), found)
	if err != nil {
		return nil, err
	}
	return &pb.RedeliverReply{Delivery: now}, nil
}

func checkReplay(q *pb.ReplayRequest) (f instance.FieldErrors) {
	require(&f, "webhookId", q.GetWebhookId())
	since, until := q.GetSince(), q.GetUntil()
	if since == nil {
		f.Add("since", "is required: the time of the first event")
	}
	if since != nil && !since.IsValid() {
		f.Add("since", "must be a time such as 2026-01-02T15:04:05Z")
	}
	switch {
	case until == nil:
	case !until.IsValid():
		f.Add("until", "must be a time such as 2026-01-02T15:04:05Z")
	case since.IsValid() && !until.AsTime().After(since.AsTime()):
		f.Add("until", "must be later than since")
	}
	instance.CheckEventKinds(&f, "events", q.GetEvents())
	return f
}

// replay makes the events of a time owed to a webhook again.
func (d *dispatcher) replay(ctx context.Context, req *pb.ReplayRequest) (*pb.ReplayReply, error) {
	rec, err := d.endpointOf(ctx, req.GetWebhookId(), req.GetInstanceIds())
	if err != nil {
		return nil, err
	}
	var until time.Time
	if req.GetUntil() != nil {
		until = req.GetUntil().AsTime()
	}
	return d.again.Replay(ctx, again.Replay{Hook: rec.GetWebhook(), Since: req.GetSince().AsTime(), Until: until,
		Kinds: req.GetEvents(), Limit: again.ReplayLimit})
}
