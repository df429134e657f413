// Package codes finds who shows a code that a phone has read, and tells codes that
// are over from those that never were.
package codes

import (
	"crypto/sha256"
	"time"
)

// keepDead is how many codes that are over are remembered.
const keepDead = 1 << 16

// Digest stands for the text of a code: the text itself is kept nowhere.
type Digest [16]byte

// Of returns the digest of a code's text.
func Of(text string) Digest {
	sum := sha256.Sum256([]byte(text))
	return Digest(sum[:16])
}

// Index has the codes that T shows, by digest. Its owner guards it.
type Index[T any] struct {
	live map[Digest]Shown[T]
	dead map[Digest]struct{}
	// order has the dead ones from the oldest on, as a ring.
	order []Digest
	next  int
}

// Shown is a code that is shown.
type Shown[T any] struct {
	By      T
	Expires time.Time
}

// NewIndex returns an index without codes.
func NewIndex[T any]() Index[T] {
	return Index[T]{live: map[Digest]Shown[T]{}, dead: map[Digest]struct{}{}}
}

// Show puts a code in.
func (x *Index[T]) Show(d Digest, by T, expires time.Time) { x.live[d] = Shown[T]{by, expires} }

// Find returns a code that was not buried; it may have expired.
func (x *Index[T]) Find(d Digest) (Shown[T], bool) {
	shown, ok := x.live[d]
	return shown, ok
}

// Bury takes a code out and remembers that it existed.
func (x *Index[T]) Bury(d Digest) {
	delete(x.live, d)
	if _, ok := x.dead[d]; ok {
		return
	}
	x.dead[d] = struct{}{}
	if len(x.order) < keepDead {
		x.order = append(x.order, d)
		return
	}
	delete(x.dead, x.order[x.next])
	x.order[x.next] = d
	x.next = (x.next + 1) % keepDead
}

// Buried says whether the code was in and is over.
func (x *Index[T]) Buried(d Digest) bool {
	_, ok := x.dead[d]
	return ok
}
