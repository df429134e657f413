package lanes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/seal"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/format"
	"pairgate.dev/services/webhook-dispatcher/internal/fresh"
	"pairgate.dev/services/webhook-dispatcher/internal/global"
	"pairgate.dev/services/webhook-dispatcher/internal/journal"
	"pairgate.dev/services/webhook-dispatcher/internal/lane"
	"pairgate.dev/services/webhook-dispatcher/internal/owed"
	"pairgate.dev/services/webhook-dispatcher/internal/policy"
	"pairgate.dev/services/webhook-dispatcher/internal/retry"
	"pairgate.dev/services/webhook-dispatcher/internal/sender"
	"pairgate.dev/services/webhook-dispatcher/signature"
)

// Reasons of deliveries that are given up, beside those of package fresh.
const (
	reasonExhausted     = "exhausted"
	reasonTooOld        = "too_old"
	reasonUnreadable    = "unreadable"
	reasonUnknownFormat = "unknown_format"
)

// trouble is a failure of our own: it says nothing of the receiver.
func (r *Runner) trouble(ctx context.Context, w lane.Work, what string, err error) lane.Outcome {
	if ctx.Err() == nil {
		r.met.trouble.Inc()
		r.o.Log.Warn(what, zap.String("webhook", w.Key.Endpoint), zap.String("instance", string(w.Key.Instance)), zap.Error(err))
	}
	return lane.Outcome{Result: lane.Trouble, Pause: retry.Jitter(troublePause, retry.Random())}
}

// work tries the head of a lane. It returns when what came of it is written
// down, so that the lane moves on only then.
func (r *Runner) work(ctx context.Context, w lane.Work) lane.Outcome {
	item, err := r.head(ctx, w)
	switch {
	case err != nil:
		return r.trouble(ctx, w, "the head of a lane cannot be read", err)
	case item == nil:
		return lane.Outcome{Result: lane.Empty}
	case item.Owed == nil:
		return r.bury(ctx, w, item, &pb.Delivery{WebhookId: w.Key.Endpoint, InstanceId: string(w.Key.Instance)}, reasonUnreadable, lane.Outcome{})
	}
	record := &pb.Delivery{Id: item.Owed.GetId(), WebhookId: w.Key.Endpoint, InstanceId: string(w.Key.Instance),
		EventId: item.Owed.GetEventId(), Kind: item.Owed.GetKind(), Sequence: item.Owed.GetSequence(), Series: item.Owed.GetSeries(),
		Attempts: uint32(w.Failed)}
	if w.Resumed {
		settled, err := r.recall(ctx, record)
		if err != nil {
			return r.trouble(ctx, w, "earlier attempts cannot be read", err)
		}
		if settled {
			r.met.suppressed.Inc()
			return r.finish(ctx, w, item, lane.Outcome{Result: lane.Skipped})
		}
	}
	rec, _, known := r.o.Endpoints.Get(w.Key.Endpoint)
	if !known || !rec.GetWebhook().GetEnabled() {
		// The machine is about to hear of it too.
		return lane.Outcome{Result: lane.Trouble, Pause: troublePause}
	}
	f, known := r.o.Formats.Of(rec.GetWebhook().GetFormat())
	if !known {
		return r.bury(ctx, w, item, record, reasonUnknownFormat, lane.Outcome{})
	}
	rules := f.Policy()
	if rules.MaxAge > 0 && time.Since(item.Stored) > rules.MaxAge {
		return r.bury(ctx, w, item, record, reasonTooOld, lane.Outcome{})
	}
	stale, err := fresh.Check(ctx, r.o.Fresh, item.Owed, time.Now())
	if err != nil {
		return r.trouble(ctx, w, "it cannot be told whether a code may still be sent", err)
	}
	if stale != "" {
		return r.drop(ctx, w, item, record, stale)
	}
	req, err := r.request(rec, item)
	if err != nil {
		return r.trouble(ctx, w, "the secrets of a webhook cannot be opened", err)
	}
	req.Timeout = rules.Timeout
	f.Dress(&req, format.Dressing{Hook: rec.GetWebhook(), Part: item.Owed.GetPart(), Attempt: int(record.GetAttempts()) + 1, Now: time.Now()})
	return r.attempt(ctx, w, item, record, rules, req)
}

