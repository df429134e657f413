package store

import (
	"context"
	"errors"
	"strings"

	"pairgate.dev/pkg/instance"
)

// ErrTaken: the key is claimed for another instance, or used up.
var ErrTaken = errors.New("store: claimed for another instance")

// usedUp stands before the id in the claim of a number whose instance is
// deleted: numbers are never given again.
const usedUp = "used:"

// Claim is an index key held for an instance: its name, its number or its token.
// It is made before the record that uses it is written, and freed when the
// record no longer uses it. The revision tells one holding from the next.
type Claim struct {
	Key      string
	Revision uint64
}

// Take claims a key for an instance. A key that is held for the same instance
// is written again: that gives it a new revision and a new age, so that whoever
// is about to free it by the old revision can not.
func Take(ctx context.Context, b Bucket, key string, id instance.ID) (Claim, error) {
	revision, holds, err := Create(ctx, b, key, []byte(id))
	for errors.Is(err, ErrExists) {
		if holder, used := Holder(holds); used || holder != id {
			return Claim{}, ErrTaken
		}
		revision, err = b.Put(ctx, key, []byte(id), holds.Revision)
		if errors.Is(err, ErrConflict) {
			revision, holds, err = Create(ctx, b, key, []byte(id))
		}
	}
	return Claim{Key: key, Revision: revision}, err
}

// Look returns the claim on a key and its holder; ok is false when there is none.
func Look(ctx context.Context, b Bucket, key string) (c Claim, holder instance.ID, ok bool, err error) {
	cell, err := b.Get(ctx, key)
	if err != nil || !cell.Present {
		return Claim{}, "", false, err
	}
	holder, _ = Holder(cell)
	return Claim{Key: key, Revision: cell.Revision}, holder, true, nil
}

// Free gives a claim up. That somebody wrote the key meanwhile is no error: then it is theirs.
func Free(ctx context.Context, b Bucket, c Claim) error {
	if err := b.Remove(ctx, c.Key, c.Revision); !errors.Is(err, ErrConflict) {
		return err
	}
	return nil
}

// FreeOf gives up the claim that id has on key, if it has one. It is for claims
// whose write was not answered.
func FreeOf(ctx context.Context, b Bucket, key string, id instance.ID) error {
	cell, err := b.Get(ctx, key)
	if err != nil || !cell.Present {
		return err
	}
	if holder, used := Holder(cell); used || holder != id {
		return nil
	}
	return Free(ctx, b, Claim{Key: key, Revision: cell.Revision})
}

// UseUp marks the claim of a number as one of a deleted instance. Repeating it does nothing.
func UseUp(ctx context.Context, b Bucket, key string, id instance.ID) error {
	for {
		cell, err := b.Get(ctx, key)
		if err != nil {
			return err
		}
		if holder, used := Holder(cell); cell.Present && (used || holder != id) {
			return nil
		}
		_, err = b.Put(ctx, key, []byte(usedUp+string(id)), cell.Revision)
		if !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

// Holder returns for whom a claim's key is held; used means that the instance
// is deleted and the key is held for ever.
func Holder(c Cell) (id instance.ID, used bool) {
	text, used := strings.CutPrefix(string(c.Value), usedUp)
	return instance.ID(text), used
}
