package client

import (
	"sync"
	"time"
)

// recent remembers keys for a while. It holds at most size of them: when it is
// full of keys that are still remembered, it forgets all, which costs a request
// more and never a wrong answer.
type recent struct {
	ttl  time.Duration
	size int

	mu   sync.Mutex
	keys map[string]time.Time
}

func newRecent(ttl time.Duration, size int) *recent {
	return &recent{ttl: ttl, size: size, keys: map[string]time.Time{}}
}

// has says whether the key was added less than ttl ago.
func (r *recent) has(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.keys[key]
	return ok && time.Since(at) < r.ttl
}

// add remembers the key from now on, and says whether it was not remembered already.
func (r *recent) add(key string) bool {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.keys[key]; ok && now.Sub(at) < r.ttl {
		return false
	}
	if len(r.keys) >= r.size {
		for k, at := range r.keys {
			if now.Sub(at) >= r.ttl {
				delete(r.keys, k)
			}
		}
		if len(r.keys) >= r.size {
			clear(r.keys)
		}
	}
	r.keys[key] = now
	return true
}
