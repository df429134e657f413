package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Condition is the name of something that a service needs before it may be
// given work. The list is closed, because alerts and people look for the names.
type Condition string

// The conditions of this version. /readyz names those that do not hold.
const (
	// Starting: the service has not named its first condition yet.
	Starting Condition = "starting"
	// NATS: the connection to NATS is up.
	NATS Condition = "nats"
	// Streams: the streams and buckets exist, and are as declared.
	Streams Condition = "streams"
	// Registry: the registry answers, and its indexes are complete.
	Registry Condition = "registry"
	// Ownership: the lease of this worker or dispatcher is valid, and no take-over is under way.
	Ownership Condition = "ownership"
	// Followers: every stream and bucket that is followed was read up to its end once.
	Followers Condition = "followers"
	// KeyStore: the database with the keys of sessions answers.
	KeyStore Condition = "key-store"
	// Lab: the lab's control address answers.
	Lab Condition = "lab"
	// Draining: the process is going; it takes no new work.
	Draining Condition = "draining"
)

// Conditions lists every condition.
func Conditions() []Condition {
	return []Condition{Starting, NATS, Streams, Registry, Ownership, Followers, KeyStore, Lab, Draining}
}

// Reason says that a condition does not hold, and in words why. Anyone who
// reaches /readyz can read it, so Detail never holds a secret or a phone number.
type Reason struct {
	Name   Condition `json:"name"`
	Detail string    `json:"detail"`
}

// Health collects what a service says of its own readiness. It is safe for
// concurrent use. Make it with [NewHealth].
type Health struct {
	mu     sync.Mutex
	set    map[Condition]string // detail of what was set to not hold
	checks []healthCheck
	parts  []*Health
}

type healthCheck struct {
	name Condition
	run  func(context.Context) error
}

var errStarting = errors.New("the service is starting")

// NewHealth returns a Health whose only reason is [Starting]. The first call of
// Set, Register or Include clears it, so a service first says what does not hold
// yet.
func NewHealth() *Health {
	return &Health{set: map[Condition]string{Starting: errStarting.Error()}}
}

// Register adds a check that is asked at each look at the readiness: nil when
// the condition holds. It may be called from several goroutines at once, must
// return soon after its context ends, and should take a few milliseconds. More
// than one check of a name may be registered; all of them must hold.
func (h *Health) Register(name Condition, check func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.set, Starting)
	h.checks = append(h.checks, healthCheck{name, check})
}

// Set notes that a condition holds (nil), or why it does not. It replaces what
// was set before for that name; registered checks stay.
func (h *Health) Set(name Condition, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.set, Starting)
	if err == nil {
		delete(h.set, name)
		return
	}
	h.set[name] = err.Error()
}

// Include makes the reasons of part reasons of h: a process is ready when every
// service in it is.
func (h *Health) Include(part *Health) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.set, Starting)
	h.parts = append(h.parts, part)
}

// starting puts the reason Starting back until the service names a condition of
// its own: the shell has named NATS and Streams by then.
func (h *Health) starting() { h.Set(Starting, errStarting) }

// Drain makes the service not ready for good, with the reason [Draining].
func (h *Health) Drain() {
	h.Set(Draining, errors.New("the process is shutting down"))
}

// Reasons asks every check at once and returns what does not hold, sorted by
// name and each reason once; empty means ready. Without NATS, what fails for want
// of it is left out. A check that panics counts as
// one that does not hold. It returns when all checks have.
func (h *Health) Reasons(ctx context.Context) []Reason {
	h.mu.Lock()
	reasons := make([]Reason, 0, len(h.set))
	for name, detail := range h.set {
		reasons = append(reasons, Reason{name, detail})
	}
	checks, parts := slices.Clone(h.checks), slices.Clone(h.parts)
	h.mu.Unlock()

	found := make([][]Reason, len(checks)+len(parts))
	var wg sync.WaitGroup
	for i, c := range checks {
		wg.Go(func() {
			if err := c.ask(ctx); err != nil {
				found[i] = []Reason{{c.name, err.Error()}}
			}
		})
	}
	for i, part := range parts {
		wg.Go(func() { found[len(checks)+i] = part.Reasons(ctx) })
	}
	wg.Wait()
	for _, f := range found {
		reasons = append(reasons, f...)
	}
	reasons = withoutConsequences(reasons)
	slices.SortFunc(reasons, func(a, b Reason) int {
		return strings.Compare(string(a.Name)+"\x00"+a.Detail, string(b.Name)+"\x00"+b.Detail)
	})
	return slices.Compact(reasons)
}

// consequences are what fails by itself while there is no NATS: who looks at
// three in the morning should read of the cause only.
var consequences = []Condition{Streams, Registry, Ownership, Followers}

func withoutConsequences(reasons []Reason) []Reason {
	if !slices.ContainsFunc(reasons, func(r Reason) bool { return r.Name == NATS }) {
		return reasons
	}
	return slices.DeleteFunc(reasons, func(r Reason) bool { return slices.Contains(consequences, r.Name) })
}

func (c healthCheck) ask(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			// The value may be anything; a reason is public.
			err = fmt.Errorf("the check failed with a panic (%T)", v)
		}
	}()
	return c.run(ctx)
}
