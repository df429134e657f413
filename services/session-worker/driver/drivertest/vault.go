package drivertest

import (
	"context"
	"slices"
	"sync"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/session-worker/driver"
)

// MemoryVault is a driver.Vault in memory, for tests. The zero value is empty.
type MemoryVault struct {
	mu      sync.Mutex
	secrets map[vaultKey][]byte
	refuse  error
}

type vaultKey struct {
	provider instance.Provider
	id       instance.ID
}

var _ driver.Vault = (*MemoryVault)(nil)

// Refuse lets Store fail with err from now on, as for a worker that lost the instance; nil ends it.
func (v *MemoryVault) Refuse(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.refuse = err
}

// Load implements driver.Vault.
func (v *MemoryVault) Load(ctx context.Context, p instance.Provider, id instance.ID) ([]byte, bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	secret, ok := v.secrets[vaultKey{p, id}]
	return slices.Clone(secret), ok, ctx.Err()
}

// Store implements driver.Vault.
func (v *MemoryVault) Store(ctx context.Context, p instance.Provider, id instance.ID, secret []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.refuse != nil {
		return v.refuse
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if v.secrets == nil {
		v.secrets = map[vaultKey][]byte{}
	}
	v.secrets[vaultKey{p, id}] = slices.Clone(secret)
	return nil
}

// Delete implements driver.Vault.
func (v *MemoryVault) Delete(_ context.Context, p instance.Provider, id instance.ID) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.secrets, vaultKey{p, id})
	return nil
}