func (r *Runner) attempt(ctx context.Context, w lane.Work, item *lane.Item, record *pb.Delivery, rules policy.Policy, req sender.Request) lane.Outcome {
	ctx, span := startDelivery(ctx, req.TraceParent, record)
	req.TraceParent = bus.TraceParent(ctx)
	res := rules.Classify(r.o.Sender.Send(ctx, req))
	endDelivery(span, res)
	n := int(record.GetAttempts()) + 1
	v := rules.Judge(res, n, fresh.Lives(item.Owed), retry.Random())
	r.met.attempted(res)
	o := lane.Outcome{Seq: item.Seq, Failures: n, Pause: v.Pause, EndpointFault: v.EndpointFault,
		EndpointPause: v.EndpointPause, MaxRest: v.MaxRest}
	if v.Kind == policy.Interrupted {
		o.Result, o.Pause = lane.Trouble, troublePause
		return o
	}
	record.Attempts = uint32(n)
	record.LastAttempt = Attempt(res, n)
	r.judgeEndpoint(ctx, w.Key.Endpoint, v.Kind == policy.Delivered, rules.DisableAfter)
	switch v.Kind {
	case policy.Delivered:
		r.met.delivered(time.Since(item.Stored))
		record.State = journal.Delivered
		o.Result = lane.Done
		written := r.write(ctx, record)
		o = r.finish(ctx, w, item, o)
		written()
		return o
	case policy.GiveUp:
		return r.bury(ctx, w, item, record, reasonExhausted, o)
	case policy.Disable:
		if err := r.disable(ctx, w.Key.Endpoint, reasonGone); err != nil {
			r.o.Log.Warn("a webhook that answers 410 cannot be disabled yet", zap.String("webhook", w.Key.Endpoint), zap.Error(err))
		}
	}
	r.met.retries.Inc()
	o.Result = lane.Failed
	record.State = journal.Pending
	record.NextAttemptAt = timestamp(time.Now().Add(v.Pause))
	r.write(ctx, record)()
	return o
}

// head returns the first message of the lane that is still owed, nil when there
// is none up to the last that the feed has brought.
func (r *Runner) head(ctx context.Context, w lane.Work) (*lane.Item, error) {
	if w.Item != nil {
		return w.Item, nil
	}
	subject := bus.LaneSubject(w.Key.Endpoint, w.Key.Instance)
	m, err := r.deliveries.GetMsg(ctx, w.From, jetstream.WithGetMsgSubject(subject))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if m.Sequence > w.To {
		return nil, nil
	}
	item := &lane.Item{Seq: m.Sequence, Stored: m.Time, Trace: m.Header.Get(owed.HeaderTrace)}
	item.Owed, _ = owed.Decode(m.Subject, m.Data)
	return item, nil
}

// request is what is to be sent, with the secrets of the endpoint opened.
func (r *Runner) request(rec *pb.EndpointRecord, item *lane.Item) (sender.Request, error) {
	return Request(r.o.Ring, rec, item.Owed.GetId(), item.Owed.GetContentType(), item.Trace, item.Owed.GetBody())
}

// Request makes a signed request to an endpoint; the one that the configuration makes
// has no secret and is not signed. The error names no secret.
func Request(ring *seal.Ring, rec *pb.EndpointRecord, id, mediaType, trace string, body []byte) (sender.Request, error) {
	hook := rec.GetWebhook()
	req := sender.Request{URL: hook.GetUrl(), ID: id, ContentType: mediaType, TraceParent: trace, Body: body}
	for _, sealed := range rec.GetSealedSecrets() {
		secret, err := ring.Open(sealed, seal.ForWebhookSecret(hook.GetId()))
		if err != nil {
			return req, fmt.Errorf("secret: %w", err)
		}
		key, err := signature.ParseSecret(string(secret))
		if err != nil {
			return req, err
		}
		req.Keys = append(req.Keys, key)
	}
	if len(req.Keys) == 0 && !global.Is(hook.GetId()) {
		return req, errors.New("the webhook has no secret")
	}
	if len(rec.GetSealedHeaders()) > 0 {
		plain, err := ring.Open(rec.GetSealedHeaders(), seal.ForWebhookHeaders(hook.GetId()))
		if err != nil {
			return req, fmt.Errorf("headers: %w", err)
		}
		if json.Unmarshal(plain, &req.Header) != nil {
			return req, errors.New("the headers are not a JSON object of texts")
		}
	}
	return req, nil
}
