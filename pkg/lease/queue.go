package lease

import "sync"

// queue runs functions one after another in the order in which they were posted.
// Posting never blocks.
type queue struct {
	mu     sync.Mutex
	posted []func()
	closed bool
	some   chan struct{}
}

func newQueue() *queue { return &queue{some: make(chan struct{}, 1)} }

// post adds f and returns a channel that is closed when f has run.
func (q *queue) post(f func()) <-chan struct{} {
	done := make(chan struct{})
	q.mu.Lock()
	q.posted = append(q.posted, func() { defer close(done); f() })
	q.mu.Unlock()
	q.wake()
	return done
}

// close lets run return when everything posted has run.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.wake()
}

func (q *queue) wake() {
	select {
	case q.some <- struct{}{}:
	default:
	}
}

// run runs what is posted until close.
func (q *queue) run() {
	for {
		q.mu.Lock()
		posted, closed := q.posted, q.closed
		q.posted = nil
		q.mu.Unlock()
		for _, f := range posted {
			f()
		}
		if len(posted) > 0 {
			continue
		}
		if closed {
			return
		}
		<-q.some
	}
}
