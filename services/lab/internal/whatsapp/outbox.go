package whatsapp

import (
	"sync"
	"time"
)

// outboxLimit is how many bytes may wait for a client before it counts as stuck.
const outboxLimit = 16 << 20

// outbox has what a connection is still to be told.
type outbox struct {
	wake chan struct{}

	mu     sync.Mutex
	items  []item
	bytes  int
	closed bool
}

// item is a stanza that is not to be sent before its time; the last one has none and
// says how long the client may take to hang up itself.
type item struct {
	stanza    []byte
	notBefore time.Time
	last      bool
	grace     time.Duration
}

func newOutbox() *outbox { return &outbox{wake: make(chan struct{}, 1)} }

// push queues an item and says whether there was room. Nothing follows the last one.
func (o *outbox) push(i item) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return true
	}
	if o.bytes+len(i.stanza) > outboxLimit {
		return false
	}
	o.items, o.bytes, o.closed = append(o.items, i), o.bytes+len(i.stanza), i.last
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return true
}

func (o *outbox) take() []item {
	o.mu.Lock()
	defer o.mu.Unlock()
	items := o.items
	o.items, o.bytes = nil, 0
	return items
}

// run writes what is pushed until gone is closed, a write fails, or the last item has
// had its grace.
func (o *outbox) run(gone <-chan struct{}, write func([]byte) error) {
	for {
		select {
		case <-o.wake:
		case <-gone:
			return
		}
		for _, i := range o.take() {
			if !wait(gone, time.Until(i.notBefore)) {
				return
			}
			if i.last {
				wait(gone, i.grace)
				return
			}
			if write(i.stanza) != nil {
				return
			}
		}
	}
}

// wait waits for d and says whether gone was not closed meanwhile.
func wait(gone <-chan struct{}, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-gone:
		return false
	}
}
