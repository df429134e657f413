package store

import (
	"context"
	"errors"
)

// ErrExists: the key holds a value already.
var ErrExists = errors.New("store: the key exists")

// Create writes a key that holds nothing, and returns ErrExists and what it
// holds otherwise.
func Create(ctx context.Context, b Bucket, key string, value []byte) (revision uint64, holds Cell, err error) {
	// Most keys are new: try without reading first.
	revision, err = b.Put(ctx, key, value, 0)
	for errors.Is(err, ErrConflict) {
		holds, err = b.Get(ctx, key)
		if err != nil {
			return 0, holds, err
		}
		if holds.Present {
			return 0, holds, ErrExists
		}
		revision, err = b.Put(ctx, key, value, holds.Revision)
	}
	return revision, holds, err
}
