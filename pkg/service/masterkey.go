package service

import (
	"context"
	"fmt"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/seal"
)

// OpenRing parses the master keys and checks that they are this deployment's. The
// first service that ever starts seals a known text in SETTINGS; all later ones
// must be able to open it, because a service with another key would find tokens,
// webhook secrets and credentials unreadable one by one. When the first key is a
// new one, the text is sealed anew with it.
//
// Errors name PAIRGATE_MASTER_KEY and what to do, and hold no key.
func OpenRing(ctx context.Context, conn *bus.Conn, keys seal.Secret) (*seal.Ring, error) {
	ring, err := seal.ParseRing(keys)
	if err != nil {
		return nil, fmt.Errorf("PAIRGATE_MASTER_KEY: %w", err)
	}
	settings, err := conn.KeyValue(ctx, bus.BucketSettings)
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", bus.BucketSettings, err)
	}
	write := func(revision uint64) error {
		sealed, err := ring.Seal([]byte("pairgate"), seal.ForKeyCheck())
		if err != nil {
			return fmt.Errorf("PAIRGATE_MASTER_KEY: %w", err)
		}
		if revision == 0 {
			_, err = settings.Create(ctx, bus.KeyCheckKey, sealed)
		} else {
			_, err = settings.Update(ctx, bus.KeyCheckKey, sealed, revision)
		}
		if err != nil {
			return fmt.Errorf("bucket %s: %w", bus.BucketSettings, err)
		}
		return nil
	}
	for {
		entry, err := settings.Get(ctx, bus.KeyCheckKey)
		if bus.IsKeyMissing(err) {
			err = write(0)
			if bus.IsStale(err) {
				continue // Another service was first.
			}
			return ring, err
		}
		if err != nil {
			return nil, fmt.Errorf("bucket %s: %w", bus.BucketSettings, err)
		}
		if _, err := ring.Open(entry.Value(), seal.ForKeyCheck()); err != nil {
			return nil, fmt.Errorf("PAIRGATE_MASTER_KEY: the secrets of this deployment were sealed with another key; "+
				"give that one, or add it behind the new one after a comma: %w", err)
		}
		if ring.Stale(entry.Value()) {
			if err := write(entry.Revision()); err != nil && !bus.IsStale(err) {
				return nil, err
			}
		}
		return ring, nil
	}
}
