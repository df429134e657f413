package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

const (
	// ringAge is how long an event is kept in memory for readers that come back.
	ringAge = 10 * time.Minute
	// ringBytes bounds what is kept, by the size of the events on the wire.
	ringBytes = 64 << 20
	// maxCatchUps is how many readers at once may read older events from the stream.
	maxCatchUps = 16
)

// ErrUnknownSequence means that no event with the sequence exists, or not any
// more, so that nobody can tell what came after it.
var ErrUnknownSequence = errors.New("bus: no event with this sequence")

// ErrCatchUpBusy means that too many readers are catching up already; try again later.
var ErrCatchUpBusy = errors.New("bus: too many readers of old events")

// RecentEvents keeps the events of the last ten minutes, up to 64 MiB, for
// readers that were away for a moment, and hands on new ones without a hole
// between the two. At its start it fills itself from the stream.
type RecentEvents struct {
	sessions *SessionView
	log      *zap.Logger
	limits   ringLimits
	clock    func() time.Time
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	ready    chan struct{}
	started  atomic.Bool
	catchUps chan struct{}

	mu      sync.Mutex
	stopped bool
	ring    eventRing
	subs    map[*ringSubscriber]struct{}
	byID    map[instance.ID]map[*ringSubscriber]struct{}
}

type ringSubscriber struct {
	id instance.ID
	fn func(*pb.Event)
}

func newRecentEvents(sessions *SessionView, log *zap.Logger) *RecentEvents {
	ctx, cancel := context.WithCancel(context.Background())
	return &RecentEvents{sessions: sessions, log: log, limits: ringLimits{age: ringAge, bytes: ringBytes}, clock: time.Now, ctx: ctx, cancel: cancel,
		ready: make(chan struct{}), catchUps: make(chan struct{}, maxCatchUps),
		subs: map[*ringSubscriber]struct{}{}, byID: map[instance.ID]map[*ringSubscriber]struct{}{}}
}

func (r *RecentEvents) start() {
	if r.started.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || r.started.Load() {
		return
	}
	r.started.Store(true)
	r.wg.Go(r.run)
}

func (r *RecentEvents) stop() {
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	r.cancel()
	r.wg.Wait()
}

func (r *RecentEvents) stale() bool {
	if !r.started.Load() {
		return false
	}
	select {
	case <-r.ready:
		return false
	default:
		return true
	}
}

// run fills the ring, joins it to the live events, and ends; from then on the session view feeds it.
func (r *RecentEvents) run() {
	select {
	case <-r.sessions.Ready():
	case <-r.ctx.Done():
		return
	}
	var from uint64
	r.sessions.follower.at(func(sequence uint64) {
		from = sequence
		r.mu.Lock()
		r.ring = eventRing{floor: from, head: from}
		r.mu.Unlock()
		r.sessions.subs.add(r.take)
		r.sessions.resets.add(r.reset)
		r.sessions.ticks.add(func(time.Time) { r.tick() })
	})
	delay := newBackoff(time.Second, 30*time.Second)
	for {
		past, err := r.fill(from)
		if err == nil {
			r.mu.Lock()
			r.ring.prepend(past)
			r.ring.evict(r.limits, r.clock())
			r.mu.Unlock()
			close(r.ready)
			return
		}
		if r.ctx.Err() != nil {
			return
		}
		r.log.Warn("could not read the last events, trying again", zap.Error(err))
		if delay.wait(r.ctx) != nil {
			return
		}
	}
}

// take keeps the next live event and hands it on.
func (r *RecentEvents) take(ev *pb.Event) {
	now := r.clock()
	r.mu.Lock()
	r.ring.append(ev, now)
	r.ring.evict(r.limits, now)
	subs := r.listeners(instance.ID(ev.GetInstance().GetId()))
	r.mu.Unlock()
	for _, s := range subs {
		s.fn(ev)
	}
}

// fill reads the events of the last minutes up to a sequence.
func (r *RecentEvents) fill(upTo uint64) (past eventRing, err error) {
	past = eventRing{floor: upTo, head: upTo}
	if upTo == 0 {
		return past, nil
	}
	reader := r.reader()
	s, info, err := reader.stream(r.ctx)
	if err != nil {
		return past, err
	}
	now := r.clock()
	since := now.Add(-r.limits.age)
	if info.State.LastTime.Before(since) {
		return past, nil
	}
	incarnation := incarnationOf(info)
	rules := map[instance.ID]*session{}
	first := true
	collect := func(m stored) error {
		if m.seq > upTo {
			return nil
		}
		if first {
			first, past.floor = false, m.seq-1
		}
		if ev := pastEvent(m, incarnation, rules, r.log); ev != nil {
			past.append(ev, m.time)
			past.evict(r.limits, now)
		}
		return nil
	}
	last, err := reader.read(r.ctx, jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since},
		[]string{">"}, func() (uint64, error) { return upTo, nil }, collect)
	if err != nil {
		return past, err
	}
	if last != 0 {
		return past, reader.span(r.ctx, last+1, upTo, ">", collect)
	}
	if info.State.LastSeq <= upTo {
		// The consumer may stand on a replica that lags; or the last message was removed.
		m, found, err := reader.next(r.ctx, s, info.State.LastSeq, ">")
		if err != nil {
			return past, err
		}
		if found && m.seq <= upTo {
			return past, errReadStale
		}
	}
	return past, nil
}

