package bus

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff doubles a delay from first to most, with up to a quarter of jitter so
// that services that failed together do not come back together.
type backoff struct{ next, most time.Duration }

func newBackoff(first, most time.Duration) *backoff { return &backoff{next: first, most: most} }

// wait sleeps for the next delay; it returns ctx's error when that ends first.
func (b *backoff) wait(ctx context.Context) error {
	d := b.next + rand.N(b.next/4+1)
	b.next = min(2*b.next, b.most)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
