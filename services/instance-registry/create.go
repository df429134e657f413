package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/services/instance-registry/internal/store"

	pb "pairgate.dev/proto/pairgate/v1"
)

// create makes an instance: claims its number, name and token, writes its
// webhooks, and then the record that makes it exist.
func (r *registry) create(ctx context.Context, req *pb.CreateInstanceRequest) (*pb.CreateInstanceReply, error) {
	var f instance.FieldErrors
	spec := r.rules.create(&f, req)
	if err := f.Err(); err != nil {
		return nil, err
	}
	if req.GetIdempotencyKey() != "" {
		return r.createOnce(ctx, req, spec)
	}
	reply, _, err := r.createAs(ctx, newID(), spec)
	return reply, err
}

func newID() instance.ID { return instance.ID(uuid.Must(uuid.NewV7()).String()) }

// createAs makes the instance with the given id. When it fails, undone says that
// the instance does not exist and never will under this id; what else is left is
// for the sweeper.
func (r *registry) createAs(ctx context.Context, id instance.ID, spec createSpec) (reply *pb.CreateInstanceReply, undone bool, err error) {
	c := &creation{registry: r, id: id, spec: spec, token: spec.token}
	if c.token == "" {
		c.token = seal.NewToken()
	}
	if reply, err = c.run(ctx); err != nil {
		return nil, c.undo(ctx), err
	}
	r.logOf(ctx).Info("instance created", zap.String("instance", string(id)), zap.String("provider", spec.instance.GetProvider()),
		zap.Int("webhooks", len(reply.GetWebhooks())))
	return reply, false, nil
}

// creation is one instance on its way into being.
type creation struct {
	*registry
	id    instance.ID
	spec  createSpec
	token string

	claims    []string // keys whose claim was begun
	endpoints []string // ids of webhooks whose writing was begun
	certain   bool     // the record was not written, for certain
}

