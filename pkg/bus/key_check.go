package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrKeyCheckTaken says that somebody else has written the text meanwhile.
var ErrKeyCheckTaken = errors.New("bus: somebody else was first")

// KeyCheck returns the sealed text, in SETTINGS, by which a service finds out that
// its master key is not the deployment's; revision 0 when there is none yet.
func KeyCheck(ctx context.Context, c *Conn) (sealed []byte, revision uint64, err error) {
	settings, err := c.KeyValue(ctx, BucketSettings)
	if err != nil {
		return nil, 0, fmt.Errorf("bucket %s: %w", BucketSettings, err)
	}
	entry, err := settings.Get(ctx, KeyCheckKey)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("bucket %s: %w", BucketSettings, err)
	}
	return entry.Value(), entry.Revision(), nil
}

// WriteKeyCheck replaces the text of that revision; 0 for the first. The error is
// ErrKeyCheckTaken when it has another revision by now.
func WriteKeyCheck(ctx context.Context, c *Conn, sealed []byte, revision uint64) error {
	settings, err := c.KeyValue(ctx, BucketSettings)
	if err != nil {
		return fmt.Errorf("bucket %s: %w", BucketSettings, err)
	}
	if revision == 0 {
		_, err = settings.Create(ctx, KeyCheckKey, sealed)
	} else {
		_, err = settings.Update(ctx, KeyCheckKey, sealed, revision)
	}
	switch {
	case IsStale(err), errors.Is(err, jetstream.ErrKeyExists):
		return ErrKeyCheckTaken
	case err != nil:
		return fmt.Errorf("bucket %s: %w", BucketSettings, err)
	}
	return nil
}
