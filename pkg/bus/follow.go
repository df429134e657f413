package bus

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// FollowOptions say which bucket is followed and what is held of it.
type FollowOptions[T any] struct {
	// Bucket is the name of the bucket. Changes of one that the server does not
	// publish again, such as SETTINGS, come within about a second.
	Bucket string
	// Keys filter the keys, with wildcards, such as InstanceKeys; none for all.
	Keys []string
	// Key returns the name under which a bucket's key is held, and false for a
	// key that is not. Nil holds every key that Keys match under its own name.
	Key func(key string) (string, bool)
	// Decode makes the value that is held, once for each entry; readers share
	// it, so nobody may change it. It must not keep data. After an error the
	// value before stays, and the error is logged, so it must not hold a secret.
	Decode func(key string, data []byte) (T, error)
	// Log gets what goes wrong; nil for nothing.
	Log *zap.Logger
}

// Change is what happened to one key.
type Change[T any] struct {
	// Key is the name under which the key is held.
	Key string
	// Revision is that of the entry, or of the deletion. Deletions that were
	// noticed only by a new snapshot carry the snapshot's revision.
	Revision uint64
	// Value is the new value; the zero value after a deletion.
	Value T
	// Previous is the value before; the zero value when there was none.
	Previous T
	Deleted  bool
}

// Follower holds the last entry of each key of a bucket, and keeps it current.
//
// It starts at its first use. What it holds is complete from Ready on and never
// goes back to an older revision, unless the bucket itself was made anew. After
// a loss of the connection or of republished messages it catches up by reading;
// of several changes of one key in such a gap subscribers may see the last only.
type Follower[T any] struct {
	o    FollowOptions[T]
	feed *feed
	log  *zap.Logger
	subs subscribers[Change[T]]
	// index is told of changes before anybody can wait for their revision; bulk
	// says that they are those of a snapshot.
	index func(changes []Change[T], bulk bool)

	mu      sync.RWMutex
	entries map[string]followed[T]

	// Of the feed's goroutine only.
	incarnation string
	anew        bool
	next        map[string]followed[T]
}

type followed[T any] struct {
	value    T
	revision uint64
	deleted  bool // only in a snapshot that is being read
}

// Follow makes a follower of a bucket. End it with Stop.
func Follow[T any](conn *Conn, o FollowOptions[T]) *Follower[T] {
	if len(o.Keys) == 0 {
		o.Keys = []string{">"}
	}
	filters := make([]string, len(o.Keys))
	for i, k := range o.Keys {
		filters[i] = BucketSubject(o.Bucket, k)
	}
	f := &Follower[T]{o: o, entries: make(map[string]followed[T]), log: o.Log}
	if f.log == nil {
		f.log = zap.NewNop()
	}
	// Half of the life of a marker: an expiry that a gap hid must still be seen,
	// by its marker or, when the gap is older, by a snapshot without the key.
	f.feed = newFeed(conn, feedConfig{stream: BucketStream(o.Bucket), live: LiveBucket(o.Bucket), filters: filters,
		snapshotAfter: markerTTL / 2}, bucketHandler[T]{f}, o.Log)
	return f
}

// Start begins to follow; every other method does so too.
func (f *Follower[T]) Start() { f.feed.start() }

// Stop ends the follower and waits for its goroutines. What it holds stays
// readable. It must not be called from a callback.
func (f *Follower[T]) Stop() { f.feed.stop() }

// Ready is closed once the first snapshot is held.
func (f *Follower[T]) Ready() <-chan struct{} {
	f.feed.start()
	return f.feed.ready
}

// SilentFor returns the time since the follower last knew that it had
// everything. An idle bucket does not make it grow beyond a second or so; a lost
// connection, a missing bucket and a gap that cannot be read do.
func (f *Follower[T]) SilentFor() time.Duration { return f.feed.silentFor() }

// WaitRevision returns nil once everything up to the revision has been applied.
// Otherwise it returns ctx's error, or another one when the follower was stopped.
func (f *Follower[T]) WaitRevision(ctx context.Context, revision uint64) error {
	return f.feed.wait(ctx, revision)
}

// Revision returns the revision up to which everything has been applied.
func (f *Follower[T]) Revision() uint64 { return f.feed.position() }

// Get returns the value and revision held under the key, and false when there is none.
func (f *Follower[T]) Get(key string) (T, uint64, bool) {
	f.feed.start()
	f.mu.RLock()
	defer f.mu.RUnlock()
	e, ok := f.entries[key]
	return e.value, e.revision, ok
}

// Len returns how many keys are held.
func (f *Follower[T]) Len() int {
	f.feed.start()
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.entries)
}