// pastEvent decodes an event that is read from the stream and applies the
// reader rules to it as far as the range read shows them.
func pastEvent(m stored, incarnation string, rules map[instance.ID]*session, log *zap.Logger) *pb.Event {
	ev, id := eventOf(Message{Subject: m.subject, Header: m.header, Data: m.data, Sequence: m.seq, Time: m.time, Incarnation: incarnation}, log)
	if ev == nil {
		return nil
	}
	s := rules[id]
	if s == nil {
		s = new(session)
		rules[id] = s
	}
	if !s.apply(ev, m.seq) {
		return nil
	}
	return ev
}

func (r *RecentEvents) reader() *streamReader {
	conn := r.sessions.follower.feed.conn
	return &streamReader{js: conn.JetStream(), nc: conn.NATS(), name: StreamEvents}
}

func (r *RecentEvents) tick() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ring.evict(r.limits, r.clock())
}

// reset empties the ring: the stream is another one.
func (r *RecentEvents) reset(upTo uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ring = eventRing{floor: upTo, head: upTo, anew: true}
}

func (r *RecentEvents) listeners(id instance.ID) []*ringSubscriber {
	list := make([]*ringSubscriber, 0, len(r.subs)+len(r.byID[id]))
	for s := range r.subs {
		list = append(list, s)
	}
	for s := range r.byID[id] {
		list = append(list, s)
	}
	return list
}

// Ready is closed once the ring is filled.
func (r *RecentEvents) Ready() <-chan struct{} {
	r.start()
	return r.ready
}

// Since returns every event kept that was stored after the sequence, in order.
// ok is false when events after it may be missing: it is older than what is
// kept, it lies in the future, or the ring is not ready.
func (r *RecentEvents) Since(sequence uint64) (events []*pb.Event, ok bool) {
	r.start()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.since(sequence, "")
}

func (r *RecentEvents) since(sequence uint64, id instance.ID) ([]*pb.Event, bool) {
	select {
	case <-r.ready:
	default:
		return nil, false
	}
	if sequence > max(r.ring.head, r.sessions.Sequence()) {
		return nil, false
	}
	return r.ring.since(sequence, id)
}

// Subscribe returns what Since returns, of one instance or, for the empty id, of
// all, and calls fn for every later event: none is missing between the two and
// none comes twice. When ok is false there is no backlog, and fn is called for
// what is stored from now on. fn is called on the view's goroutine, in stream order: it must
// return quickly and must not wait for the view.
func (r *RecentEvents) Subscribe(sequence uint64, id instance.ID, fn func(*pb.Event)) (backlog []*pb.Event, ok bool, cancel func()) {
	r.start()
	s := &ringSubscriber{id: id, fn: fn}
	r.mu.Lock()
	defer r.mu.Unlock()
	backlog, ok = r.since(sequence, id)
	if id == "" {
		r.subs[s] = struct{}{}
	} else {
		if r.byID[id] == nil {
			r.byID[id] = make(map[*ringSubscriber]struct{}, 1)
		}
		r.byID[id][s] = struct{}{}
	}
	return backlog, ok, func() { r.unsubscribe(s) }
}

func (r *RecentEvents) unsubscribe(s *ringSubscriber) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.subs, s)
	if of := r.byID[s.id]; of != nil {
		delete(of, s)
		if len(of) == 0 {
			delete(r.byID, s.id)
		}
	}
}

// Oldest returns the sequence after which every event is kept.
func (r *RecentEvents) Oldest() uint64 {
	r.start()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ring.floor
}

// CatchUp reads events from the stream itself, for a reader that is behind what
// is kept: it calls fn, in order, for every event of the instance (all for the
// empty id) after the sequence and up to the returned one, which is then a
// sequence that Subscribe knows. It returns ErrUnknownSequence when the sequence
// is not that of a message in the stream, ErrCatchUpBusy when 16 readers are at it,
// and the first error of fn. Events whose attempt was over are left out as far as
// the range shows it.
func (r *RecentEvents) CatchUp(ctx context.Context, sequence uint64, id instance.ID, fn func(*pb.Event) error) (upTo uint64, err error) {
	select {
	case r.catchUps <- struct{}{}:
		defer func() { <-r.catchUps }()
	default:
		return 0, ErrCatchUpBusy
	}
	reader := r.reader()
	s, info, err := reader.stream(ctx)
	if err != nil {
		return 0, err
	}
	m, found, err := reader.next(ctx, s, sequence, ">")
	if err != nil {
		return 0, err
	}
	if !found || m.seq != sequence {
		return 0, fmt.Errorf("%w: %d", ErrUnknownSequence, sequence)
	}
	upTo = min(info.State.LastSeq, max(r.sessions.Sequence(), sequence))
	filter := AllEvents
	if id != "" {
		filter = EventsOf(id)
	}
	rules := map[instance.ID]*session{}
	return upTo, reader.span(ctx, sequence+1, upTo, filter, func(m stored) error {
		if ev := pastEvent(m, incarnationOf(info), rules, r.log); ev != nil {
			return fn(ev)
		}
		return nil
	})
}
