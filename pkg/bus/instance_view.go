package bus

import (
	"context"
	"iter"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// InstanceChange is a change of an instance's record; Key is its id.
type InstanceChange = Change[*pb.InstanceRecord]

// InstanceView holds the record of every instance, deleted ones included, and
// finds those that are not deleted by id, number, name and token.
type InstanceView struct {
	follower *Follower[*pb.InstanceRecord]

	mu       sync.RWMutex
	ids      []instance.ID // of every record, ascending
	live     int
	byName   map[string]instance.ID
	byNumber map[uint64]instance.ID
	byToken  map[string][]instance.ID
	deleted  map[uint64]instance.ID // by number, which is never used again
}

func newInstanceView(conn *Conn, log *zap.Logger) *InstanceView {
	v := &InstanceView{byName: map[string]instance.ID{}, byNumber: map[uint64]instance.ID{}, byToken: map[string][]instance.ID{},
		deleted: map[uint64]instance.ID{}}
	v.follower = Follow(conn, FollowOptions[*pb.InstanceRecord]{
		Bucket: BucketInstances,
		Keys:   []string{InstanceKeys},
		Key: func(key string) (string, bool) {
			id, ok := ParseInstanceKey(key)
			return string(id), ok
		},
		Decode: decodeInstanceRecord,
		Log:    log,
	})
	v.follower.index = v.index
	return v
}

func decodeInstanceRecord(id string, data []byte) (*pb.InstanceRecord, error) {
	rec := new(pb.InstanceRecord)
	if err := DecodeJSON(data, rec); err != nil {
		return nil, err
	}
	if rec.Instance == nil {
		rec.Instance = &pb.Instance{} // the tombstone of a creation that was abandoned
	}
	rec.Instance.Id = id
	rec.Instance.Provider = intern(rec.Instance.Provider)
	if rec.Pairing != nil {
		rec.Pairing.Method = intern(rec.Pairing.Method)
	}
	return rec, nil
}

// InstanceDeleted says whether the record is a tombstone.
func InstanceDeleted(rec *pb.InstanceRecord) bool {
	return rec.GetDeletedAt() != nil || rec.GetAbandoned()
}

func (v *InstanceView) index(changes []InstanceChange, bulk bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range changes {
		id := instance.ID(c.Key)
		if c.Previous != nil {
			v.forget(id, c.Previous)
		}
		switch {
		case c.Deleted:
			if i, found := slices.BinarySearch(v.ids, id); found && !bulk {
				v.ids = slices.Delete(v.ids, i, i+1)
			}
			continue
		case c.Previous == nil && bulk:
			v.ids = append(v.ids, id)
		case c.Previous == nil:
			if i, found := slices.BinarySearch(v.ids, id); !found {
				v.ids = slices.Insert(v.ids, i, id)
			}
		}
		v.remember(id, c.Value)
	}
	if bulk {
		gone := make(map[instance.ID]bool)
		for _, c := range changes {
			if c.Deleted {
				gone[instance.ID(c.Key)] = true
			}
		}
		v.ids = slices.DeleteFunc(v.ids, func(id instance.ID) bool { return gone[id] })
		slices.Sort(v.ids)
	}
}

func (v *InstanceView) remember(id instance.ID, rec *pb.InstanceRecord) {
	if InstanceDeleted(rec) {
		if n := rec.Instance.Number; n != 0 {
			v.deleted[n] = id
		}
		return
	}
	v.live++
	v.byName[rec.Instance.Name] = id
	v.byNumber[rec.Instance.Number] = id
	if rec.TokenHash != "" {
		v.byToken[rec.TokenHash] = append(slices.Clip(v.byToken[rec.TokenHash]), id)
	}
}

func (v *InstanceView) forget(id instance.ID, rec *pb.InstanceRecord) {
	if InstanceDeleted(rec) {
		if v.deleted[rec.Instance.Number] == id {
			delete(v.deleted, rec.Instance.Number)
		}
		return
	}
	v.live--
	// Another instance may have taken the name already.
	if v.byName[rec.Instance.Name] == id {
		delete(v.byName, rec.Instance.Name)
	}
	if v.byNumber[rec.Instance.Number] == id {
		delete(v.byNumber, rec.Instance.Number)
	}
	// Readers hold the old list: it is replaced, not changed.
	left := slices.DeleteFunc(slices.Clone(v.byToken[rec.TokenHash]), func(other instance.ID) bool { return other == id })
	if len(left) == 0 {
		delete(v.byToken, rec.TokenHash)
	} else {
		v.byToken[rec.TokenHash] = left
	}
}

// Get returns the record of the instance and its revision; ok is false when
// there is none. A deleted instance has one: see InstanceDeleted.
func (v *InstanceView) Get(id instance.ID) (rec *pb.InstanceRecord, revision uint64, ok bool) {
	return v.follower.Get(string(id))
}

// Resolve finds the instance that ref means: its id, else its number, else its
// name. ok is false when there is none, or when it is deleted.
func (v *InstanceView) Resolve(ref string) (id instance.ID, ok bool) {
	if id, isID := instance.ParseID(ref); isID {
		rec, _, found := v.Get(id)
		return id, found && !InstanceDeleted(rec)
	}
	v.follower.Start()
	v.mu.RLock()
	defer v.mu.RUnlock()
	if n, err := strconv.ParseUint(ref, 10, 64); err == nil && n != 0 && strconv.FormatUint(n, 10) == ref {
		if id, ok := v.byNumber[n]; ok {
			return id, true
		}
	}
	id, ok = v.byName[ref]
	return id, ok
}

// DeletedByNumber returns the tombstone of the instance that had the number; ok is
// false when the number's instance is not deleted, or there was none.
func (v *InstanceView) DeletedByNumber(number uint64) (rec *pb.InstanceRecord, ok bool) {
	v.follower.Start()
	v.mu.RLock()
	id, ok := v.deleted[number]
	v.mu.RUnlock()
	if !ok {
		return nil, false
	}
	rec, _, ok = v.Get(id)
	return rec, ok && InstanceDeleted(rec)
}

// ByToken returns the instances, not deleted, whose token has the hash
// (lower-case hex SHA-256). There may be several: creators may choose equal tokens.
func (v *InstanceView) ByToken(hash string) []instance.ID {
	if hash == "" {
		return nil
	}
	v.follower.Start()
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.byToken[hash]
}

// All yields every record, tombstones included, in the order of ids, which is
// that of creation. A record that changes meanwhile is yielded in its old or
// its new state. Nothing is locked between two records.
func (v *InstanceView) All() iter.Seq[*pb.InstanceRecord] { return v.from("", false) }

// After yields the records of instances that are not deleted, in the order of
// ids, from the first one after id on; the empty id starts at the beginning. It
// is how a list is cut into pages.
func (v *InstanceView) After(id instance.ID) iter.Seq[*pb.InstanceRecord] { return v.from(id, true) }

func (v *InstanceView) from(after instance.ID, liveOnly bool) iter.Seq[*pb.InstanceRecord] {
	return func(yield func(*pb.InstanceRecord) bool) {
		var ids [256]instance.ID
		for {
			v.follower.Start()
			v.mu.RLock()
			i, found := slices.BinarySearch(v.ids, after)
			if found {
				i++
			}
			n := copy(ids[:], v.ids[i:])
			v.mu.RUnlock()
			if n == 0 {
				return
			}
			for _, id := range ids[:n] {
				rec, _, ok := v.Get(id)
				if !ok || liveOnly && InstanceDeleted(rec) {
					continue
				}
				if !yield(rec) {
					return
				}
			}
			after = ids[n-1]
		}
	}
}

// Count returns how many instances are not deleted.
func (v *InstanceView) Count() int {
	v.follower.Start()
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.live
}

// Subscribe is that of Follower: fn hears of every change of a record, in order.
func (v *InstanceView) Subscribe(fn func(InstanceChange)) (cancel func()) {
	return v.follower.Subscribe(fn)
}

// Ready is closed once every record is held.
func (v *InstanceView) Ready() <-chan struct{} { return v.follower.Ready() }

// WaitRevision is that of Follower.
func (v *InstanceView) WaitRevision(ctx context.Context, revision uint64) error {
	return v.follower.WaitRevision(ctx, revision)
}

// SilentFor is that of Follower.
func (v *InstanceView) SilentFor() time.Duration { return v.follower.SilentFor() }
