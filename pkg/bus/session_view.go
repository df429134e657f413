package bus

import (
	"bytes"
	"context"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// keepDeleted is how long the last status of a deleted instance is held. Its
// subjects are purged from the stream within a day, which no follower hears of.
const keepDeleted = 25 * time.Hour

// RawOwner is the last owner record of a partition as it is stored. Sequence is
// its epoch.
type RawOwner struct {
	Data     []byte
	Sequence uint64
}

// SessionView holds, from EVENTS, the last status of every instance that has
// one, the codes and pictures that may be shown, and the owner records of the
// partitions. It applies the reader rules; see Snapshot.
type SessionView struct {
	follower *StreamFollower
	log      *zap.Logger
	clock    func() time.Time

	subs       subscribers[*pb.Event]
	byInstance keyedSubscribers[instance.ID, *pb.Event]
	resets     subscribers[uint64]
	ticks      subscribers[time.Time]

	mu          sync.RWMutex
	incarnation string
	sessions    map[instance.ID]*session
	pairing     map[instance.ID]struct{} // with a code or picture that can expire
	owners      map[instance.Partition]RawOwner
	deleted     []deletedSession

	// Of the follower's goroutine only: the snapshot that is being read.
	next            *SessionView
	nextIncarnation string
	taken           bool
}

type deletedSession struct {
	id instance.ID
	at time.Time
}

func newSessionView(conn *Conn, log *zap.Logger) *SessionView {
	v := emptySessionView(log, time.Now)
	filters := []string{AllOwners}
	// Lifecycle events carry whole specs, which the view has no use for.
	for _, k := range []instance.Kind{instance.KindStatus, instance.KindCode, instance.KindQR, instance.KindPairingCode, instance.KindPasskey} {
		filters = append(filters, EventsOfKind(k))
	}
	v.follower = FollowStream(conn, StreamOptions{Stream: StreamEvents, Live: LiveEvents, Snapshot: filters, Log: log,
		Handler: StreamHandler{Begin: v.begin, Snapshot: v.snapshot, End: v.end, Live: v.live, Tick: v.tick}})
	return v
}

func emptySessionView(log *zap.Logger, clock func() time.Time) *SessionView {
	return &SessionView{log: log, clock: clock, sessions: map[instance.ID]*session{},
		pairing: map[instance.ID]struct{}{}, owners: map[instance.Partition]RawOwner{}}
}

func (v *SessionView) begin(incarnation string) {
	v.next = emptySessionView(v.log, v.clock)
	v.nextIncarnation = incarnation
}

func (v *SessionView) snapshot(m Message) { v.next.take(m) }

func (v *SessionView) end(upTo uint64) {
	v.mu.Lock()
	n := v.next
	v.sessions, v.pairing, v.owners, v.deleted = n.sessions, n.pairing, n.owners, n.deleted
	v.incarnation, v.next = v.nextIncarnation, nil
	v.mu.Unlock()
	if v.taken {
		v.resets.publish(upTo)
	}
	v.taken = true
}

func (v *SessionView) live(m Message) {
	ev, id := v.take(m)
	if ev == nil {
		return
	}
	v.subs.publish(ev)
	v.byInstance.publish(id, ev)
}

// take applies a message and returns the event to hand on, nil for none.
func (v *SessionView) take(m Message) (*pb.Event, instance.ID) {
	if p, ok := ParseOwnerSubject(m.Subject); ok {
		v.mu.Lock()
		defer v.mu.Unlock()
		if m.Sequence > v.owners[p].Sequence {
			if m.Marker() {
				delete(v.owners, p)
			} else {
				v.owners[p] = RawOwner{Data: bytes.Clone(m.Data), Sequence: m.Sequence}
			}
		}
		return nil, ""
	}
	ev, id := eventOf(m, v.log)
	if ev == nil {
		return nil, ""
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.sessions[id]
	if s == nil {
		if k := instance.Kind(ev.Kind); k == instance.KindCreated || k == instance.KindUpdated || k == instance.KindDeleted {
			return ev, id // costs nothing until there is a status
		}
		s = new(session)
		v.sessions[id] = s
	}
	before := s.status.Phase
	if !s.apply(ev, m.Sequence) {
		return nil, ""
	}
	if s.pairing != nil {
		v.pairing[id] = struct{}{}
	} else {
		delete(v.pairing, id)
	}
	if s.status.Phase == instance.Deleted && before != instance.Deleted {
		v.deleted = append(v.deleted, deletedSession{id, v.clock()})
	}
	return ev, id
}

// eventOf decodes the event in a message of EVENTS; nil for any other message.
func eventOf(m Message, log *zap.Logger) (*pb.Event, instance.ID) {
	id, kind, ok := ParseEventSubject(m.Subject)
	if !ok || m.Marker() {
		return nil, ""
	}
	ev, err := DecodeEvent(m.Data)
	if err != nil {
		log.Error("an event cannot be read and is ignored", zap.String("subject", m.Subject), zap.Uint64("sequence", m.Sequence), zap.Error(err))
		return nil, ""
	}
	// What the subject and the stream say counts.
	id = instance.ID(strings.Clone(string(id)))
	ev.Kind, ev.Sequence, ev.Incarnation = intern(string(kind)), m.Sequence, m.Incarnation
	if ev.Instance == nil {
		ev.Instance = new(pb.InstanceRef)
	}
	ev.Instance.Id = string(id)
	return ev, id
}

func (v *SessionView) tick(time.Time) {
	now := v.clock()
	v.mu.Lock()
	for id := range v.pairing {
		if s := v.sessions[id]; s == nil || s.pairing == nil || !s.pairing.expire(now) {
			delete(v.pairing, id) // the numbers seen stay with the session
		}
	}
	for len(v.deleted) > 0 && now.Sub(v.deleted[0].at) > keepDeleted {
		if s := v.sessions[v.deleted[0].id]; s != nil && s.status.Phase == instance.Deleted {
			delete(v.sessions, v.deleted[0].id)
		}
		v.deleted = v.deleted[1:]
	}
	v.mu.Unlock()
	v.ticks.publish(now)
}

// SetClock replaces the clock that decides what has expired; for tests, before the first use.
func (v *SessionView) SetClock(clock func() time.Time) { v.clock = clock }

// Status returns the last status of the instance; ok is false, and the status
// the initial one, while none was published.
func (v *SessionView) Status(id instance.ID) (st instance.Status, ok bool) {
	v.follower.Start()
	v.mu.RLock()
	defer v.mu.RUnlock()
	if s := v.sessions[id]; s != nil && s.statusSeq != 0 {
		return s.status, true
	}
	return instance.Initial(createdAt(id)), false
}

// Current returns what may be shown of the instance now.
func (v *SessionView) Current(id instance.ID) Snapshot {
	v.follower.Start()
	now := v.clock()
	v.mu.RLock()
	defer v.mu.RUnlock()
	if s := v.sessions[id]; s != nil {
		return s.current(id, now)
	}
	return (&session{}).current(id, now)
}

// Await returns the first snapshot of the instance for which done returns true.
// It looks at once and again after each event of the instance; not when a code
// merely expires. When ctx ends first it returns the last snapshot and ctx's error.
func (v *SessionView) Await(ctx context.Context, id instance.ID, done func(Snapshot) bool) (Snapshot, error) {
	again := make(chan struct{}, 1)
	wake := func() {
		select {
		case again <- struct{}{}:
		default:
		}
	}
	defer v.SubscribeInstance(id, func(*pb.Event) { wake() })()
	defer v.resets.subscribe(func(uint64) { wake() })()
	select {
	case <-v.follower.Ready():
	case <-ctx.Done():
		return v.Current(id), ctx.Err()
	}
	for {
		snap := v.Current(id)
		if done(snap) {
			return snap, nil
		}
		select {
		case <-again:
		case <-ctx.Done():
			return snap, ctx.Err()
		}
	}
}

// Subscribe calls fn for every event stored from now on, of all instances and
// kinds, in stream order, each once, with Sequence and Incarnation filled in;
// events that readers must drop are left out. It is called on the view's
// goroutine: fn must return quickly and must not wait for the view. When it is
// called, Status and Current show the event or a later one. A call that is under
// way when cancel is called may still finish.
func (v *SessionView) Subscribe(fn func(*pb.Event)) (cancel func()) {
	v.follower.Start()
	return v.subs.subscribe(fn)
}

// SubscribeInstance is Subscribe for the events of one instance.
func (v *SessionView) SubscribeInstance(id instance.ID, fn func(*pb.Event)) (cancel func()) {
	v.follower.Start()
	return v.byInstance.subscribe(id, fn)
}

// OwnerRecord returns the last owner record of the partition; ok is false when it never had one.
func (v *SessionView) OwnerRecord(p instance.Partition) (owner RawOwner, ok bool) {
	v.follower.Start()
	v.mu.RLock()
	defer v.mu.RUnlock()
	owner, ok = v.owners[p]
	return owner, ok
}

// OwnerRecords returns the last owner record of every partition that ever had one.
func (v *SessionView) OwnerRecords() map[instance.Partition]RawOwner {
	v.follower.Start()
	v.mu.RLock()
	defer v.mu.RUnlock()
	return maps.Clone(v.owners)
}

// Incarnation returns the creation time of the stream as events carry it; empty before Ready.
func (v *SessionView) Incarnation() string {
	v.follower.Start()
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.incarnation
}

// Sequence returns the sequence up to which every event has been applied.
func (v *SessionView) Sequence() uint64 { return v.follower.Sequence() }

// WaitSequence returns nil once every event up to the sequence has been applied;
// otherwise ctx's error, or another one when the view was closed.
func (v *SessionView) WaitSequence(ctx context.Context, sequence uint64) error {
	return v.follower.WaitSequence(ctx, sequence)
}

// Ready is closed once every last status is held.
func (v *SessionView) Ready() <-chan struct{} { return v.follower.Ready() }

// SilentFor is that of Follower.
func (v *SessionView) SilentFor() time.Duration { return v.follower.SilentFor() }

// createdAt reads the time in a UUIDv7; the zero time for any other id.
func createdAt(id instance.ID) time.Time {
	if len(id) != 36 || id[14] != '7' {
		return time.Time{}
	}
	ms, err := strconv.ParseInt(string(id[:8]+id[9:13]), 16, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
