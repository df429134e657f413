package bus

import (
	"slices"
	"sync"
	"sync/atomic"
)

// subscribers is a list of callbacks that is cheap to walk and rarely changed.
type subscribers[T any] struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*subscriber[T]]
}

type subscriber[T any] struct {
	fn        func(T)
	cancelled atomic.Bool
}

func (s *subscribers[T]) add(fn func(T)) *subscriber[T] {
	sub := &subscriber[T]{fn: fn}
	s.mu.Lock()
	defer s.mu.Unlock()
	list := append(slices.Clone(s.all()), sub)
	s.list.Store(&list)
	return sub
}

// remove takes the subscriber off the list and returns how many are left.
func (s *subscribers[T]) remove(sub *subscriber[T]) int {
	sub.cancelled.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(s.all()), func(other *subscriber[T]) bool { return other == sub })
	s.list.Store(&list)
	return len(list)
}

// subscribe adds fn and returns what removes it again; the second call of that does nothing.
func (s *subscribers[T]) subscribe(fn func(T)) (cancel func()) {
	sub := s.add(fn)
	return func() { s.remove(sub) }
}

func (s *subscribers[T]) all() []*subscriber[T] {
	if p := s.list.Load(); p != nil {
		return *p
	}
	return nil
}

func (s *subscribers[T]) publish(v T) {
	for _, sub := range s.all() {
		if !sub.cancelled.Load() {
			sub.fn(v)
		}
	}
}

// keyedSubscribers are subscribers of one key each. A key without subscribers costs nothing.
type keyedSubscribers[K comparable, T any] struct {
	mu    sync.RWMutex
	byKey map[K]*subscribers[T]
}

func (k *keyedSubscribers[K, T]) subscribe(key K, fn func(T)) (cancel func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byKey == nil {
		k.byKey = make(map[K]*subscribers[T])
	}
	list := k.byKey[key]
	if list == nil {
		list = new(subscribers[T])
		k.byKey[key] = list
	}
	sub := list.add(fn)
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if list.remove(sub) == 0 && k.byKey[key] == list {
			delete(k.byKey, key)
		}
	}
}

func (k *keyedSubscribers[K, T]) publish(key K, v T) {
	k.mu.RLock()
	list := k.byKey[key]
	k.mu.RUnlock()
	if list != nil {
		list.publish(v)
	}
}
