package service

import (
	"context"
	"errors"
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
	for {
		sealed, revision, err := bus.KeyCheck(ctx, conn)
		if err != nil {
			return nil, err
		}
		if revision > 0 {
			if _, err := ring.Open(sealed, seal.ForKeyCheck()); err != nil {
				return nil, fmt.Errorf("PAIRGATE_MASTER_KEY: the secrets of this deployment were sealed with another key; "+
					"give that one, or add it behind the new one after a comma: %w", err)
			}
			if !ring.Stale(sealed) {
				return ring, nil
			}
		}
		if sealed, err = ring.Seal([]byte("pairgate"), seal.ForKeyCheck()); err != nil {
			return nil, fmt.Errorf("PAIRGATE_MASTER_KEY: %w", err)
		}
		if err := bus.WriteKeyCheck(ctx, conn, sealed, revision); !errors.Is(err, bus.ErrKeyCheckTaken) {
			return ring, err
		}
	}
}
