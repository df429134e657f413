package lease

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
)

// keeper holds one lease for as long as it can, and says when it has lost it. Each
// stretch of holding is a tenure with its own nonce.
type keeper struct {
	store leaseStore
	time  timing
	log   *zap.Logger
	met   *metrics
	// steal says that a lease of an earlier process with our worker id may be taken over
	// by the first tenure.
	steal bool
	// value returns the lease to store for the tenure. It is asked at every renewal.
	value func(nonce string, started time.Time) []byte
	// held is called when a tenure begins, lost when it ends, exactly once for each and
	// never concurrently. lost must not block; what it returns is closed when everything of
	// the tenure has stopped, and only then the next one begins.
	held func(nonce string, sent time.Time)
	lost func(why error) (settled <-chan struct{})
	// renewed is told the send time of each renewal that succeeded.
	renewed func(sent time.Time)

	// kick asks for a renewal now.
	kick chan struct{}

	mu     sync.Mutex
	nonces map[string]bool // of every tenure of this process
	rev    uint64          // of the lease as last known
}

func newKeeper() *keeper {
	return &keeper{kick: make(chan struct{}, 1), nonces: map[string]bool{}}
}

// ours says whether a tenure of this process had the nonce.
func (k *keeper) ours(nonce string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.nonces[nonce]
}

// revision returns that of the lease as last known.
func (k *keeper) revision() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.rev
}

func (k *keeper) setRevision(rev uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rev = rev
}

// run keeps the lease until ctx ends. It does not delete it then.
func (k *keeper) run(ctx context.Context) {
	for ctx.Err() == nil {
		nonce := uuid.NewString()
		k.mu.Lock()
		k.nonces[nonce] = true
		k.mu.Unlock()
		started := time.Now()
		sent, ok := k.gain(ctx, nonce, started)
		if !ok {
			return
		}
		k.steal = false
		settled, why := k.hold(ctx, nonce, started, sent)
		if !errors.Is(why, ErrClosed) {
			k.log.Warn("lease lost", zap.Error(why))
		}
		select {
		case <-settled:
		case <-ctx.Done():
			// The manager is stopping and waits for the handler itself.
			return
		}
	}
}

// gain stores the lease of a new tenure, and returns when the write that succeeded
// was sent. It tries until ctx ends; then ok is false.
func (k *keeper) gain(ctx context.Context, nonce string, started time.Time) (sent time.Time, ok bool) {
	told, level := false, zap.WarnLevel
	for {
		value := k.value(nonce, started)
		sent = time.Now()
		rev, err := k.try(ctx, func(ctx context.Context) (uint64, error) { return k.store.create(ctx, value) })
		if errors.Is(err, errConflict) {
			var old Lease
			var at uint64
			old, at, err = k.current(ctx)
			switch {
			case err != nil || at == 0:
			case old.Nonce == nonce, k.ours(old.Nonce), k.steal:
				// An attempt of ours that timed out, an earlier tenure of ours, or a process that
				// the lock proves dead.
				sent = time.Now()
				rev, err = k.try(ctx, func(ctx context.Context) (uint64, error) { return k.store.update(ctx, value, at) })
			default:
				err = errConflict
				if !told {
					told = true
					k.log.Warn("another process holds the lease of this worker id; waiting until it is gone")
				}
			}
		}
		if err == nil && rev > 0 {
			k.setRevision(rev)
			return sent, true
		}
		if err != nil && !errors.Is(err, errConflict) && ctx.Err() == nil {
			k.met.renewFailures.Inc()
			// Once loudly: an outage is many attempts.
			k.log.Log(level, "cannot store the lease; trying again", zap.Error(err))
			level = zap.DebugLevel
		}
		if !pause(ctx, k.time.retry) {
			return time.Time{}, false
		}
	}
}

// hold renews the lease until it is lost or ctx ends.
func (k *keeper) hold(ctx context.Context, nonce string, started, sent time.Time) (settled <-chan struct{}, why error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	k.held(nonce, sent)
	var once sync.Once
	done := make(chan struct{})
	end := func(reason error) {
		once.Do(func() {
			why = reason
			settled = k.lost(reason)
			cancel(reason)
			close(done)
		})
	}
	// The fence is a timer of its own: it must not wait for anything that may be stuck on
	// the network, the renewal included.
	fence := time.AfterFunc(time.Until(sent.Add(k.time.fence)), func() { end(ErrFenced) })
	defer fence.Stop()

	next := time.Until(sent.Add(k.time.renew))
	for {
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-k.kick:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			end(ErrClosed) // unless the fence was first
			<-done
			return settled, why
		}

		attempt := time.Now()
		rev, err := k.try(ctx, func(ctx context.Context) (uint64, error) {
			return k.store.update(ctx, k.value(nonce, started), k.revision())
		})
		switch {
		case err == nil:
			k.setRevision(rev)
			sent = attempt
			left := time.Until(sent.Add(k.time.fence))
			if !fence.Stop() || left <= 0 {
				end(ErrFenced)
				continue
			}
			fence.Reset(left)
			k.renewed(sent)
			next = max(0, time.Until(sent.Add(k.time.renew)))
			continue
		case errors.Is(err, errConflict):
			// A renewal that timed out but succeeded looks the same as a lease that somebody else
			// took. The nonce tells.
			now, at, rerr := k.current(ctx)
			switch {
			case rerr != nil:
			case at == 0:
				end(ErrRevoked)
			case now.Nonce != nonce:
				end(ErrRevoked)
			default:
				k.setRevision(at)
			}
		}
		if ctx.Err() == nil {
			k.met.renewFailures.Inc()
			k.log.Warn("lease not renewed; trying again", zap.Error(err), zap.Duration("left", time.Until(sent.Add(k.time.fence))))
		}
		next = k.time.retry
	}
}

// try runs one attempt within its time.
func (k *keeper) try(ctx context.Context, f func(context.Context) (uint64, error)) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, k.time.attempt)
	defer cancel()
	return f(ctx)
}

// current reads our lease from the leader; revision 0 when there is none. A value
// that cannot be parsed is somebody else's.
func (k *keeper) current(ctx context.Context) (Lease, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, k.time.attempt)
	defer cancel()
	value, rev, err := k.store.read(ctx)
	if err != nil || rev == 0 {
		return Lease{}, 0, err
	}
	l, err := ParseLease(value)
	if err != nil {
		k.log.Warn("unreadable lease under our key", zap.Error(err))
		return Lease{}, rev, nil
	}
	return l, rev, nil
}

// remove deletes the lease if it is still as last known.
func (k *keeper) remove(ctx context.Context) error {
	return k.store.remove(ctx, k.revision())
}

// pause waits for d; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
