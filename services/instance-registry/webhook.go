package registry

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/instance-registry/internal/store"

	pb "pairgate.dev/proto/pairgate/v1"
)

// owner returns the instance that a request about webhooks means; empty for all instances.
func (r *registry) owner(ctx context.Context, ref string) (instance.ID, error) {
	if ref == "" {
		return "", nil
	}
	rec, err := r.resolve(ctx, ref)
	if err != nil {
		return "", err
	}
	return rec.id(), nil
}

// createWebhook adds an endpoint. The secret is in its reply and in no other.
func (r *registry) createWebhook(ctx context.Context, req *pb.CreateWebhookRequest) (*pb.CreateWebhookReply, error) {
	var f instance.FieldErrors
	spec := r.rules.createWebhook(&f, req)
	if err := f.Err(); err != nil {
		return nil, err
	}
	of, err := r.owner(ctx, req.GetRef())
	if err != nil {
		return nil, err
	}
	from, err := r.lastEvent(ctx)
	if err != nil {
		return nil, err
	}
	id := uuid.Must(uuid.NewV7()).String()
	w, revision, err := r.putNewEndpoint(ctx, id, of, spec, from)
	if err != nil {
		return nil, err
	}
	r.seeEndpoint(ctx, revision)
	r.logOf(ctx).Info("webhook created", zap.String("webhook", id), zap.String("instance", string(of)))
	return &pb.CreateWebhookReply{Webhook: w}, nil
}

// listWebhooks lists the endpoints of an instance, or those of all instances, or one.
func (r *registry) listWebhooks(ctx context.Context, req *pb.ListWebhooksRequest) (*pb.ListWebhooksReply, error) {
	of, err := r.owner(ctx, req.GetRef())
	if err != nil {
		return nil, err
	}
	if id := req.GetWebhookId(); id != "" {
		e, err := r.loadEndpoint(ctx, id)
		if err == nil {
			err = belongs(e, of)
		}
		if err != nil {
			return nil, err
		}
		return &pb.ListWebhooksReply{Webhooks: []*pb.Webhook{e.shown()}}, nil
	}
	endpoints, err := r.endpointsOf(ctx, of)
	if err != nil {
		return nil, err
	}
	reply := &pb.ListWebhooksReply{}
	for _, e := range endpoints {
		reply.Webhooks = append(reply.Webhooks, e.shown())
	}
	return reply, nil
}

// belongs says that a webhook is not of the instance it was asked for with the
// same words as that there is none: an instance's token must not tell them apart.
func belongs(e endpoint, of instance.ID) error {
	if e.GetWebhook().GetInstanceId() != string(of) || e.GetInstanceDeletedAt() != nil {
		return errNoWebhook
	}
	return nil
}

// updateWebhook changes an endpoint. What is absent stays. The dispatcher uses
// it too, with the revision that it has seen, so that it does not disable an
// endpoint that was repaired meanwhile.
func (r *registry) updateWebhook(ctx context.Context, req *pb.UpdateWebhookRequest) (*pb.UpdateWebhookReply, error) {
	var f instance.FieldErrors
	change := r.rules.updateWebhook(&f, req)
	if err := f.Err(); err != nil {
		return nil, err
	}
	of, err := r.owner(ctx, req.GetRef())
	if err != nil {
		return nil, err
	}
	e, err := r.changeEndpoint(ctx, req.GetWebhookId(), func(e endpoint) error {
		if err := belongs(e, of); err != nil {
			return err
		}
		if want := req.GetExpectedRevision(); want != 0 && want != e.revision {
			return instance.Problemf(instance.CodeConflict, "The webhook was changed meanwhile.")
		}
		return r.applyChange(ctx, e, change)
	})
	if err != nil {
		return nil, err
	}
	r.seeEndpoint(ctx, e.revision)
	r.logOf(ctx).Info("webhook updated", zap.String("webhook", e.id()), zap.Bool("enabled", e.GetWebhook().GetEnabled()),
		zap.String("disabled_reason", e.GetWebhook().GetDisabledReason()))
	w := e.shown()
	if change.secret != nil {
		w.Secret = *change.secret
	}
	return &pb.UpdateWebhookReply{Webhook: w}, nil
}

func (r *registry) applyChange(ctx context.Context, e endpoint, c webhookChange) error {
	w := e.Webhook
	was := instance.Format(w.GetFormat())
	if c.url != nil {
		w.Url = *c.url
	}
	if c.events != nil {
		w.Events = *c.events
	}
	if c.format != nil {
		w.Format = string(*c.format)
	}
	if err := applyWords(w, c, was); err != nil {
		return err
	}
	if c.headers != nil {
		if err := r.setHeaders(e, *c.headers); err != nil {
			return err
		}
	}
	if c.secret != nil {
		if err := r.setSecret(e, *c.secret); err != nil {
			return err
		}
	}
	if c.enabled != nil {
		// What happened while it was disabled is not owed. Otherwise the sequence
		// stays: an event that is not routed yet is still owed.
		if *c.enabled && !w.Enabled {
			from, err := r.lastEvent(ctx)
			if err != nil {
				return err
			}
			e.FromSequence = from
		}
		w.Enabled, w.DisabledReason = *c.enabled, c.disabled
	}
	switch {
	case c.failing != nil:
		w.FailingSince = c.failing
		if c.failing.AsTime().Unix() == 0 {
			w.FailingSince = nil
		}
		return nil // nobody has changed it
	case c.url != nil || c.enabled != nil && *c.enabled:
		w.FailingSince = nil // what was is of no account for what it is now
	}
	w.UpdatedAt = r.timestamp()
	return nil
}

// deleteWebhook removes an endpoint; deliveries still owed to it are dropped.
func (r *registry) deleteWebhook(ctx context.Context, req *pb.DeleteWebhookRequest) (*pb.DeleteWebhookReply, error) {
	of, err := r.owner(ctx, req.GetRef())
	if err != nil {
		return nil, err
	}
	for {
		e, err := r.loadEndpoint(ctx, req.GetWebhookId())
		if err == nil {
			err = belongs(e, of)
		}
		if err != nil {
			return nil, err
		}
		switch err = r.endpoints.Remove(ctx, bus.EndpointKey(e.id()), e.revision); {
		case err == nil:
			r.logOf(ctx).Info("webhook deleted", zap.String("webhook", e.id()), zap.String("instance", string(of)))
			return &pb.DeleteWebhookReply{}, nil
		case !errors.Is(err, store.ErrConflict):
			return nil, err
		}
	}
}
