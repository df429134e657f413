package renderer

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// newest knows the last code that was delivered to this process on each subject,
// while it is in hand. It only spares the drawing of codes that were followed by
// others while they waited; whether a picture counts, the server decides.
type newest struct {
	mu       sync.Mutex
	sequence map[string]uint64
}

func (n *newest) note(subject string, sequence uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sequence[subject] = max(n.sequence[subject], sequence)
}

func (n *newest) superseded(subject string, sequence uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sequence[subject] > sequence
}

// forget ends the memory of a subject when its last code is settled.
func (n *newest) forget(subject string, sequence uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sequence[subject] <= sequence {
		delete(n.sequence, subject)
	}
}

// backlog reckons how many codes wait.
type backlog struct {
	gauge prometheus.Gauge

	mu       sync.Mutex
	inStream uint64
	inHand   uint64
}

// taken notes a code that came, and how many the server has behind it.
func (b *backlog) taken(inStream uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inStream = inStream
	b.inHand++
	b.gauge.Set(float64(b.inStream + b.inHand))
}

func (b *backlog) settled() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inHand--
	b.gauge.Set(float64(b.inStream + b.inHand))
}
