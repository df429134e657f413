package simulated

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/simwire"
)

// keys is what the vault holds for an instance.
type keys struct {
	Version int             `json:"version"`
	Device  string          `json:"device"`
	Key     string          `json:"key"`
	Account simwire.Account `json:"account"`
}

const keysVersion = 1

var errBadKeys = errors.New("simulated: the stored keys cannot be read")

// account returns the domain's view of the account.
func (k keys) account() instance.Account {
	return instance.Account{ID: k.Account.ID, Phone: k.Account.Phone, Name: k.Account.Name}
}

func (k keys) encode() ([]byte, error) { return json.Marshal(k) }

// decodeKeys reads what encode wrote; the error says nothing of the content.
func decodeKeys(secret []byte) (keys, error) {
	var k keys
	if err := json.Unmarshal(secret, &k); err != nil || k.Version != keysVersion || k.Device == "" || k.Key == "" {
		return keys{}, errBadKeys
	}
	return k, nil
}

// load returns the stored keys; ok is false when there are none.
func (d *Driver) load(ctx context.Context, id instance.ID) (k keys, ok bool, err error) {
	secret, ok, err := d.opts.Vault.Load(ctx, instance.Simulated, id)
	if err != nil {
		return keys{}, false, fmt.Errorf("simulated: cannot read the vault: %w", err)
	}
	if !ok {
		return keys{}, false, nil
	}
	if k, err = decodeKeys(secret); err != nil {
		return keys{}, false, err
	}
	return k, true, nil
}

// store replaces the stored keys and returns what was there before: nil for nothing.
func (d *Driver) store(ctx context.Context, id instance.ID, k keys) (before []byte, err error) {
	// The vault lets only him store who has loaded: so a worker that lost the instance is refused.
	before, ok, err := d.opts.Vault.Load(ctx, instance.Simulated, id)
	if err != nil {
		return nil, err
	}
	if !ok {
		before = nil
	}
	secret, err := k.encode()
	if err != nil {
		return nil, err
	}
	return before, d.opts.Vault.Store(ctx, instance.Simulated, id, secret)
}

// restore puts back what store replaced.
func (d *Driver) restore(ctx context.Context, id instance.ID, before []byte) error {
	if before == nil {
		return d.opts.Vault.Delete(ctx, instance.Simulated, id)
	}
	return d.opts.Vault.Store(ctx, instance.Simulated, id, before)
}
