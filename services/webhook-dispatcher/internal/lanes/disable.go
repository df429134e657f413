package lanes

import (
	"context"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/failing"
	"pairgate.dev/services/webhook-dispatcher/internal/global"
)

// Why an endpoint is disabled.
const (
	reasonGone    = "gone"
	reasonFailing = "failing"
)

// judgeWait is how long a lane waits for what is written of its endpoint.
const judgeWait = 5 * time.Second

// judgeEndpoint writes down since when an endpoint fails, and disables it when that is
// too long. What cannot be written is tried again at the next attempt.
func (r *Runner) judgeEndpoint(ctx context.Context, endpoint string, ok bool, after time.Duration) {
	rec, revision, known := r.o.Endpoints.Get(endpoint)
	if !known || global.Is(endpoint) {
		return
	}
	var noted time.Time
	if at := rec.GetWebhook().GetFailingSince(); at != nil {
		noted = at.AsTime()
	}
	do, since := r.failing.Attempt(time.Now(), endpoint, ok, noted, after)
	if do == failing.Nothing {
		return
	}
	defer r.failing.Done(endpoint)
	ctx, cancel := context.WithTimeout(ctx, judgeWait)
	defer cancel()
	var err error
	switch do {
	case failing.Note:
		err = r.update(ctx, rec, revision, &pb.UpdateWebhookRequest{FailingSince: timestamppb.New(since)})
	case failing.Clear:
		err = r.update(ctx, rec, revision, &pb.UpdateWebhookRequest{FailingSince: &timestamppb.Timestamp{}})
	case failing.Disable:
		if err = r.disable(ctx, endpoint, reasonFailing); err == nil {
			r.o.Log.Warn("a webhook that has failed for days is disabled", zap.String("webhook", endpoint), zap.Time("since", noted))
		}
	}
	if err != nil {
		r.o.Log.Warn("it cannot be written yet how a webhook fares", zap.String("webhook", endpoint), zap.Error(err))
	}
}

// disable asks the registry to disable an endpoint.
func (r *Runner) disable(ctx context.Context, endpoint, reason string) error {
	rec, revision, ok := r.o.Endpoints.Get(endpoint)
	if !ok {
		return nil
	}
	enabled := false
	return r.update(ctx, rec, revision, &pb.UpdateWebhookRequest{Enabled: &enabled, DisabledReason: reason})
}

// update asks the registry, the only writer of endpoints. It refuses when the user has
// changed the endpoint since: then the next attempt shows. One that was deleted
// meanwhile needs nothing.
func (r *Runner) update(ctx context.Context, rec *pb.EndpointRecord, revision uint64, req *pb.UpdateWebhookRequest) error {
	req.WebhookId, req.Ref, req.ExpectedRevision = rec.GetWebhook().GetId(), rec.GetWebhook().GetInstanceId(), revision
	err := bus.Request(ctx, r.o.Conn, bus.SubjectWebhooksUpdate, req, &pb.UpdateWebhookReply{})
	if err == nil {
		return nil
	}
	switch instance.AsProblem(err).Code {
	case instance.CodeConflict, instance.CodeWebhookNotFound, instance.CodeInstanceNotFound:
		return nil
	}
	return err
}

// mended says whether a change of a record may have ended what its lanes wait for: a
// note of ours on how it fares has not.
func mended(before, now *pb.EndpointRecord) bool {
	if before == nil {
		return false
	}
	same := proto.CloneOf(before)
	same.Webhook.FailingSince = now.GetWebhook().GetFailingSince()
	return !proto.Equal(same, now)
}
