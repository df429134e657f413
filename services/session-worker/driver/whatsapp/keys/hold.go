package keys

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
)

// Hold makes this process the only one that runs sessions with the keys of the
// instance, until release is called; release may be called more than once and
// waits a few seconds at most. ErrHeld says that somebody else is it, another
// session in this process included.
//
// In PostgreSQL, holds end by themselves with the connection they are made on,
// all at once: lost is closed then, within five seconds, and every session must
// be closed before its instance is held anew. The server takes longer than that
// to give up a client that it cannot hear. lost stays open after release.
//
// What PostgreSQL locks is the instance's partition, the first hold of it to the
// last: workers own partitions as a whole, and a lock for each of many thousand
// instances would fill the server's table of locks.
func (s *Store) Hold(ctx context.Context, id instance.ID) (release func(), lost <-chan struct{}, err error) {
	return s.holds.take(ctx, id)
}

// The keys of our advisory locks: the class is ours, the number in it is a
// partition's or lockUpgrade.
const (
	lockClass   = 0x70616972 // "pair"
	lockUpgrade = -1
)

const (
	// heartbeat is the pause between two looks at the connection of the holds.
	heartbeat = time.Second
	// holdTimeout bounds each exchange on it. The caller's context must not: it
	// would end the connection, and with it the holds of all others.
	holdTimeout = 3 * time.Second
	// restAfterFailure is how long a failure to connect is not tried to be undone.
	restAfterFailure = time.Second
)

// forHolds is the configuration of the connection that the locks are held on.
// The server ends it, and frees the locks, about 11 s after it has last heard of
// the machine: later than we notice the same (heartbeat and holdTimeout).
func forHolds(config *pgx.ConnConfig) *pgx.ConnConfig {
	c := config.Copy()
	maps.Copy(c.RuntimeParams, map[string]string{
		"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"})
	return c
}

// holds are the holds of one process. With SQLite there is no connection: the
// file is in a directory that no other process works in.
type holds struct {
	log *zap.Logger
	// connect makes the connection of the locks; nil for none.
	connect func(context.Context) (*pgx.Conn, error)

	// turn is held by whoever uses what follows. It is a channel so that waiting for it ends with a context.
	turn   chan struct{}
	conn   *pgx.Conn
	held   map[instance.ID]*hold
	locked map[instance.Partition]int
	closed bool
	// failed and failure are the last try to connect that failed, which stands for
	// those that follow at once: many sessions ask at the same time.
	failed  time.Time
	failure error

	stop context.CancelFunc // of the heartbeat
	beat sync.WaitGroup
}

type hold struct{ lost chan struct{} }

func newHolds(log *zap.Logger) *holds {
	return &holds{log: log, turn: make(chan struct{}, 1), held: map[instance.ID]*hold{}, locked: map[instance.Partition]int{}}
}

func (h *holds) take(ctx context.Context, id instance.ID) (release func(), lost <-chan struct{}, err error) {
	select {
	case h.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	defer h.leave()
	if h.closed {
		return nil, nil, ErrClosed
	}
	if h.held[id] != nil {
		return nil, nil, ErrHeld
	}
	if err := h.lock(ctx, id.Partition()); err != nil {
		return nil, nil, err
	}
	one := &hold{lost: make(chan struct{})}
	h.held[id] = one
	return sync.OnceFunc(func() { h.give(id, one) }), one.lost, nil
}

func (h *holds) leave() { <-h.turn }

// give ends a hold, unless it was lost before.
func (h *holds) give(id instance.ID, one *hold) {
	h.turn <- struct{}{}
	defer h.leave()
	if h.held[id] != one {
		return
	}
	delete(h.held, id)
	h.unlock(id.Partition())
}

// lock takes the lock of a partition, or counts one more user of it.
func (h *holds) lock(ctx context.Context, p instance.Partition) error {
	if h.connect == nil {
		return nil
	}
	if h.locked[p] > 0 {
		h.locked[p]++
		return nil
	}
	if err := h.reach(ctx); err != nil {
		return fmt.Errorf("holding keys: %w", err)
	}
	var got bool
	if err := h.ask(ctx, "SELECT pg_try_advisory_lock($1, $2)", p, &got); err != nil {
		return fmt.Errorf("holding keys: %w", err)
	}
	if !got {
		return ErrHeld
	}
	h.locked[p] = 1
	return nil
}

// unlock counts one user of a partition less, and gives the lock up after the last.
func (h *holds) unlock(p instance.Partition) {
	if h.connect == nil {
		return
	}
	if h.locked[p]--; h.locked[p] > 0 {
		return
	}
	delete(h.locked, p)
	var had bool
	// An error ends the connection, and so the lock.
	_ = h.ask(context.Background(), "SELECT pg_advisory_unlock($1, $2)", p, &had)
}

// ask does one thing with a lock. An error has ended the connection and every hold.
func (h *holds) ask(ctx context.Context, query string, p instance.Partition, answer *bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), holdTimeout)
	defer cancel()
	err := explain(h.conn.QueryRow(ctx, query, lockClass, int32(p)).Scan(answer))
	if err != nil {
		h.lose(err)
	}
	return err
}

// reach makes the connection unless there is one.
func (h *holds) reach(ctx context.Context) error {
	if h.conn != nil {
		return nil
	}
	if h.failure != nil && time.Since(h.failed) < restAfterFailure {
		return h.failure
	}
	dialling, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := h.connect(dialling)
	if ctx.Err() != nil && err != nil {
		return ctx.Err() // That is the caller's failure, not the server's.
	}
	if h.failed, h.failure = time.Now(), err; err != nil {
		return err
	}
	if h.stop != nil {
		h.stop()
	}
	h.conn = conn
	beating, stop := context.WithCancel(context.Background())
	h.stop = stop
	h.beat.Go(func() { h.watch(beating, conn) })
	return nil
}

// watch looks at the connection until it is lost or ctx ends.
func (h *holds) watch(ctx context.Context, conn *pgx.Conn) {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if !h.alive(ctx, conn) {
			return
		}
	}
}

func (h *holds) alive(ctx context.Context, conn *pgx.Conn) bool {
	select {
	case h.turn <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	defer h.leave()
	if h.conn != conn {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), holdTimeout)
	defer cancel()
	if err := conn.Ping(ctx); err != nil {
		h.lose(explain(err))
		return false
	}
	return true
}

// lose ends the connection and every hold.
func (h *holds) lose(why error) {
	hangUp(h.conn)
	h.conn = nil
	if len(h.held) > 0 {
		h.log.Warn("the connection that keys are held on is lost; their sessions close and open again", zap.Int("sessions", len(h.held)), zap.Error(why))
	}
	h.end()
}

// end tells every hold that it is over.
func (h *holds) end() {
	for _, one := range h.held {
		close(one.lost)
	}
	clear(h.held)
	clear(h.locked)
}

// close ends every hold, and no new one is given.
func (h *holds) close() {
	h.turn <- struct{}{}
	h.closed = true
	if h.stop != nil {
		h.stop()
	}
	if h.conn != nil {
		hangUp(h.conn)
		h.conn = nil
	}
	h.end()
	h.leave()
	h.beat.Wait()
}
