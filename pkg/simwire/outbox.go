package simwire

import (
	"errors"
	"sync"
	"time"
)

// Errors of Outbox.Push.
var (
	// ErrOutboxFull says that the other end reads too slowly; the connection is to be given up.
	ErrOutboxFull = errors.New("simwire: the other end reads too slowly")
	// ErrOutboxClosed says that nothing is sent any more.
	ErrOutboxClosed = errors.New("simwire: connection over")
)

// Outbox is the bounded queue that both ends write through, so that nobody who
// sends a frame ever waits for the other end to read it.
type Outbox struct {
	limit int
	wake  chan struct{}

	mu     sync.Mutex
	queue  []outgoing
	bytes  int
	closed bool
}

type outgoing struct {
	line      []byte
	notBefore time.Time
}

// batch is how much Run hands to one write.
const batch = 64 << 10

// NewOutbox returns an empty Outbox that holds at most limit bytes.
func NewOutbox(limit int) *Outbox {
	return &Outbox{limit: limit, wake: make(chan struct{}, 1)}
}

// Push queues a line. It is not written before notBefore, nor before an earlier
// line; the zero time means at once. It never blocks.
func (o *Outbox) Push(line []byte, notBefore time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return ErrOutboxClosed
	}
	if o.bytes+len(line) > o.limit {
		return ErrOutboxFull
	}
	o.bytes += len(line)
	o.queue = append(o.queue, outgoing{line, notBefore})
	o.signal()
	return nil
}

// Close lets Run write what is queued and return. Closing twice is allowed.
func (o *Outbox) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.signal()
}

func (o *Outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Run writes the queued lines in their order until Close, and returns nil then,
// or until write fails, and returns that error. write is to have a deadline.
func (o *Outbox) Run(write func([]byte) error) error {
	var buf []byte
	for {
		var wait time.Duration
		var over bool
		buf, wait, over = o.take(buf[:0])
		if len(buf) > 0 {
			if err := write(buf); err != nil {
				o.Close()
				return err
			}
			continue
		}
		if over {
			return nil
		}
		if wait == 0 {
			<-o.wake
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-o.wake:
			timer.Stop()
		}
	}
}

// take moves what may be written now to buf. With nothing to write it says how
// long the first line has to wait, and whether the Outbox is empty and closed.
func (o *Outbox) take(buf []byte) (lines []byte, wait time.Duration, over bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	taken := 0
	for _, out := range o.queue {
		if len(buf) >= batch {
			break
		}
		if !out.notBefore.IsZero() && !o.closed {
			if wait = time.Until(out.notBefore); wait > 0 {
				break
			}
		}
		buf = append(buf, out.line...)
		o.bytes -= len(out.line)
		taken++
	}
	clear(o.queue[:taken])
	if o.queue = o.queue[taken:]; len(o.queue) == 0 {
		o.queue = nil
	}
	return buf, max(wait, 0), o.closed && len(o.queue) == 0
}
