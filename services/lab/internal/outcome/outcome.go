// Package outcome is how something that many may wait for has ended.
package outcome

import (
	"context"
	"sync"
)

// Outcome is told once and awaited by any number. Make it with New.
type Outcome struct {
	once sync.Once
	told chan struct{}
	err  error
}

// New returns an outcome that nobody has told yet.
func New() *Outcome { return &Outcome{told: make(chan struct{})} }

// Tell lets those who wait know; only the first time counts.
func (o *Outcome) Tell(err error) {
	o.once.Do(func() {
		o.err = err
		close(o.told)
	})
}

// Wait returns what was told, or ctx's error when ctx ends before.
func (o *Outcome) Wait(ctx context.Context) error {
	select {
	case <-o.told:
		return o.err
	case <-ctx.Done():
		return ctx.Err()
	}
}
