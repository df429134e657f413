package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/services/instance-registry/internal/store"

	pb "pairgate.dev/proto/pairgate/v1"
)

// undoTimeout bounds what is done after a request has failed or timed out.
const undoTimeout = 5 * time.Second

var (
	errKeyReused = instance.Problemf(instance.CodeKeyReused, "This Idempotency-Key was used for a request with another body; use a new key.")
	errRunning   = &instance.Problem{Code: instance.CodeStillRunning, Detail: "A creation with this Idempotency-Key is still running; ask again.", RetryAfter: 1}
)

// createOnce makes the instance of an Idempotency-Key: the first request with
// the key makes it, later ones with the same body get the same reply. A key
// whose creation failed may be used again.
func (r *registry) createOnce(ctx context.Context, req *pb.CreateInstanceRequest, spec createSpec) (*pb.CreateInstanceReply, error) {
	hash, err := bodyHash(req)
	if err != nil {
		return nil, err
	}
	key := bus.IdempotencyKey(req.GetIdempotencyKey())
	for {
		started := &pb.IdempotencyRecord{BodyHash: hash, InstanceId: string(newID()), StartedAt: r.timestamp()}
		body, err := bus.EncodeJSON(started)
		if err != nil {
			return nil, fmt.Errorf("idempotency record: %w", err)
		}
		revision, holds, err := store.Create(ctx, r.idempotency, key, body)
		if err == nil {
			return r.createUnder(ctx, key, revision, started, spec)
		}
		if !errors.Is(err, store.ErrExists) {
			return nil, err
		}
		reply, err := r.createdBefore(ctx, key, holds, hash)
		if reply != nil || err != nil {
			return reply, err
		}
	}
}

// createUnder runs the creation that holds the key, and keeps its reply.
func (r *registry) createUnder(ctx context.Context, key string, revision uint64, started *pb.IdempotencyRecord, spec createSpec) (*pb.CreateInstanceReply, error) {
	reply, undone, err := r.createAs(ctx, instance.ID(started.GetInstanceId()), spec)
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if undone {
		if e := r.idempotency.Remove(after, key, revision); e != nil && !errors.Is(e, store.ErrConflict) {
			r.log.Warn("an Idempotency-Key of a failed creation stays in use for a while", zap.Error(e))
		}
	}
	if err != nil {
		return nil, err
	}
	if e := r.keepReply(after, key, revision, started, reply); e != nil {
		// A repetition finds the instance and puts the reply together again.
		r.log.Warn("reply of a creation not kept under its Idempotency-Key", zap.String("instance", started.GetInstanceId()), zap.Error(e))
	}
	return reply, nil
}

func (r *registry) keepReply(ctx context.Context, key string, revision uint64, started *pb.IdempotencyRecord, reply *pb.CreateInstanceReply) error {
	plain, err := proto.Marshal(reply)
	if err != nil {
		return err
	}
	done := proto.CloneOf(started)
	if done.SealedReply, err = r.ring.Seal(plain, seal.ForReply(started.GetInstanceId())); err != nil {
		return err
	}
	body, err := bus.EncodeJSON(done)
	if err != nil {
		return err
	}
	_, err = r.idempotency.Put(ctx, key, body, revision)
	return err
}

// createdBefore answers from what an earlier request with the key left. It
// returns neither a reply nor an error when the key is free again.
func (r *registry) createdBefore(ctx context.Context, key string, holds store.Cell, hash string) (*pb.CreateInstanceReply, error) {
	before := &pb.IdempotencyRecord{}
	if err := bus.DecodeJSON(holds.Value, before); err != nil {
		return nil, fmt.Errorf("idempotency record: %w", err)
	}
	if before.GetBodyHash() != hash {
		return nil, errKeyReused
	}
	id := instance.ID(before.GetInstanceId())
	if len(before.GetSealedReply()) > 0 {
		reply := &pb.CreateInstanceReply{}
		plain, err := r.ring.Open(before.GetSealedReply(), seal.ForReply(string(id)))
		if err == nil {
			err = proto.Unmarshal(plain, reply)
		}
		return reply, err
	}
	rec, err := r.load(ctx, id)
	if err != nil {
		return nil, err
	}
	if !rec.exists() {
		if r.now().Sub(holds.Stored) < r.cfg.ClaimAge {
			return nil, errRunning
		}
		// Whoever began is gone, or will find that it is too late.
		if rec, err = r.abandon(ctx, id); err != nil {
			return nil, err
		}
	}
	if !rec.GetAbandoned() {
		return r.replyAgain(ctx, rec, key, holds.Revision, before)
	}
	if err := r.idempotency.Remove(ctx, key, holds.Revision); err != nil && !errors.Is(err, store.ErrConflict) {
		return nil, err
	}
	return nil, nil
}

// replyAgain puts the reply of a creation together whose process died before it
// could keep it.
func (r *registry) replyAgain(ctx context.Context, rec record, key string, revision uint64, before *pb.IdempotencyRecord) (*pb.CreateInstanceReply, error) {
	token, err := r.ring.Open(rec.GetSealedToken(), seal.ForToken(string(rec.id())))
	if err != nil {
		return nil, fmt.Errorf("open the token of instance %s: %w", rec.id(), err)
	}
	reply := &pb.CreateInstanceReply{Instance: r.shown(rec), Token: string(token)}
	endpoints, err := r.endpointsOf(ctx, rec.id())
	if err != nil {
		return nil, err
	}
	for _, e := range endpoints {
		w := e.shown()
		if w.Secret, err = r.openSecret(e); err != nil {
			return nil, err
		}
		reply.Webhooks = append(reply.Webhooks, w)
	}
	if err := r.keepReply(ctx, key, revision, before, reply); err != nil && !errors.Is(err, store.ErrConflict) {
		return nil, err
	}
	return reply, nil
}

// bodyHash is the hash of a request without its key, so that a repetition may
// differ in the order of its fields and in white space.
func bodyHash(req *pb.CreateInstanceRequest) (string, error) {
	bare := proto.CloneOf(req)
	bare.IdempotencyKey = ""
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(bare)
	if err != nil {
		return "", fmt.Errorf("hash a request: %w", err)
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:]), nil
}
