package drivertest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"pairgate.dev/pkg/instance"
)

// patience is how long the suite waits for what must come.
const patience = 20 * time.Second

// recorder is a sink that remembers, and notices what a driver must never do.
type recorder struct {
	tb     testing.TB
	busy   sync.Mutex
	mu     sync.Mutex
	events []instance.SessionEvent
	next   int
	shut   bool
	more   chan struct{}
}

func newRecorder(tb testing.TB) *recorder {
	return &recorder{tb: tb, more: make(chan struct{}, 1)}
}

// sink is a driver.Sink.
func (r *recorder) sink(e instance.SessionEvent) {
	if !r.busy.TryLock() {
		r.tb.Errorf("the sink was called while it was still running: %T", e)
		return
	}
	defer r.busy.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shut {
		r.tb.Errorf("%T after Close had returned", e)
	}
	if n := len(r.events); n > 0 {
		if _, over := r.events[n-1].(instance.Closed); over {
			r.tb.Errorf("%T after Closed", e)
		}
	}
	r.events = append(r.events, e)
	select {
	case r.more <- struct{}{}:
	default:
	}
}

// closeReturned says that from now on every event is one too many.
func (r *recorder) closeReturned() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shut = true
}

// step returns the next event that was not looked at yet; nil when there is none.
func (r *recorder) step() instance.SessionEvent {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == len(r.events) {
		return nil
	}
	r.next++
	return r.events[r.next-1]
}

// count returns how many events came.
func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.events)
}

// names lists the types of all events, for messages: what they hold may be secret.
func (r *recorder) names() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var s string
	for _, e := range r.events {
		s += fmt.Sprintf(" %T", e)
		if c, ok := e.(instance.Closed); ok {
			s += "(" + string(c.Reason) + ")"
		}
	}
	return s
}

// await returns the next event of type E. In between only events of the skipped
// kinds may come; anything else fails the test.
func await[E instance.SessionEvent](r *recorder, skip ...instance.SessionEvent) E {
	r.tb.Helper()
	deadline := time.After(patience)
	for {
		switch e := r.step().(type) {
		case nil:
			select {
			case <-r.more:
			case <-deadline:
				var want E
				r.tb.Fatalf("no %T came; events:%s", want, r.names())
			}
		case E:
			return e
		default:
			if !skippable(e, skip) {
				var want E
				r.tb.Fatalf("%T came where %T was due; events:%s", e, want, r.names())
			}
		}
	}
}

func skippable(e instance.SessionEvent, skip []instance.SessionEvent) bool {
	for _, s := range skip {
		if fmt.Sprintf("%T", s) == fmt.Sprintf("%T", e) {
			return true
		}
	}
	return false
}

// codes are the events that a linking session may repeat at any time before it is scanned.
var codes = []instance.SessionEvent{instance.CodeIssued{}, instance.PairingCodeIssued{}}
