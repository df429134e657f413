package lease

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
)

// lostAtOnce is how many partitions the handler is told to have lost at the same time.
const lostAtOnce = 32

// holding is a partition that we own.
type holding struct {
	Partition
	writer *Writer
	state  holdingState
}

// holdingState is where a holding is in its life. It only goes forward. All changes
// are made under Manager.mu.
type holdingState int

const (
	// claimed: the handler has not been told.
	claimed holdingState = iota
	// active: Acquired was called.
	active
	// leaving: Lost is to be called, and then the partition released.
	leaving
	// told: Lost was called or is about to be.
	told
)

// deliver makes holdings of what was claimed, and tells the handler of the round. It
// returns when the handler has returned, or sooner when ctx or the tenure ends.
func (m *Manager) deliver(ctx context.Context, t *tenure, claims []Partition) {
	m.mu.Lock()
	if m.tenure != t {
		// The records name a tenure that is over; the next one reclaims them.
		m.mu.Unlock()
		return
	}
	var hs []*holding
	for _, p := range claims {
		h := &holding{Partition: p}
		h.writer = newWriter(m.conn, m.log, m.met, p, m.cfg.OwnerSubject(p.Number), m.cfg.AttemptTimeout, func() { m.drop(h) })
		m.parts[p.Number] = h
		hs = append(hs, h)
	}
	m.count()
	m.mu.Unlock()
	m.met.takeovers.Add(float64(len(hs)))
	select {
	case <-m.calls.post(func() { m.acquired(t, hs) }):
	case <-t.ctx.Done():
	case <-ctx.Done():
	}
}

// acquired tells the handler of those holdings that are still there.
func (m *Manager) acquired(t *tenure, hs []*holding) {
	round := Round{manager: m}
	m.mu.Lock()
	for _, h := range hs {
		if m.parts[h.Number] == h && h.state == claimed && !m.draining {
			h.state = active
			round.Partitions = append(round.Partitions, h.Partition)
			round.Barrier = max(round.Barrier, h.Epoch)
		}
	}
	m.mu.Unlock()
	if len(round.Partitions) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	defer context.AfterFunc(m.planning.ctx, cancel)()
	began := time.Now()
	m.handler.Acquired(ctx, round)
	m.log.Info("partitions taken", zap.Int("count", len(round.Partitions)), zap.Uint64("barrier", round.Barrier),
		zap.Duration("handler", time.Since(began)))
}

// drop loses one holding whose write was refused.
func (m *Manager) drop(h *holding) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.parts[h.Number] != h {
		return
	}
	delete(m.parts, h.Number)
	m.count()
	m.met.losses.Inc()
	tell := h.state == active || h.state == leaving
	h.state = told
	if tell {
		m.calls.post(func() { m.handler.Lost(h.Number, ErrLost) })
	}
	m.view.wake()
}

// leaseLost ends the tenure: every writer is closed and the handler told. It does not
// block; what it returns is closed when the handler has returned from every call.
func (m *Manager) leaseLost(why error) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tenure
	m.tenure = nil
	m.announce()
	t.cancel(why)
	var tell []*holding
	for _, h := range m.parts {
		h.writer.close(why)
		if h.state == active || h.state == leaving {
			tell = append(tell, h)
		}
		h.state = told
	}
	if !errors.Is(why, ErrClosed) {
		m.met.losses.Add(float64(len(m.parts)))
	}
	clear(m.parts)
	m.count()
	return m.calls.post(func() {
		atOnce(tell, func(h *holding) { m.handler.Lost(h.Number, why) })
	})
}

// leave gives partitions up: the handler is told, then the release is recorded. What
// it returns is closed when all that is done or has become impossible; failed is to be read only then.
func (m *Manager) leave(t *tenure, which []instance.Partition) (finished <-chan struct{}, failed *[]error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var hs []*holding
	for _, p := range which {
		h := m.parts[p]
		if h == nil || h.state == leaving || h.state == told {
			continue
		}
		if h.state == active {
			h.state = leaving
		}
		hs = append(hs, h)
	}
	failed = new([]error)
	var mu sync.Mutex
	var records sync.WaitGroup
	done := make(chan struct{})
	m.calls.post(func() {
		atOnce(hs, func(h *holding) {
			if !m.letGo(h) {
				return
			}
			// Network calls must not hold up the handler's queue: a fence may be next.
			records.Go(func() {
				if err := m.release(t, h); err != nil {
					mu.Lock()
					defer mu.Unlock()
					*failed = append(*failed, err)
				}
			})
		})
		m.life.wg.Go(func() { records.Wait(); close(done) })
	})
	return done, failed
}

// letGo tells the handler that a partition is being released; false when it was lost
// otherwise before.
func (m *Manager) letGo(h *holding) bool {
	m.mu.Lock()
	if m.parts[h.Number] != h || h.state == told {
		m.mu.Unlock()
		return false
	}
	tell := h.state == leaving
	h.state = told
	m.mu.Unlock()
	if tell {
		m.handler.Lost(h.Number, ErrReleased)
	}
	return true
}

// release records that a partition is free.
func (m *Manager) release(t *tenure, h *holding) error {
	h.writer.settle(ErrReleased)
	rec := Owner{Worker: m.cfg.WorkerID, Nonce: t.nonce, Since: time.Now().UTC(), Released: true}
	_, err := m.claimer.replace(t.ctx, h.Partition, rec)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.parts[h.Number] == h {
		delete(m.parts, h.Number)
		m.count()
	}
	if err != nil && !errors.Is(err, errTaken) {
		if t.ctx.Err() != nil {
			err = context.Cause(t.ctx)
		}
		return fmt.Errorf("lease: partition %s is not released: %w", h.Number, err)
	}
	return nil
}

// count publishes the number of holdings. The caller holds mu.
func (m *Manager) count() { m.met.owned.Set(float64(len(m.parts))) }

// atOnce calls f for every holding, lostAtOnce of them at a time.
func atOnce(hs []*holding, f func(*holding)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, lostAtOnce)
	for _, h := range hs {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f(h)
		})
	}
	wg.Wait()
}
