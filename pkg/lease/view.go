package lease

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
)

// group is what the workers of a kind share.
type group struct {
	kind       string
	stream     string
	subject    func(instance.Partition) string
	partitions int
}

// filters returns what matches every owner record of the group and nothing else:
// its literal subjects, which are at most 256.
func (g group) filters() []string {
	all := make([]string, g.partitions)
	for p := range all {
		all[p] = g.subject(instance.Partition(p))
	}
	return all
}

// seenLease is a lease as last heard of.
type seenLease struct {
	Lease
	revision uint64
	// gone says that it was deleted or expired, or is not there by the leader's word.
	gone bool
	// first is when we first heard of this tenure, last when of its last renewal.
	first, last time.Time
}

// seenOwner is an owner record as last heard of; sequence 0 when there is none.
type seenOwner struct {
	Owner
	sequence uint64
}

// view is what is known of a group's leases and owner records. It may be late.
type view struct {
	group group
	conn  *bus.Conn
	log   *zap.Logger

	// changed wakes whoever decides by the view.
	changed chan struct{}
	// ready is closed when both were read once.
	ready chan struct{}

	mu      sync.Mutex
	leases  map[string]seenLease
	owners  []seenOwner
	numbers map[string]instance.Partition
	waiting int
	synced  time.Time
}

func newView(g group, conn *bus.Conn, log *zap.Logger) *view {
	v := &view{
		group: g, conn: conn, log: log,
		changed: make(chan struct{}, 1), ready: make(chan struct{}),
		leases: map[string]seenLease{}, owners: make([]seenOwner, g.partitions),
		numbers: map[string]instance.Partition{}, waiting: 2,
	}
	for p := range g.partitions {
		v.numbers[g.subject(instance.Partition(p))] = instance.Partition(p)
	}
	return v
}

// run follows leases and owner records until ctx ends.
func (v *view) run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() {
		filter := bus.BucketSubject(bus.BucketWorkers, bus.WorkerKeysOf(v.group.kind))
		v.follow(ctx, bus.BucketStream(bus.BucketWorkers), []string{filter}, v.leaseMessage)
	})
	wg.Go(func() { v.follow(ctx, v.group.stream, v.group.filters(), v.ownerMessage) })
	wg.Wait()
}

// follow reads for ever, beginning anew with the last of each subject after a
// fault. What was deleted meanwhile is found out by reading the leader before
// anything is decided on it.
func (v *view) follow(ctx context.Context, stream string, filters []string, message func(jetstream.Msg, *jetstream.MsgMetadata)) {
	var left uint64 // of the first snapshot
	inFirst, wait := true, 50*time.Millisecond
	r := &reading{conn: v.conn, stream: stream, filters: filters}
	r.begun = func(pending uint64) bool {
		wait = 50 * time.Millisecond
		if left = pending; left == 0 && inFirst {
			inFirst = false
			v.snapshot()
		}
		return false
	}
	r.message = func(m jetstream.Msg) (bool, error) {
		meta, err := m.Metadata()
		if err != nil {
			return false, err
		}
		message(m, meta)
		if left > 0 {
			left--
		}
		if left == 0 && inFirst {
			inFirst = false
			v.snapshot()
		}
		return false, nil
	}
	for ctx.Err() == nil {
		err := r.run(ctx)
		if ctx.Err() != nil {
			return
		}
		v.log.Info("following begins anew", zap.String("stream", stream), zap.Error(err))
		if !pause(ctx, wait) {
			return
		}
		wait = min(2*wait, 2*time.Second)
	}
}

// snapshot notes that one of the two was read once.
func (v *view) snapshot() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.waiting--; v.waiting == 0 {
		v.synced = time.Now()
		close(v.ready)
	}
}

