package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/instance-registry/internal/store"

	pb "pairgate.dev/proto/pairgate/v1"
)

// record is an instance's record at one revision; revision 0 is one that does not exist.
type record struct {
	*pb.InstanceRecord
	revision uint64
	stored   time.Time
}

func (r record) exists() bool { return r.revision != 0 && r.InstanceRecord != nil }

// live says whether the record is of an instance that is not deleted.
func (r record) live() bool {
	return r.exists() && !r.GetAbandoned() && r.GetDeletedAt() == nil
}

func (r record) id() instance.ID { return instance.ID(r.GetInstance().GetId()) }

// uses says whether the record is of a live instance that holds the index key.
func (r record) uses(key string) bool {
	i := r.GetInstance()
	return r.live() && (key == bus.NameKey(i.GetName()) || key == bus.NumberKey(i.GetNumber()) || key == bus.TokenKey(r.GetTokenHash(), r.id()))
}

var errNoInstance = instance.Problemf(instance.CodeInstanceNotFound, "No instance has this id, number or name.")

// load reads a record of any kind, through the leader.
func (r *registry) load(ctx context.Context, id instance.ID) (record, error) {
	cell, err := r.instances.Get(ctx, bus.InstanceKey(id))
	if err != nil || !cell.Present {
		return record{revision: 0}, err
	}
	rec := record{InstanceRecord: &pb.InstanceRecord{}, revision: cell.Revision, stored: cell.Stored}
	if err := bus.DecodeJSON(cell.Value, rec.InstanceRecord); err != nil {
		return record{}, fmt.Errorf("record of instance %s: %w", id, err)
	}
	return rec, nil
}

// resolve finds a live instance by id, number or name, in this order, through
// the leader: an answer of "not found" is the truth, not a late view.
func (r *registry) resolve(ctx context.Context, ref string) (record, error) {
	rec, err := r.find(ctx, ref)
	if err != nil {
		return record{}, err
	}
	if !rec.live() {
		return record{}, errNoInstance
	}
	return rec, nil
}

// find is resolve that also returns the record of a deleted instance, which
// only its id and its number still lead to.
func (r *registry) find(ctx context.Context, ref string) (record, error) {
	if id, ok := instance.ParseID(ref); ok {
		return r.load(ctx, id)
	}
	var f instance.FieldErrors
	name := instance.CheckName(&f, "ref", ref)
	if f != nil {
		return record{}, errNoInstance
	}
	if n, ok := instance.NameAsNumber(name); ok {
		rec, err := r.claimed(ctx, bus.NumberKey(n))
		if err != nil || rec.exists() && rec.GetInstance().GetNumber() == n {
			return rec, err
		}
	}
	rec, err := r.claimed(ctx, bus.NameKey(name))
	if err != nil || !rec.live() || rec.GetInstance().GetName() != name {
		// A claim whose record is not written yet, or does not use it any more, is nobody's.
		return record{}, err
	}
	return rec, nil
}

// claimed reads the record of the instance that an index key is claimed for.
func (r *registry) claimed(ctx context.Context, key string) (record, error) {
	_, holder, ok, err := store.Look(ctx, r.instances, key)
	if err != nil || !ok {
		return record{}, err
	}
	return r.load(ctx, holder)
}

// change applies edit to a copy of a live instance's record and writes it,
// again from the start when somebody else wrote meanwhile. edit returns
// errUnchanged to leave the record as it is, which is no error.
func (r *registry) change(ctx context.Context, id instance.ID, edit func(ctx context.Context, rec record) error) (record, error) {
	for tries := 0; ; tries++ {
		yield(ctx, tries)
		rec, err := r.load(ctx, id)
		if err != nil {
			return record{}, err
		}
		if !rec.live() {
			return record{}, errNoInstance
		}
		next := record{InstanceRecord: proto.CloneOf(rec.InstanceRecord), revision: rec.revision, stored: rec.stored}
		if err := edit(ctx, next); err != nil {
			if errors.Is(err, errUnchanged) {
				return rec, nil
			}
			return record{}, err
		}
		next.revision, err = r.write(ctx, next, rec.revision)
		if !errors.Is(err, store.ErrConflict) {
			return next, err
		}
	}
}

// yield waits for a moment before another try, longer the more there were, so
// that many who change one record at once do not all read it at once again.
func yield(ctx context.Context, tries int) {
	if tries > 0 {
		sleep(ctx, rand.N(time.Millisecond<<min(tries, 5)))
	}
}

// errUnchanged: an edit found nothing to change.
var errUnchanged = errors.New("registry: nothing to change")

// write stores a record in place of the expected revision, with the trace of ctx
// in it: who acts on the revision continues it.
func (r *registry) write(ctx context.Context, rec record, expected uint64) (uint64, error) {
	rec.Traceparent = bus.TraceParent(ctx)
	body, err := bus.EncodeJSON(rec.InstanceRecord)
	if err != nil {
		return 0, fmt.Errorf("record of instance %s: %w", rec.id(), err)
	}
	return r.instances.Put(ctx, bus.InstanceKey(rec.id()), body, expected)
}

// abandon makes it impossible that a record is still created at id: it puts a
// tombstone there if nothing is there, and returns what is there.
func (r *registry) abandon(ctx context.Context, id instance.ID) (record, error) {
	rec, err := r.load(ctx, id)
	for err == nil && !rec.exists() {
		tombstone := record{InstanceRecord: &pb.InstanceRecord{Instance: &pb.Instance{Id: string(id)}, Abandoned: true, DeletedAt: r.timestamp()}}
		tombstone.revision, err = r.write(ctx, tombstone, 0)
		if !errors.Is(err, store.ErrConflict) {
			return tombstone, err
		}
		rec, err = r.load(ctx, id)
	}
	return rec, err
}

// shown is the instance as replies show it.
func (r *registry) shown(rec record) *pb.Instance {
	out := proto.CloneOf(rec.GetInstance())
	out.Status = bus.StatusToProto(r.status(rec))
	return out
}

func (r *registry) status(rec record) instance.Status {
	if s, ok := r.views.Sessions.Status(rec.id()); ok {
		return s
	}
	return instance.Initial(rec.GetInstance().GetCreatedAt().AsTime())
}

func (r *registry) timestamp() *timestamppb.Timestamp { return timestamppb.New(r.now().UTC()) }
