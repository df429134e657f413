package registry

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/services/instance-registry/internal/store"

	pb "pairgate.dev/proto/pairgate/v1"
)

// endpoint is the record of a webhook at one revision.
type endpoint struct {
	*pb.EndpointRecord
	revision uint64
}

func (e endpoint) id() string { return e.GetWebhook().GetId() }

// shown is the webhook as replies show it, without secret.
func (e endpoint) shown() *pb.Webhook { return proto.CloneOf(e.GetWebhook()) }

var errNoWebhook = instance.Problemf(instance.CodeWebhookNotFound, "There is no such webhook here.")

// keptSecrets is how many signing secrets an endpoint has at most: after a
// change deliveries are signed with the one before as well, so that a receiver
// can change over without losing one.
const keptSecrets = 2

// secretSize is the length of a made secret in bytes.
const secretSize = 32

// putNewEndpoint writes a new webhook and returns it with its secret. Events
// after the sequence from are owed to it.
func (r *registry) putNewEndpoint(ctx context.Context, id string, of instance.ID, spec webhookSpec, from uint64) (*pb.Webhook, uint64, error) {
	now := r.timestamp()
	e := endpoint{EndpointRecord: &pb.EndpointRecord{FromSequence: from, Webhook: &pb.Webhook{
		Id: id, InstanceId: string(of), Url: spec.url, Events: spec.events, Format: string(spec.format),
		Enabled: spec.enabled, CreatedAt: now, UpdatedAt: now, FormatEvents: spec.words.events, FormatOptions: spec.words.options}}}
	secret := spec.secret
	if secret == "" {
		key := make([]byte, secretSize)
		rand.Read(key)
		secret = instance.EncodeWebhookSecret(key)
	}
	if err := r.setSecret(e, secret); err != nil {
		return nil, 0, err
	}
	if err := r.setHeaders(e, spec.headers); err != nil {
		return nil, 0, err
	}
	revision, err := r.putEndpoint(ctx, e, 0)
	if err != nil {
		return nil, 0, err
	}
	w := e.shown()
	w.Secret = secret
	return w, revision, nil
}

func (r *registry) putEndpoint(ctx context.Context, e endpoint, expected uint64) (uint64, error) {
	body, err := bus.EncodeJSON(e.EndpointRecord)
	if err != nil {
		return 0, fmt.Errorf("record of webhook %s: %w", e.id(), err)
	}
	return r.endpoints.Put(ctx, bus.EndpointKey(e.id()), body, expected)
}

// loadEndpoint reads a webhook's record through the leader; errNoWebhook when there is none.
func (r *registry) loadEndpoint(ctx context.Context, id string) (endpoint, error) {
	// Anything else could not be a key.
	if parsed, ok := instance.ParseID(id); !ok || string(parsed) != id {
		return endpoint{}, errNoWebhook
	}
	cell, err := r.endpoints.Get(ctx, bus.EndpointKey(id))
	if err != nil {
		return endpoint{}, err
	}
	if !cell.Present {
		return endpoint{}, errNoWebhook
	}
	e := endpoint{EndpointRecord: &pb.EndpointRecord{}, revision: cell.Revision}
	if err := bus.DecodeJSON(cell.Value, e.EndpointRecord); err != nil {
		return endpoint{}, fmt.Errorf("record of webhook %s: %w", id, err)
	}
	return e, nil
}

// changeEndpoint applies edit to a copy of a webhook's record and writes it,
// again from the start when somebody else wrote meanwhile.
func (r *registry) changeEndpoint(ctx context.Context, id string, edit func(e endpoint) error) (endpoint, error) {
	for {
		e, err := r.loadEndpoint(ctx, id)
		if err != nil {
			return endpoint{}, err
		}
		if err := edit(e); err != nil {
			return e, err
		}
		revision, err := r.putEndpoint(ctx, e, e.revision)
		if !errors.Is(err, store.ErrConflict) {
			e.revision = revision
			return e, err
		}
	}
}

// removeEndpoint removes a webhook's record; that there is none is no error.
func (r *registry) removeEndpoint(ctx context.Context, id string) error {
	for {
		cell, err := r.endpoints.Get(ctx, bus.EndpointKey(id))
		if err != nil || !cell.Present {
			return err
		}
		err = r.endpoints.Remove(ctx, bus.EndpointKey(id), cell.Revision)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// endpointsOf returns the webhooks of an instance, those of all instances for
// the empty id, as of now.
func (r *registry) endpointsOf(ctx context.Context, of instance.ID) ([]endpoint, error) {
	last, err := r.lastOf(ctx, bus.BucketStream(bus.BucketEndpoints))
	if err != nil {
		return nil, err
	}
	if err := r.views.Endpoints.WaitRevision(ctx, last); err != nil {
		return nil, fmt.Errorf("%w: the view of webhooks: %w", store.ErrUnavailable, err)
	}
	recs := r.views.Endpoints.ByInstance(of)
	out := make([]endpoint, 0, len(recs))
	for _, rec := range recs {
		out = append(out, endpoint{EndpointRecord: rec})
	}
	return out, nil
}

// setSecret puts a secret in front of those that the webhook has.
func (r *registry) setSecret(e endpoint, secret string) error {
	sealed, err := r.ring.Seal([]byte(secret), seal.ForWebhookSecret(e.id()))
	if err != nil {
		return fmt.Errorf("seal the secret of webhook %s: %w", e.id(), err)
	}
	e.SealedSecrets = append([][]byte{sealed}, e.SealedSecrets...)
	e.SealedSecrets = e.SealedSecrets[:min(len(e.SealedSecrets), keptSecrets)]
	return nil
}

func (r *registry) openSecret(e endpoint) (string, error) {
	if len(e.GetSealedSecrets()) == 0 {
		return "", nil
	}
	secret, err := r.ring.Open(e.GetSealedSecrets()[0], seal.ForWebhookSecret(e.id()))
	if err != nil {
		return "", fmt.Errorf("open the secret of webhook %s: %w", e.id(), err)
	}
	return string(secret), nil
}

// openHeaders returns the headers with their values.
func (r *registry) openHeaders(e endpoint) (map[string]string, error) {
	if len(e.GetSealedHeaders()) == 0 {
		return nil, nil
	}
	headers := map[string]string{}
	plain, err := r.ring.Open(e.GetSealedHeaders(), seal.ForWebhookHeaders(e.id()))
	if err == nil && json.Unmarshal(plain, &headers) != nil {
		err = errors.New("not a JSON object of texts") // the decoder's own words may hold a value
	}
	if err != nil {
		return nil, fmt.Errorf("open the headers of webhook %s: %w", e.id(), err)
	}
	return headers, nil
}

func (r *registry) setHeaders(e endpoint, headers map[string]string) error {
	e.Webhook.HeaderNames, e.SealedHeaders = slices.Sorted(maps.Keys(headers)), nil
	if len(headers) == 0 {
		return nil
	}
	plain, err := json.Marshal(headers)
	if err == nil {
		e.SealedHeaders, err = r.ring.Seal(plain, seal.ForWebhookHeaders(e.id()))
	}
	if err != nil {
		return fmt.Errorf("seal the headers of webhook %s: %w", e.id(), err)
	}
	return nil
}