func (c *creation) run(ctx context.Context) (*pb.CreateInstanceReply, error) {
	c.certain = true
	// The name first: a made number of a creation whose name is taken would leave a trace in the bucket.
	name := c.spec.instance.GetName()
	if err := c.claim(ctx, bus.NameKey(name)); errors.Is(err, store.ErrTaken) {
		return nil, errNameTaken
	} else if err != nil {
		return nil, err
	}
	number, err := c.claimNumber(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.checkNameIsNoNumber(ctx, name, number); err != nil {
		return nil, err
	}
	hash := seal.HashToken(c.token)
	if err := c.claim(ctx, bus.TokenKey(hash, c.id)); err != nil {
		return nil, err
	}
	webhooks, err := c.writeWebhooks(ctx)
	if err != nil {
		return nil, err
	}
	rec, err := c.record(number, hash)
	if err != nil {
		return nil, err
	}
	if rec, err = c.writeRecord(ctx, rec); err != nil {
		return nil, err
	}
	c.see(ctx, rec.revision)
	return &pb.CreateInstanceReply{Instance: c.shown(rec), Token: c.token, Webhooks: webhooks}, nil
}

func (c *creation) claim(ctx context.Context, key string) error {
	c.claims = append(c.claims, key)
	_, err := store.Take(ctx, c.instances, key, c.id)
	return err
}

// numberTries bounds the search for a free number: at 90 of 100 taken it fails
// once in a thousand creations.
const numberTries = 64

// claimNumber claims the number that was asked for, or a made one: the
// provider's four digits and six random ones.
func (c *creation) claimNumber(ctx context.Context) (uint64, error) {
	if n := c.spec.instance.GetNumber(); n != 0 {
		err := c.claimUnnamed(ctx, n)
		if errors.Is(err, store.ErrTaken) {
			return 0, taken(instance.CodeNumberTaken, "number", "An instance has this number, or had it: numbers are never used again.")
		}
		return n, err
	}
	const room = 1_000_000
	base := instance.Provider(c.spec.instance.GetProvider()).NumberPrefix() * room
	for range numberTries {
		n := base + rand.Uint64N(room)
		err := c.claimUnnamed(ctx, n)
		if !errors.Is(err, store.ErrTaken) {
			return n, err
		}
		c.claims = c.claims[:len(c.claims)-1]
	}
	return 0, instance.Problemf(instance.CodeConflict, "Hardly any number is free for this provider; give one in the request.")
}

// claimUnnamed claims a number that is not another instance's name: a ref that
// is both would lead to the number's instance.
func (c *creation) claimUnnamed(ctx context.Context, n uint64) error {
	if err := c.claim(ctx, bus.NumberKey(n)); err != nil {
		return err
	}
	name := strconv.FormatUint(n, 10)
	if c.spec.instance.GetName() == name {
		return nil
	}
	_, holder, named, err := store.Look(ctx, c.instances, bus.NameKey(name))
	if err == nil && named && holder != c.id {
		err = errors.Join(store.ErrTaken, store.FreeOf(ctx, c.instances, bus.NumberKey(n), c.id))
	}
	return err
}

var errNameTaken = taken(instance.CodeNameTaken, "name", "Another instance has this name.")

func taken(code instance.Code, field, detail string) *instance.Problem {
	p := instance.Problemf(code, "%s", detail)
	p.Errors = []instance.FieldError{{Field: field, Message: "is taken"}}
	return p
}

// checkNameIsNoNumber refuses a name that is the number of another instance.
// Both sides claim first and look then, so of two that race one sees the other.
func (r *registry) checkNameIsNoNumber(ctx context.Context, name string, own uint64) error {
	n, ok := instance.NameAsNumber(name)
	if !ok || n == own {
		return nil
	}
	_, _, numbered, err := store.Look(ctx, r.instances, bus.NumberKey(n))
	if err == nil && numbered {
		return taken(instance.CodeNameTaken, "name", "The name is the number of another instance.")
	}
	return err
}

func (c *creation) writeWebhooks(ctx context.Context) ([]*pb.Webhook, error) {
	if len(c.spec.webhooks) == 0 {
		return nil, nil
	}
	from, err := c.lastEvent(ctx)
	if err != nil {
		return nil, err
	}
	var out []*pb.Webhook
	for _, spec := range c.spec.webhooks {
		id := uuid.Must(uuid.NewV7()).String()
		c.endpoints = append(c.endpoints, id)
		w, _, err := c.putNewEndpoint(ctx, id, c.id, spec, from)
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}

func (c *creation) record(number uint64, hash string) (record, error) {
	token, err := c.ring.Seal([]byte(c.token), seal.ForToken(string(c.id)))
	if err != nil {
		return record{}, fmt.Errorf("seal the token: %w", err)
	}
	rec := record{InstanceRecord: &pb.InstanceRecord{Instance: c.spec.instance, TokenHash: hash, SealedToken: token, Label: c.spec.label}}
	if rec.SealedProxyPassword, err = c.sealProxyPassword(c.id, c.spec.proxyPassword); err != nil {
		return record{}, err
	}
	i, now := rec.Instance, c.timestamp()
	i.Id, i.Number, i.SpecVersion, i.CreatedAt, i.UpdatedAt = string(c.id), number, 1, now, now
	return rec, nil
}

func (r *registry) sealProxyPassword(id instance.ID, password string) ([]byte, error) {
	if password == "" {
		return nil, nil
	}
	sealed, err := r.ring.Seal([]byte(password), seal.ForProxyPassword(string(id)))
	if err != nil {
		return nil, fmt.Errorf("seal the proxy's password: %w", err)
	}
	return sealed, nil
}

// errAbandoned: the sweeper took the creation for one that nobody finishes.
var errAbandoned = &instance.Problem{Code: instance.CodeUnavailable, Detail: "The creation took too long and was undone; try again.", RetryAfter: 1}

func (c *creation) writeRecord(ctx context.Context, rec record) (record, error) {
	c.certain = false
	revision, err := c.write(ctx, rec, 0)
	if errors.Is(err, store.ErrConflict) {
		// Nobody else knows the id but the sweeper, and those who have seen our own write already.
		there, err := c.load(ctx, c.id)
		if err == nil && there.GetAbandoned() {
			c.certain, err = true, errAbandoned
		}
		return there, err
	}
	rec.revision = revision
	return rec, err
}

// undo frees what was claimed. When the record may exist after all, it first
// makes sure that it does not; where that can not be done in time, or the record
// is there, everything stays, for the sweeper or as it is.
func (c *creation) undo(ctx context.Context) (undone bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if !c.certain {
		if rec, err := c.abandon(ctx, c.id); err != nil || !rec.GetAbandoned() {
			c.log.Warn("a creation ended without an answer to its last write", zap.String("instance", string(c.id)), zap.Error(err))
			return false
		}
	}
	for _, id := range c.endpoints {
		if err := c.removeEndpoint(ctx, id); err != nil {
			c.log.Warn("webhook of a failed creation left to the sweeper", zap.String("webhook", id), zap.Error(err))
		}
	}
	for _, key := range c.claims {
		if err := store.FreeOf(ctx, c.instances, key, c.id); err != nil {
			c.log.Warn("claim of a failed creation left to the sweeper", zap.String("instance", string(c.id)), zap.Error(err))
		}
	}
	return true
}
