package lease

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
)

// watchersPerLease is how many workers ping each lease. More would be a square of pings.
const watchersPerLease = 3

// silence is the first of the pings of a lease that found nobody.
type silence struct {
	nonce      string
	revision   uint64
	connection uint64
	since      time.Time
}

// proves says whether another ping that found nobody, now, proves the holder dead: far
// enough from the first, over the same connection, and without a renewal in between.
func (s silence) proves(l seenLease, connection uint64, now time.Time, apart time.Duration) bool {
	return s.same(l, connection) && now.Sub(s.since) >= apart
}

func (s silence) same(l seenLease, connection uint64) bool {
	return s.nonce == l.Nonce && s.revision == l.revision && s.connection == connection
}

// pingLoop pings the holders of leases, and revokes the leases of those that are proven dead.
func (m *Manager) pingLoop(ctx context.Context) {
	silent := map[string]silence{}
	for pause(ctx, m.cfg.PingEvery) {
		lasted, connection, _ := m.link.look()
		leases, _ := m.view.state()
		targets := m.targets(leases)
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, l := range targets {
			wg.Go(func() {
				nobody := m.ping(ctx, l)
				mu.Lock()
				defer mu.Unlock()
				old, was := silent[l.Worker]
				switch {
				case !nobody:
					delete(silent, l.Worker)
				case !was || !old.same(l, connection):
					silent[l.Worker] = silence{nonce: l.Nonce, revision: l.revision, connection: connection, since: time.Now()}
				case lasted >= m.time.ttl && old.proves(l, connection, time.Now(), m.cfg.RevokeAfter):
					delete(silent, l.Worker)
					m.revoke(ctx, l)
				}
			})
		}
		wg.Wait()
		for worker := range silent {
			if !slices.ContainsFunc(targets, func(l seenLease) bool { return l.Worker == worker }) {
				delete(silent, worker)
			}
		}
	}
}

// targets returns the live leases that are ours to ping.
func (m *Manager) targets(leases map[string]seenLease) []seenLease {
	var live []string
	for w, l := range leases {
		if !l.gone {
			live = append(live, w)
		}
	}
	var targets []seenLease
	for _, l := range leases {
		if l.gone || l.Worker == m.cfg.WorkerID || l.ServiceID == "" {
			continue
		}
		others := slices.DeleteFunc(slices.Clone(live), func(w string) bool { return w == l.Worker })
		if slices.Contains(ranked(others, l.Worker, watchersPerLease), m.cfg.WorkerID) {
			targets = append(targets, l)
		}
	}
	return targets
}

// ping says whether the server knows for sure that nobody listens. Silence is not that.
func (m *Manager) ping(ctx context.Context, l seenLease) (nobody bool) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.PingEvery)
	defer cancel()
	_, err := m.conn.NATS().RequestWithContext(ctx, "$SRV.PING."+l.Service+"."+l.ServiceID, nil)
	return errors.Is(err, nats.ErrNoResponders)
}

// revoke deletes the lease as it was when its holder did not answer. A holder that lives
// after all finds out at its next renewal, and stops.
func (m *Manager) revoke(ctx context.Context, l seenLease) {
	ctx, cancel := context.WithTimeout(ctx, m.time.attempt)
	defer cancel()
	err := m.kv.Delete(ctx, bus.WorkerKey(m.cfg.Kind, l.Worker), jetstream.LastRevision(l.revision))
	switch {
	case err == nil:
		m.met.revoked.Inc()
		m.log.Warn("worker is dead; its lease is revoked", zap.String("dead", l.Worker))
		m.view.leaseGone(l.Worker, l.revision)
	case !errors.Is(err, jetstream.ErrKeyRevisionMismatch):
		m.log.Warn("lease of a dead worker is not revoked", zap.String("dead", l.Worker), zap.Error(err))
	}
}
