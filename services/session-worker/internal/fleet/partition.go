package fleet

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/session-worker/internal/outbox"
	"pairgate.dev/services/session-worker/internal/session"
)

// partition is what the fleet knows of one owned partition.
type partition struct {
	fleet  *Fleet
	number instance.Partition
	epoch  uint64
	// incarnation is the creation time of EVENTS, which every event carries.
	incarnation string
	queue       *outbox.Queue
	// stops end what the partition listens to.
	stops []func()

	mu sync.Mutex
	// opened says that the statuses were read: from then on wishes are acted on.
	opened bool
	closed bool
	actors map[instance.ID]*member
	// parked are the actors that have parked and may not have ended quite.
	parked sync.WaitGroup
	// last holds the last status of every instance without an actor that has one.
	last map[instance.ID]*instance.Status
}

func newPartition(f *Fleet, owned lease.Partition, queue *outbox.Queue) *partition {
	return &partition{fleet: f, number: owned.Number, epoch: owned.Epoch, queue: queue,
		actors: map[instance.ID]*member{}, last: map[instance.ID]*instance.Status{}}
}

// remember keeps the last status of an instance.
func (p *partition) remember(id instance.ID, s *instance.Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last[id] = s
}

// open lets wishes be acted on.
func (p *partition) open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened = true
}

func (p *partition) members() []*member {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*member, 0, len(p.actors))
	for _, m := range p.actors {
		all = append(all, m)
	}
	return all
}

// occasion is why somebody looks whether an instance needs an actor.
type occasion int

const (
	wished occasion = iota
	takenOver
	versionChanged
)

// crowded says that many instances are looked at at once, so that a slot is held for each actor.
func (o occasion) crowded() bool { return o != wished }

// needsActor says whether something is to be done for the instance: a request
// that no status has observed; at a take-over a status of an earlier epoch; after
// a change of the client version the phase outdated.
func (p *partition) needsActor(id instance.ID, record *pb.InstanceRecord, why occasion) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.needs(id, record, why)
}

func (p *partition) needs(id instance.ID, record *pb.InstanceRecord, why occasion) bool {
	if p.closed || !p.opened || record.GetAbandoned() || p.actors[id] != nil {
		return false
	}
	last := p.last[id]
	if last == nil {
		return session.WishOf(record).Last() > 0
	}
	if last.Phase == instance.Deleted {
		return false
	}
	return why == takenOver && last.Epoch != p.epoch || why == versionChanged && last.Phase == instance.Outdated ||
		session.WishOf(record).Last() > last.ObservedRequest
}

// wish acts on a changed record.
func (p *partition) wish(id instance.ID, record *pb.InstanceRecord) {
	p.mu.Lock()
	m := p.actors[id]
	if m != nil {
		m.actor.Wish(session.WishOf(record))
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	p.start(id, record, wished)
}

// removed forgets an instance whose record was removed, long after its deletion.
func (p *partition) removed(id instance.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.last, id)
}

// renew publishes the status of the last owner anew, under our epoch, where
// nothing else is to be done: an idle instance needs no actor for that. It
// returns false when it does.
func (p *partition) renew(id instance.ID, record *pb.InstanceRecord) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.last[id]
	if last == nil || last.Phase != instance.Idle || !p.needs(id, record, takenOver) || p.needs(id, record, wished) {
		return false
	}
	s := *last
	s.Epoch = p.epoch
	s.Previous, s.PreviouslyLinked = s.Phase, s.Account != nil
	p.last[id] = &s
	p.queueEvent(context.Background(), id, session.StatusEvent(record, s))
	return true
}

// start starts an actor if the instance needs one. Where it is crowded, the
// caller's slot is given back once the actor has taken its first step.
func (p *partition) start(id instance.ID, record *pb.InstanceRecord, why occasion) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.needs(id, record, why) {
		return false
	}
	provider := instance.Provider(record.GetInstance().GetProvider())
	m := &member{partition: p, id: id, provider: provider, record: record}
	if why.crowded() {
		m.adopted = sync.OnceFunc(func() { <-p.fleet.slots })
	} else {
		m.adopted = func() {}
	}
	p.actors[id] = m
	// Whatever was remembered of the keys is from before: this owner looks anew.
	p.fleet.Forget(id)
	m.actor = session.Start(session.Params{ID: id, Epoch: p.epoch, Last: p.last[id], Driver: p.fleet.Drivers[provider],
		Backoff: p.fleet.Backoff, Log: p.fleet.Log}, m)
	delete(p.last, id)
	return true
}

// flushTimeout bounds the wait for queued events when a partition is handed over.
const flushTimeout = 3 * time.Second

// close stops everything. Only a partition that is handed over on purpose gets
// its queued events stored; otherwise the server would refuse them anyway.
func (p *partition) close(why error) {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	for _, stop := range p.stops {
		stop()
	}
	p.stopActors()
	if errors.Is(why, lease.ErrReleased) {
		ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
		if err := p.queue.Flush(ctx); err != nil {
			p.fleet.Log.Warn("a partition is handed over with events unsent; the next owner publishes every status anew",
				zap.Stringer("partition", p.number))
		}
		cancel()
	}
	p.queue.Close()
}

// slowStop is when it is said that a session does not end.
const slowStop = 5 * time.Second

// stopActors returns when no actor runs any more, parked ones included.
func (p *partition) stopActors() {
	var stopping sync.WaitGroup
	for _, m := range p.members() {
		stopping.Go(func() {
			slow := time.AfterFunc(slowStop, func() {
				p.fleet.Log.Error("a session does not end; its driver blocks, and with it the hand-over of the partition",
					zap.String("instance", string(m.id)), zap.String("provider", string(m.provider)))
			})
			defer slow.Stop()
			m.actor.Stop()
			m.adopted()
			p.fleet.Forget(m.id)
		})
	}
	stopping.Wait()
	p.parked.Wait()
}

// phase returns the phase of an instance of the partition.
func (p *partition) phase(id instance.ID) instance.Phase {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.actors[id]; m != nil && m.actor.Phase() != "" {
		return m.actor.Phase()
	}
	if last := p.last[id]; last != nil {
		return last.Phase
	}
	return instance.Idle
}

// park lets an actor end when nothing has come in meanwhile.
func (p *partition) park(m *member, status instance.Status) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !m.actor.Quiet() {
		return false
	}
	if !p.closed {
		p.fleet.Forget(m.id)
		delete(p.actors, m.id)
		p.last[m.id] = &status
		p.parked.Go(m.actor.Wait)
	}
	return true
}

// queueEvent queues an event of an instance of the partition, in the trace of ctx.
func (p *partition) queueEvent(ctx context.Context, id instance.ID, e *pb.Event) {
	e.Incarnation = p.incarnation
	message, err := bus.EncodeEvent(e)
	if err != nil {
		p.fleet.Log.Error("an event cannot be encoded; this is a bug", zap.String("instance", string(id)),
			zap.String("kind", e.GetKind()), zap.Error(err))
		return
	}
	code := e.GetKind() == string(instance.KindCode)
	_, span := bus.StartPublish(ctx, message)
	p.queue.Add(outbox.Item{Instance: id, Message: message, Span: span, Code: code, Replaceable: code && e.GetCode().GetCode() != ""})
}

var _ session.Host = (*member)(nil)
