package lease

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"pairgate.dev/pkg/instance"
)

const (
	// claimsAtOnce is how many owner records are claimed at the same time.
	claimsAtOnce = 64
	// gather is how long a change is waited upon for others that come with it, so that a
	// hand-over of many partitions is few rounds.
	gather = 25 * time.Millisecond
	// soon is when a plan is looked at again that a rate held up.
	soon = 100 * time.Millisecond
)

// planLoop looks at the situation whenever something changes, and from time to time.
func (m *Manager) planLoop(ctx context.Context) {
	tick := min(max(m.time.ttl/8, soon), time.Second)
	for ctx.Err() == nil {
		wait := tick
		if t := m.current(); t != nil {
			tctx, cancel := context.WithCancel(ctx)
			release := context.AfterFunc(t.ctx, cancel)
			if m.step(tctx, t) {
				wait = soon
			}
			release()
			cancel()
		}
		timer := time.NewTimer(wait)
		select {
		case <-m.view.changed:
			pause(ctx, gather)
		case <-m.tenureEvent():
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// tenureEvent is closed at the next change of tenure.
func (m *Manager) tenureEvent() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// step does once what is to be done. more says that something was held up.
func (m *Manager) step(ctx context.Context, t *tenure) (more bool) {
	m.confirmSilent(ctx)
	s := m.situation(t)
	pl := s.plan()
	m.mu.Lock()
	m.wanted = pl.wanted
	m.mu.Unlock()

	claims := pl.reclaim
	var foreign []instance.Partition
	for _, p := range pl.free {
		// Nobody has ever had sessions in a partition without a record.
		if s.owners[p].sequence == 0 {
			claims = append(claims, p)
		} else {
			foreign = append(foreign, p)
		}
	}
	foreign = append(foreign, m.confirmDead(ctx, s, pl.dead)...)
	foreign, more = allowed(m.takes, foreign)
	claims = append(claims, foreign...)
	if len(claims) > 0 && ctx.Err() == nil {
		m.deliver(ctx, t, m.claim(ctx, t, s, claims))
	}

	moves, held := allowed(m.moves, pl.move)
	if len(moves) > 0 && ctx.Err() == nil {
		m.log.Info("releasing partitions to even out the load", zap.Int("count", len(moves)))
		finished, _ := m.leave(t, moves)
		select {
		case <-finished:
		case <-ctx.Done():
		}
	}
	return more || held && m.cfg.MovesPerSecond > 0
}

// allowed returns as many of ps as the limiter lets pass now: a whole second's worth, or
// what is left, so that a large change is few rounds. held says that some remain.
func allowed(l *rate.Limiter, ps []instance.Partition) (now []instance.Partition, held bool) {
	n := min(len(ps), l.Burst())
	if n == 0 || !l.AllowN(time.Now(), n) {
		return nil, len(ps) > 0
	}
	return ps[:n], n < len(ps)
}

// situation returns what a decision depends on.
func (m *Manager) situation(t *tenure) *situation {
	leases, owners := m.view.state()
	// Our own view of ourselves does not lag.
	self := leases[m.cfg.WorkerID]
	self.Lease, self.gone = m.lease(t.nonce, t.began), false
	leases[m.cfg.WorkerID] = self
	lasted, _, again := m.link.look()
	m.mu.Lock()
	defer m.mu.Unlock()
	held := make(map[instance.Partition]bool, len(m.parts))
	for p := range maps.Keys(m.parts) {
		held[p] = true
	}
	return &situation{
		self: m.cfg.WorkerID, nonce: t.nonce, earlier: m.keeper.ours, reclaimOwn: m.cfg.ReclaimOwn,
		leases: leases, owners: owners, subject: m.cfg.OwnerSubject, held: held, keyStore: m.cfg.KeyStore,
		now: time.Now(), ttl: m.time.ttl, connected: lasted, reconnected: again, moveAge: m.cfg.MoveAge,
	}
}

// confirmSilent asks the leader for leases that we have not heard of for a TTL: either
// they expired, or our reading is late.
func (m *Manager) confirmSilent(ctx context.Context) {
	leases, _ := m.view.state()
	for _, l := range leases {
		if !l.gone && l.Worker != m.cfg.WorkerID && time.Since(l.last) > m.time.ttl {
			if _, err := m.confirmed(ctx, l.Worker); err != nil {
				return // the next step tries again
			}
		}
	}
}

// confirmed reads a lease from the leader and returns it as it is.
func (m *Manager) confirmed(ctx context.Context, worker string) (seenLease, error) {
	ctx, cancel := context.WithTimeout(ctx, m.time.attempt)
	defer cancel()
	if err := m.view.confirm(ctx, worker); err != nil {
		return seenLease{}, err
	}
	leases, _ := m.view.state()
	return leases[worker], nil
}

// confirmDead returns those partitions whose owner is dead by the leader's word.
func (m *Manager) confirmDead(ctx context.Context, s *situation, ps []instance.Partition) []instance.Partition {
	asked := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(ps), func(p instance.Partition) bool {
		o := s.owners[p].Owner
		if !asked[o.Worker] {
			asked[o.Worker] = true
			l, err := m.confirmed(ctx, o.Worker)
			if err != nil {
				// Unknown is not dead: let it count as alive for this step.
				l = seenLease{Lease: Lease{Worker: o.Worker, Nonce: o.Nonce}}
				m.log.Warn("cannot tell whether a worker is dead", zap.String("owner", o.Worker), zap.Error(err))
			}
			s.leases[o.Worker] = l
		}
		return s.alive(o)
	})
}

// claim claims partitions and returns those that are ours now, in ascending order.
func (m *Manager) claim(ctx context.Context, t *tenure, s *situation, ps []instance.Partition) []Partition {
	var mu sync.Mutex
	var won []Partition
	var failed error
	var wg sync.WaitGroup
	slots := make(chan struct{}, claimsAtOnce)
	for _, p := range ps {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			rec := Owner{Worker: m.cfg.WorkerID, Nonce: t.nonce, Since: time.Now().UTC()}
			epoch, err := m.claimer.replace(ctx, Partition{Number: p, Epoch: s.owners[p].sequence}, rec)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won = append(won, Partition{Number: p, Epoch: epoch})
			case !errors.Is(err, errTaken):
				failed = err
			}
		})
	}
	wg.Wait()
	if failed != nil && ctx.Err() == nil {
		m.log.Error("partitions could not be claimed", zap.Int("wanted", len(ps)), zap.Int("claimed", len(won)), zap.Error(failed))
	}
	slices.SortFunc(won, func(a, b Partition) int { return cmp.Compare(a.Number, b.Number) })
	return won
}
