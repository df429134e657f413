package lease

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// removalTimeout bounds the deletion of the lease at the end, which happens even when the
// caller's time is up: without it others wait for the lease to expire.
const removalTimeout = 2 * time.Second

// Release hands everything over and ends the Manager: the lease says that we are
// draining, the handler is told ErrReleased of each partition, each is recorded as
// released as soon as the handler has returned, and the lease is deleted. When ctx ends
// first, the rest is given up like in Close, but the lease is deleted all the same.
//
// It returns when the handler has returned from every call and all goroutines have ended;
// a handler that hangs makes it hang. The error tells what could not be recorded; others then
// take over as from a worker that died. A second call returns the result of the first.
func (m *Manager) Release(ctx context.Context) error {
	m.stop(ctx, true)
	return m.stopErr
}

// Close ends the Manager as a crash would: the handler is told ErrClosed of each
// partition, nothing is released, and the lease is left to expire. After a Release it does nothing.
func (m *Manager) Close() { m.stop(context.Background(), false) }

func (m *Manager) stop(ctx context.Context, graceful bool) {
	m.stopOnce.Do(func() {
		m.mu.Lock()
		m.draining = true
		m.mu.Unlock()
		m.planning.end()
		t := m.current()
		if graceful && t != nil {
			m.stopErr = m.leaveAll(ctx, t)
		}
		m.keeping.end() // tells the handler of what is left
		m.calls.close()
		if graceful && t != nil {
			rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removalTimeout)
			defer cancel()
			if err := m.removeLease(rctx); err != nil && !errors.Is(err, errConflict) {
				m.stopErr = errors.Join(m.stopErr, err)
			}
		}
		m.life.end()
		close(m.stopped)
	})
	<-m.stopped
}

// leaveAll releases every partition.
func (m *Manager) leaveAll(ctx context.Context, t *tenure) error {
	select {
	case m.keeper.kick <- struct{}{}: // say that we are draining
	default:
	}
	m.mu.Lock()
	all := slices.Sorted(maps.Keys(m.parts))
	m.mu.Unlock()
	finished, failed := m.leave(t, all)
	select {
	case <-finished:
		return errors.Join(*failed...)
	case <-ctx.Done():
		t.cancel(ErrClosed)
		return ctx.Err()
	}
}