// All yields every key and value, in no order. Keys that change meanwhile may
// be yielded in their old or their new state.
func (f *Follower[T]) All() iter.Seq2[string, T] {
	f.feed.start()
	return func(yield func(string, T) bool) {
		f.mu.RLock()
		keys := make([]string, 0, len(f.entries))
		for k := range f.entries {
			keys = append(keys, k)
		}
		f.mu.RUnlock()
		for _, k := range keys {
			if v, _, ok := f.Get(k); ok && !yield(k, v) {
				return
			}
		}
	}
}

// Subscribe calls fn for every change from now on, in the order of revisions, on
// the follower's goroutine: fn must return quickly and must not wait for the
// follower. Who subscribes before Ready is also told of every entry of the first
// snapshot; who subscribes later reads All after subscribing. When fn is called,
// Get shows the change or a later one. A call that is under way when cancel is
// called may still finish.
func (f *Follower[T]) Subscribe(fn func(Change[T])) (cancel func()) {
	f.feed.start()
	return f.subs.subscribe(fn)
}

func (f *Follower[T]) changed(changes []Change[T], bulk bool) {
	if f.index != nil {
		f.index(changes, bulk)
	}
	for _, c := range changes {
		f.subs.publish(c)
	}
}

// bucketHandler is the follower as its feed sees it.
type bucketHandler[T any] struct{ *Follower[T] }

func (h bucketHandler[T]) beginSnapshot(incarnation string) {
	h.next = make(map[string]followed[T])
	h.anew = h.incarnation != "" && h.incarnation != incarnation
	h.incarnation = incarnation
}

func (h bucketHandler[T]) snapshot(m stored) {
	key, ok := h.key(m.subject)
	if !ok || h.next[key].revision >= m.seq {
		return
	}
	if m.marker() {
		h.next[key] = followed[T]{revision: m.seq, deleted: true}
		return
	}
	old, revision, held := h.get(key)
	held = held && !h.anew
	if held && revision == m.seq {
		h.next[key] = followed[T]{value: old, revision: m.seq}
		return
	}
	v, ok := h.decode(key, m)
	if !ok {
		if !held {
			return
		}
		v = old
	}
	h.next[key] = followed[T]{value: v, revision: m.seq}
}

func (h bucketHandler[T]) endSnapshot(upTo uint64) {
	for k, e := range h.next {
		if e.deleted {
			delete(h.next, k)
		}
	}
	h.mu.Lock()
	old := h.entries
	h.entries = h.next
	h.mu.Unlock()
	changes := make([]Change[T], 0, len(h.next))
	for k, e := range h.next {
		before, had := old[k]
		if !had || h.anew || before.revision != e.revision {
			changes = append(changes, Change[T]{Key: k, Revision: e.revision, Value: e.value, Previous: before.value})
		}
	}
	for k, e := range old {
		if _, still := h.next[k]; !still {
			changes = append(changes, Change[T]{Key: k, Revision: upTo, Previous: e.value, Deleted: true})
		}
	}
	slices.SortFunc(changes, func(a, b Change[T]) int { return cmp.Compare(a.Revision, b.Revision) })
	h.next = nil
	h.changed(changes, true)
}

func (h bucketHandler[T]) live(m stored) {
	key, ok := h.key(m.subject)
	if !ok {
		return
	}
	before, revision, had := h.get(key)
	if had && revision >= m.seq {
		return // the snapshot held it already
	}
	c := Change[T]{Key: key, Revision: m.seq, Previous: before}
	if m.marker() {
		if !had {
			return
		}
		c.Deleted = true
	} else if c.Value, ok = h.decode(key, m); !ok {
		return
	}
	h.mu.Lock()
	if c.Deleted {
		delete(h.entries, key)
	} else {
		h.entries[key] = followed[T]{value: c.Value, revision: m.seq}
	}
	h.mu.Unlock()
	h.changed([]Change[T]{c}, false)
}

func (h bucketHandler[T]) tick(time.Time) {}

func (f *Follower[T]) get(key string) (T, uint64, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	e, ok := f.entries[key]
	return e.value, e.revision, ok
}

func (f *Follower[T]) decode(key string, m stored) (T, bool) {
	v, err := f.o.Decode(key, m.data)
	if err != nil {
		f.log.Error("an entry cannot be read and is ignored", zap.String("bucket", f.o.Bucket), zap.Uint64("revision", m.seq), zap.Error(err))
		return v, false
	}
	return v, true
}

// key returns the name under which the subject's key is held, in memory of its own.
func (f *Follower[T]) key(subject string) (string, bool) {
	_, key, ok := ParseBucketSubject(subject)
	if !ok {
		return "", false
	}
	if !slices.ContainsFunc(f.o.Keys, func(filter string) bool { return subjectMatches(filter, key) }) {
		return "", false
	}
	if f.o.Key != nil {
		if key, ok = f.o.Key(key); !ok {
			return "", false
		}
	}
	return strings.Clone(key), true
}
