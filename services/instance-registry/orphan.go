package registry

import (
	"context"
	"errors"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/instance-registry/internal/store"
)

// freeOrphan frees the claim on an index key if no record uses it. It first
// makes the write impossible that the claim may have been made for: a creation
// by a tombstone at the claimed id, a rename or a new token by writing the
// record again as it is, so that whoever read it before has to read again, and
// with that to claim again. The claim is freed at the revision that was read
// before all that, so a claim that was made or renewed meanwhile stays.
func (r *registry) freeOrphan(ctx context.Context, key string) (freed bool, err error) {
	claim, holder, ok, err := store.Look(ctx, r.instances, key)
	if err != nil || !ok {
		return false, err
	}
	if _, valid := instance.ParseID(string(holder)); !valid {
		return true, store.Free(ctx, r.instances, claim)
	}
	rec, err := r.abandon(ctx, holder)
	for err == nil && !rec.uses(key) {
		if _, isNumber := bus.ParseNumberKey(key); isNumber && !rec.GetAbandoned() && rec.GetDeletedAt() != nil {
			return false, store.UseUp(ctx, r.instances, key, holder)
		}
		if !rec.live() {
			return true, store.Free(ctx, r.instances, claim)
		}
		_, err = r.write(ctx, rec, rec.revision)
		if err == nil {
			return true, store.Free(ctx, r.instances, claim)
		}
		if errors.Is(err, store.ErrConflict) {
			rec, err = r.load(ctx, holder)
		}
	}
	return false, err
}