func (v *view) leaseMessage(m jetstream.Msg, meta *jetstream.MsgMetadata) {
	_, key, ok := bus.ParseBucketSubject(m.Subject())
	if !ok {
		return
	}
	_, worker, ok := bus.ParseWorkerKey(key)
	if !ok {
		return
	}
	if deletes(m.Headers()) {
		v.leaseGone(worker, meta.Sequence.Stream)
		return
	}
	l, err := ParseLease(m.Data())
	if err != nil || l.Worker != worker {
		v.log.Warn("unreadable lease", zap.String("key", key), zap.Error(err))
		return
	}
	v.lease(l, meta.Sequence.Stream)
}

func (v *view) ownerMessage(m jetstream.Msg, meta *jetstream.MsgMetadata) {
	p, ok := v.numbers[m.Subject()]
	if !ok {
		return
	}
	o, err := ParseOwner(m.Data())
	if err != nil {
		// Whoever wrote this is not one of us. It counts as released, or nobody could ever
		// own the partition again.
		v.log.Error("unreadable owner record", zap.String("subject", m.Subject()), zap.Error(err))
		o = Owner{Released: true}
	}
	v.owner(p, o, meta.Sequence.Stream)
}

// lease notes a lease at a revision.
func (v *view) lease(l Lease, revision uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	old, known := v.leases[l.Worker]
	if known && revision <= old.revision {
		return
	}
	now := time.Now()
	s := seenLease{Lease: l, revision: revision, first: now, last: now}
	if known && old.Nonce == l.Nonce && !old.gone {
		s.first = old.first
	}
	v.leases[l.Worker] = s
	if !known || old.gone || old.Nonce != l.Nonce || old.Draining != l.Draining || old.Capacity != l.Capacity {
		v.wake()
	}
}

// leaseGone notes that the worker's lease is gone as of the revision.
func (v *view) leaseGone(worker string, revision uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	old, known := v.leases[worker]
	if known && revision < old.revision {
		return
	}
	old.Worker, old.gone, old.revision, old.last = worker, true, max(revision, old.revision), time.Now()
	v.leases[worker] = old
	v.wake()
}

// owner notes an owner record at a sequence.
func (v *view) owner(p instance.Partition, o Owner, sequence uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if sequence <= v.owners[p].sequence {
		return
	}
	v.owners[p] = seenOwner{Owner: o, sequence: sequence}
	v.wake()
}

func (v *view) wake() {
	select {
	case v.changed <- struct{}{}:
	default:
	}
}

// forget is how long a lease that is gone is remembered.
const forget = 10 * time.Minute

// state returns copies of what is known.
func (v *view) state() (leases map[string]seenLease, owners []seenOwner) {
	v.mu.Lock()
	defer v.mu.Unlock()
	leases = make(map[string]seenLease, len(v.leases))
	for w, l := range v.leases {
		if l.gone && time.Since(l.last) > forget {
			delete(v.leases, w)
			continue
		}
		leases[w] = l
	}
	return leases, append([]seenOwner(nil), v.owners...)
}

// confirm reads the worker's lease from the leader and notes what it finds.
func (v *view) confirm(ctx context.Context, worker string) error {
	key := bus.WorkerKey(v.group.kind, worker)
	m, err := last(ctx, v.conn, bus.BucketStream(bus.BucketWorkers), bus.BucketSubject(bus.BucketWorkers, key))
	if err != nil {
		return err
	}
	if m.sequence == 0 || m.deleted {
		v.leaseGone(worker, max(m.sequence, v.revisionOf(worker)))
		return nil
	}
	l, err := ParseLease(m.data)
	if err != nil {
		return err
	}
	v.lease(l, m.sequence)
	return nil
}

func (v *view) revisionOf(worker string) uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.leases[worker].revision
}

// reread reads an owner record from the leader and notes what it finds.
func (v *view) reread(ctx context.Context, p instance.Partition) (seenOwner, error) {
	m, err := last(ctx, v.conn, v.group.stream, v.group.subject(p))
	if err != nil || m.sequence == 0 {
		return seenOwner{}, err
	}
	o, err := ParseOwner(m.data)
	if err != nil {
		o = Owner{Released: true}
	}
	v.owner(p, o, m.sequence)
	return seenOwner{Owner: o, sequence: m.sequence}, nil
}
