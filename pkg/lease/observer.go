package lease

import (
	"context"
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
)

// Observer follows who owns the partitions of a kind without owning any itself: for the
// readiness of a gateway, say. What it tells may be late.
type Observer struct {
	view   *view
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// Observe begins to follow. Only Kind, Stream, OwnerSubject, Partitions and Log of cfg are
// used; the error is ErrConfig. End it with Close.
func Observe(conn *bus.Conn, cfg Config) (*Observer, error) {
	cfg.WorkerID = "observer"
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	g := group{kind: cfg.Kind, stream: cfg.Stream, subject: cfg.OwnerSubject, partitions: cfg.Partitions}
	o := &Observer{view: newView(g, conn, cfg.Log.With(zap.String("kind", cfg.Kind)))}
	ctx, cancel := context.WithCancel(context.Background())
	o.cancel = cancel
	o.wg.Go(func() { o.view.run(ctx) })
	return o, nil
}

// Ready is closed when everything was read once.
func (o *Observer) Ready() <-chan struct{} { return o.view.ready }

// Unowned returns the partitions that nobody serves, in ascending order.
func (o *Observer) Unowned() []instance.Partition {
	live, records := o.state()
	return Unowned(len(o.view.owners), records, live)
}

// Workers returns the live leases, sorted by worker.
func (o *Observer) Workers() []Lease {
	live, _ := o.state()
	slices.SortFunc(live, func(a, b Lease) int { return strings.Compare(a.Worker, b.Worker) })
	return live
}

// OwnerOf returns the live lease of the partition's owner; false when nobody serves it.
func (o *Observer) OwnerOf(p instance.Partition) (Lease, bool) {
	live, records := o.state()
	rec, ok := records[p]
	if !ok || rec.Released {
		return Lease{}, false
	}
	i := slices.IndexFunc(live, func(l Lease) bool { return l.Worker == rec.Worker && l.Nonce == rec.Nonce })
	if i < 0 {
		return Lease{}, false
	}
	return live[i], true
}

// Close ends the following.
func (o *Observer) Close() {
	o.cancel()
	o.wg.Wait()
}

func (o *Observer) state() ([]Lease, map[instance.Partition]Owner) {
	leases, owners := o.view.state()
	return ownership(leases, owners)
}
