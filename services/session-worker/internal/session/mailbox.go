package session

import (
	"context"
	"sync"

	"pairgate.dev/pkg/instance"
)

// mailbox holds what an actor has not looked at yet. Putting never blocks,
// because messengers' callbacks and timers put; what can come often, a touch, is
// kept once.
type mailbox struct {
	mu      sync.Mutex
	inputs  []instance.Input
	touched bool
	wake    chan struct{}
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

func (b *mailbox) put(in instance.Input) {
	b.mu.Lock()
	if _, touch := in.(instance.Touched); touch {
		if b.touched {
			b.mu.Unlock()
			return
		}
		b.touched = true
	}
	b.inputs = append(b.inputs, in)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take waits for the next input; ok is false when ctx ended.
func (b *mailbox) take(ctx context.Context) (in instance.Input, ok bool) {
	for {
		if ctx.Err() != nil {
			return nil, false
		}
		b.mu.Lock()
		if len(b.inputs) > 0 {
			in = b.inputs[0]
			b.inputs = b.inputs[1:]
			if _, touch := in.(instance.Touched); touch {
				b.touched = false
			}
			b.mu.Unlock()
			return in, true
		}
		b.inputs = nil
		b.mu.Unlock()
		select {
		case <-b.wake:
		case <-ctx.Done():
		}
	}
}

func (b *mailbox) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.inputs) == 0
}
