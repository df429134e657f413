package greenapi

import (
	"context"
	"sync"

	"pairgate.dev/pkg/instance"
)

// keyedLocks make changes of one instance's settings follow each other: a change
// reads what is there and writes it back.
type keyedLocks struct {
	mu    sync.Mutex
	locks map[instance.ID]*keyedLock
}

type keyedLock struct {
	held  chan struct{}
	users int
}

func newKeyedLocks() *keyedLocks { return &keyedLocks{locks: map[instance.ID]*keyedLock{}} }

// lock returns how to give the lock back. The error is that of ctx.
func (k *keyedLocks) lock(ctx context.Context, id instance.ID) (unlock func(), err error) {
	k.mu.Lock()
	l := k.locks[id]
	if l == nil {
		l = &keyedLock{held: make(chan struct{}, 1)}
		k.locks[id] = l
	}
	l.users++
	k.mu.Unlock()
	leave := func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.locks, id)
		}
	}
	select {
	case l.held <- struct{}{}:
		return func() { <-l.held; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
