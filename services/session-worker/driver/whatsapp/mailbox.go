package whatsapp

import "sync"

// mail is something that happened, and the connection it happened to; nil for the session itself.
type mail struct {
	from  *link
	event any
}

// mailbox takes mail from any goroutine without ever making it wait: the library
// calls handlers where a wait would hold up the connection.
type mailbox struct {
	mu     sync.Mutex
	queue  []mail
	closed bool
	// ready has one element while the queue has any.
	ready chan struct{}
}

func newMailbox() *mailbox { return &mailbox{ready: make(chan struct{}, 1)} }

// put adds mail; after close it is thrown away.
func (b *mailbox) put(m mail) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.queue = append(b.queue, m)
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// take returns everything that is there, oldest first.
func (b *mailbox) take() []mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	queue := b.queue
	b.queue = nil
	return queue
}

// close throws away what is there and what comes.
func (b *mailbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed, b.queue = true, nil
}
