// Package vault keeps the small credentials of sessions, sealed, in the bucket
// VAULT, where every worker that holds the same master key can use them.
//
// The stream that fences events does not fence this bucket. So every owner
// begins with a look at the entry, which writes it anew as it was, empty where
// there was none: from then on the revision that an earlier owner remembers is
// old and its writes fail.
package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
)

// ErrTakenOver says that another worker owns the instance by now; nothing was stored.
var ErrTakenOver = errors.New("vault: another worker has taken the instance over")

// ErrNotLoaded says that Store was called for an instance that was not loaded first.
var ErrNotLoaded = errors.New("vault: the instance was not loaded")

// Vault implements driver.Vault. Its methods may be called from many goroutines.
type Vault struct {
	bucket jetstream.KeyValue
	ring   *seal.Ring

	mu        sync.Mutex
	revisions map[instance.ID]uint64
}

// New returns a vault over the bucket, sealing with the ring.
func New(bucket jetstream.KeyValue, ring *seal.Ring) *Vault {
	return &Vault{bucket: bucket, ring: ring, revisions: map[instance.ID]uint64{}}
}

func owner(provider instance.Provider, id instance.ID) seal.AAD {
	return seal.For(seal.PurposeCredentials, string(provider)+"/"+string(id))
}

// Load returns what is stored for the instance; ok is false when nothing is. The
// first Load makes writes of earlier owners fail. Further ones fail with
// ErrTakenOver when another worker has looked at the entry since; only Drop makes
// the next Load a first one again.
func (v *Vault) Load(ctx context.Context, provider instance.Provider, id instance.ID) (secret []byte, ok bool, err error) {
	sealed, err := v.read(ctx, id)
	if err != nil || len(sealed) == 0 {
		return nil, false, err
	}
	if secret, err = v.ring.Open(sealed, owner(provider, id)); err != nil {
		return nil, false, fmt.Errorf("vault: open: %w", err)
	}
	return secret, true, nil
}

// read returns the entry, and claims it unless it is claimed by us.
func (v *Vault) read(ctx context.Context, id instance.ID) (sealed []byte, err error) {
	claimed, ours := v.revision(id)
	for {
		var found uint64
		entry, err := v.bucket.Get(ctx, bus.VaultKey(id))
		switch {
		case err == nil:
			sealed, found = entry.Value(), entry.Revision()
		case !errors.Is(err, jetstream.ErrKeyNotFound):
			return nil, fmt.Errorf("vault: read: %w", err)
		}
		if ours {
			if found != claimed {
				return nil, ErrTakenOver
			}
			return sealed, nil
		}
		revision, err := v.write(ctx, id, sealed, found)
		if stale(err) {
			sealed = nil
			continue // Somebody wrote between our read and our write.
		}
		if err != nil {
			return nil, fmt.Errorf("vault: claim: %w", err)
		}
		v.remember(id, revision)
		return sealed, nil
	}
}

// write replaces the entry of the revision, 0 for none.
func (v *Vault) write(ctx context.Context, id instance.ID, sealed []byte, revision uint64) (uint64, error) {
	if revision == 0 {
		return v.bucket.Create(ctx, bus.VaultKey(id), sealed)
	}
	return v.bucket.Update(ctx, bus.VaultKey(id), sealed, revision)
}

func stale(err error) bool { return bus.IsStale(err) || errors.Is(err, jetstream.ErrKeyExists) }

// Store replaces what is stored. It fails with ErrTakenOver when another worker
// has looked at the entry since Load, and with ErrNotLoaded without a Load.
func (v *Vault) Store(ctx context.Context, provider instance.Provider, id instance.ID, secret []byte) error {
	revision, ok := v.revision(id)
	if !ok {
		return ErrNotLoaded
	}
	sealed, err := v.ring.Seal(secret, owner(provider, id))
	if err != nil {
		return fmt.Errorf("vault: seal: %w", err)
	}
	revision, err = v.write(ctx, id, sealed, revision)
	if err != nil {
		// A write whose answer was lost may have been stored, and then its retry is refused.
		if entry, readErr := v.bucket.Get(ctx, bus.VaultKey(id)); readErr == nil && bytes.Equal(entry.Value(), sealed) {
			revision, err = entry.Revision(), nil
		}
	}
	switch {
	case stale(err):
		return ErrTakenOver
	case err != nil:
		v.Drop(id) // It may be stored or not: the next Load finds out.
		return fmt.Errorf("vault: write: %w", err)
	}
	v.remember(id, revision)
	return nil
}

// Delete forgets what is stored; it succeeds when there is nothing, and fails
// with ErrTakenOver like Store.
func (v *Vault) Delete(ctx context.Context, _ instance.Provider, id instance.ID) error {
	revision, ok := v.revision(id)
	if !ok {
		return ErrNotLoaded
	}
	if revision == 0 {
		return nil
	}
	err := v.bucket.Purge(ctx, bus.VaultKey(id), jetstream.LastRevision(revision))
	if err != nil {
		if _, readErr := v.bucket.Get(ctx, bus.VaultKey(id)); errors.Is(readErr, jetstream.ErrKeyNotFound) {
			err = nil
		}
	}
	switch {
	case bus.IsStale(err):
		return ErrTakenOver
	case err != nil:
		return fmt.Errorf("vault: delete: %w", err)
	}
	v.remember(id, 0)
	return nil
}

// Drop forgets what the vault remembers of an instance that this worker no longer owns.
func (v *Vault) Drop(id instance.ID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.revisions, id)
}

func (v *Vault) remember(id instance.ID, revision uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.revisions[id] = revision
}

func (v *Vault) revision(id instance.ID) (uint64, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r, ok := v.revisions[id]
	return r, ok
}
