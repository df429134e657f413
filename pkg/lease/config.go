package lease

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
)

// Config says what a Manager manages. Kind, WorkerID, Stream, OwnerSubject and
// Partitions are required; zero values of the rest take the defaults named.
type Config struct {
	// Kind is the kind of worker, such as "session-worker". Workers of one kind share one
	// set of partitions; all of them must agree on Stream, OwnerSubject and Partitions.
	Kind string
	// WorkerID is unique in the kind. Kind and WorkerID may hold letters, digits and -_=/.
	WorkerID string
	// Service is the name of the worker's micro service; default Kind.
	Service string
	// ServiceID is the id of the micro service (bus.Service.ID). Without it a killed worker
	// is found only by the expiry of its lease.
	ServiceID string
	// KeyStore is the id of the store that the worker's sessions keep their keys in. Empty
	// for kinds without one.
	KeyStore string
	// Capacity weighs how many partitions this worker should own; default 1.
	Capacity int

	// TTL must be that of the bucket WORKERS; 0 takes the bucket's.
	TTL time.Duration
	// Stream holds the owner records and everything that the Writers write.
	Stream string
	// OwnerSubject returns the literal subject of a partition's owner record.
	OwnerSubject func(instance.Partition) string
	// Partitions is their number, 1 to instance.Partitions.
	Partitions int

	// ReclaimOwn says that no other process with this WorkerID can be alive, because the
	// caller holds the lock of the data directory that the id is kept in. Then an earlier
	// process's lease and partitions are taken over at once.
	ReclaimOwn bool
	// MoveAge is how long another lease must be known before partitions are released to it
	// to even out the load; default 30 s.
	MoveAge time.Duration
	// MovesPerSecond bounds such releases; default 8, negative for none at all.
	MovesPerSecond float64
	// TakesPerSecond bounds take-overs of partitions that somebody else owned; default 128.
	TakesPerSecond float64
	// RevokeAfter is the least time between the two unanswered pings that prove a worker
	// dead; default 3 s.
	RevokeAfter time.Duration
	// PingEvery is the time between pings; default 1 s, at most a third of RevokeAfter.
	PingEvery time.Duration
	// AttemptTimeout bounds one attempt of a write, which is then repeated; default 2 s.
	AttemptTimeout time.Duration

	// Log gets what happens to lease and partitions; default none.
	Log *zap.Logger
	// Metrics registers the package's metrics, labelled by kind; default none.
	Metrics prometheus.Registerer
}

var token = regexp.MustCompile(`^[-_=/A-Za-z0-9]+$`)

// check returns ErrConfig naming everything that is wrong with c.
func (c Config) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !token.MatchString(c.Kind) {
		bad("Kind must be letters, digits and -_=/")
	}
	if !token.MatchString(c.WorkerID) {
		bad("WorkerID must be letters, digits and -_=/")
	}
	if c.Stream == "" || c.OwnerSubject == nil {
		bad("Stream and OwnerSubject must be set")
	}
	if c.Partitions < 1 || c.Partitions > instance.Partitions {
		bad("Partitions must be 1 to %d", instance.Partitions)
	}
	if c.TTL < 0 || c.TTL > 0 && c.TTL < time.Second {
		bad("TTL must be at least 1 s")
	}
	if c.MoveAge < 0 || c.TakesPerSecond < 0 || c.RevokeAfter < 0 || c.PingEvery < 0 || c.AttemptTimeout < 0 {
		bad("MoveAge, TakesPerSecond, RevokeAfter, PingEvery and AttemptTimeout must not be negative")
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w: %w", ErrConfig, errors.Join(errs...))
	}
	return nil
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	if c.Service == "" {
		c.Service = c.Kind
	}
	def(&c.MoveAge, 30*time.Second)
	def(&c.RevokeAfter, 3*time.Second)
	def(&c.PingEvery, time.Second)
	c.PingEvery = min(c.PingEvery, c.RevokeAfter/3)
	def(&c.AttemptTimeout, 2*time.Second)
	if c.MovesPerSecond == 0 {
		c.MovesPerSecond = 8
	}
	if c.TakesPerSecond == 0 {
		c.TakesPerSecond = 128
	}
	c.Capacity = max(c.Capacity, 1)
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	return c
}

// timing is how a lease of one TTL is kept.
type timing struct {
	ttl time.Duration
	// renew is the time between renewals, a quarter of the TTL in whole seconds where
	// there is one: 1 s for a TTL of 5 s, 5 s for 20 s.
	renew time.Duration
	// fence is how long after sending the last successful renewal everything stops.
	fence time.Duration
	// attempt bounds one attempt to renew, retry is the pause after a failed one.
	attempt, retry time.Duration
}

func timingOf(ttl time.Duration) timing {
	t := timing{ttl: ttl, renew: ttl / 4, fence: ttl / 4 * 3}
	if t.renew > time.Second {
		t.renew = t.renew.Truncate(time.Second)
	}
	t.attempt = min(2*time.Second, ttl/3)
	t.retry = min(200*time.Millisecond, ttl/20)
	return t
}
