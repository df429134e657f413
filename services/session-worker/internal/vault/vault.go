// Package vault keeps the small credentials of sessions, sealed, in the bucket
// VAULT, where every worker that holds the same master key can use them.
//
// The stream that fences events does not fence this bucket. So every owner
// begins with a look at the entry, which writes it anew as it was: from then on
// the revision that an earlier owner remembers is old and its writes fail.
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

// Load returns what is stored for the instance and makes writes of its earlier
// owners fail. ok is false when nothing is stored.
func (v *Vault) Load(ctx context.Context, provider instance.Provider, id instance.ID) (secret []byte, ok bool, err error) {
	for {
		entry, err := v.bucket.Get(ctx, bus.VaultKey(id))
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			v.remember(id, 0)
			return nil, false, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("vault: read: %w", err)
		}
		revision, err := v.bucket.Update(ctx, bus.VaultKey(id), entry.Value(), entry.Revision())
		if bus.IsStale(err) {
			continue // Somebody wrote between our read and our write.
		}
		if err != nil {
			return nil, false, fmt.Errorf("vault: claim: %w", err)
		}
		secret, err := v.ring.Open(entry.Value(), owner(provider, id))
		if err != nil {
			return nil, false, fmt.Errorf("vault: open: %w", err)
		}
		v.remember(id, revision)
		return secret, true, nil
	}
}

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
	if revision == 0 {
		revision, err = v.bucket.Create(ctx, bus.VaultKey(id), sealed)
	} else {
		revision, err = v.bucket.Update(ctx, bus.VaultKey(id), sealed, revision)
	}
	if err != nil {
		// A write whose answer was lost may have been stored, and then its retry is refused.
		if entry, readErr := v.bucket.Get(ctx, bus.VaultKey(id)); readErr == nil && bytes.Equal(entry.Value(), sealed) {
			revision, err = entry.Revision(), nil
		}
	}
	switch {
	case bus.IsStale(err), errors.Is(err, jetstream.ErrKeyExists):
		return ErrTakenOver
	case err != nil:
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
