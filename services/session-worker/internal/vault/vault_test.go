package vault_test

import (
	"bytes"
	"errors"
	"testing"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/services/session-worker/internal/vault"
)

const id = instance.ID("0190a6c1-0000-7000-8000-000000000001")

// owners returns a function that makes the vault of another worker, with the same master key.
func owners(t *testing.T) (next func() *vault.Vault, raw func() []byte) {
	t.Helper()
	conn := bustest.Conn(t, bustest.Server(t))
	bucket, err := conn.KeyValue(t.Context(), bus.BucketVault)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.ParseRing(seal.NewMasterKey())
	if err != nil {
		t.Fatal(err)
	}
	return func() *vault.Vault { return vault.New(bucket, ring) }, func() []byte {
		entry, err := bucket.Get(t.Context(), bus.VaultKey(id))
		if err != nil {
			t.Fatal(err)
		}
		return entry.Value()
	}
}

func load(t *testing.T, v *vault.Vault, want string) {
	t.Helper()
	secret, ok, err := v.Load(t.Context(), instance.Simulated, id)
	if err != nil || ok != (want != "") || string(secret) != want {
		t.Fatalf("loaded %d bytes, %v, %v", len(secret), ok, err)
	}
}

func store(t *testing.T, v *vault.Vault, secret string) {
	t.Helper()
	if err := v.Store(t.Context(), instance.Simulated, id, []byte(secret)); err != nil {
		t.Fatal(err)
	}
}

func TestVaultKeepsSealedSecrets(t *testing.T) {
	next, raw := owners(t)
	v := next()
	if err := v.Store(t.Context(), instance.Simulated, id, []byte("early")); !errors.Is(err, vault.ErrNotLoaded) {
		t.Fatalf("a store without a look: %v", err)
	}
	load(t, v, "")
	store(t, v, "secret one")
	if bytes.Contains(raw(), []byte("secret one")) {
		t.Fatal("the secret is stored as it is")
	}
	store(t, v, "secret two")
	load(t, v, "secret two")
	load(t, next(), "secret two")
	v.Drop(id)
	load(t, v, "secret two")
	if err := v.Delete(t.Context(), instance.Simulated, id); err != nil {
		t.Fatal(err)
	}
	if err := v.Delete(t.Context(), instance.Simulated, id); err != nil {
		t.Fatalf("a second delete: %v", err)
	}
	load(t, v, "")
	store(t, v, "secret three")
	load(t, v, "secret three")
}

// The stream that fences events does not fence this bucket: a new owner's look does.
func TestAnEarlierOwnersWritesFail(t *testing.T) {
	next, _ := owners(t)
	old := next()
	load(t, old, "")
	store(t, old, "mine")
	load(t, next(), "mine")
	if err := old.Store(t.Context(), instance.Simulated, id, []byte("late")); !errors.Is(err, vault.ErrTakenOver) {
		t.Fatalf("a late store: %v", err)
	}
	if err := old.Delete(t.Context(), instance.Simulated, id); !errors.Is(err, vault.ErrTakenOver) {
		t.Fatalf("a late delete: %v", err)
	}
	load(t, next(), "mine")
}

// An owner that was frozen while a phone linked must not leave keys behind for
// the next one, who has found none and shows another code.
func TestAnEarlierOwnersFirstWriteFails(t *testing.T) {
	next, _ := owners(t)
	old := next()
	load(t, old, "")
	now := next()
	load(t, now, "")
	if _, _, err := old.Load(t.Context(), instance.Simulated, id); !errors.Is(err, vault.ErrTakenOver) {
		t.Fatalf("a late look: %v", err)
	}
	if err := old.Store(t.Context(), instance.Simulated, id, []byte("late")); !errors.Is(err, vault.ErrTakenOver) {
		t.Fatalf("a late store: %v", err)
	}
	load(t, now, "")
	store(t, now, "mine")
	old.Drop(id)
	load(t, old, "mine")
}

func TestASecretOpensForItsOwnInstanceOnly(t *testing.T) {
	next, _ := owners(t)
	v := next()
	load(t, v, "")
	store(t, v, "mine")
	if _, _, err := next().Load(t.Context(), instance.WhatsApp, id); !errors.Is(err, seal.ErrRefused) {
		t.Fatalf("opened for another provider: %v", err)
	}
}
