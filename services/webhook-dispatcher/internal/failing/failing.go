// Package failing finds out since when every attempt to deliver to an endpoint has
// failed. It is pure: it is told of attempts and says what is to be done.
//
// What lasts stands in the endpoint's record, so that it survives take-overs. It is
// written only when an endpoint has failed for a while, and again when it works, so
// that one that stumbles costs no write.
package failing

import (
	"maps"
	"sync"
	"time"
)

// Report is how long an endpoint fails before its record says so.
const Report = 10 * time.Minute

// Action is what is to be done about an endpoint's record.
type Action int

// The actions.
const (
	// Nothing is to be written.
	Nothing Action = iota
	// Note that it has been failing since a time.
	Note
	// Clear that it has been failing.
	Clear
	// Disable it.
	Disable
)

// Tracker remembers first failures. The zero value is ready; it is safe for concurrent use.
type Tracker struct {
	mu    sync.Mutex
	since map[string]time.Time
	busy  map[string]struct{}
}

// Attempt tells of an attempt that ended now. noted is what the endpoint's record says,
// zero for nothing; after is when its format disables it, 0 for never. Whoever is given
// an action calls Done when it is done or has failed; until then nobody else is given one.
func (t *Tracker) Attempt(now time.Time, endpoint string, ok bool, noted time.Time, after time.Duration) (do Action, since time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since == nil {
		t.since, t.busy = map[string]time.Time{}, map[string]struct{}{}
	}
	do = t.decide(now, endpoint, ok, noted, after)
	if do == Nothing {
		return Nothing, time.Time{}
	}
	if _, others := t.busy[endpoint]; others {
		return Nothing, time.Time{}
	}
	t.busy[endpoint] = struct{}{}
	return do, t.since[endpoint]
}

func (t *Tracker) decide(now time.Time, endpoint string, ok bool, noted time.Time, after time.Duration) Action {
	switch {
	case ok:
		delete(t.since, endpoint)
		if !noted.IsZero() {
			return Clear
		}
	case !noted.IsZero():
		delete(t.since, endpoint)
		if after > 0 && now.Sub(noted) >= after {
			return Disable
		}
	case t.since[endpoint].IsZero():
		t.since[endpoint] = now
	case now.Sub(t.since[endpoint]) >= Report:
		return Note
	}
	return Nothing
}

// Done ends an action.
func (t *Tracker) Done(endpoint string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.busy, endpoint)
}

// Forget lets go of an endpoint: it was changed or deleted.
func (t *Tracker) Forget(endpoint string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.since, endpoint)
}

// ForgetAll lets go of every endpoint that which names: others deliver to them now, and
// what becomes of that is not seen here.
func (t *Tracker) ForgetAll(which func(endpoint string) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.since, func(endpoint string, _ time.Time) bool { return which(endpoint) })
}
