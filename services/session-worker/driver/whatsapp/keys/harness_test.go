package keys_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.uber.org/zap/zaptest"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/session-worker/driver/whatsapp/keys"
	"pairgate.dev/services/session-worker/driver/whatsapp/keys/pgtest"
)

// cluster is one PostgreSQL server for all tests of the package.
var cluster *pgtest.Cluster

func TestMain(m *testing.M) {
	var err error
	if cluster, err = pgtest.New(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := cluster.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// onBoth runs a test on a fresh database of each kind.
func onBoth(t *testing.T, run func(t *testing.T, dsn string)) {
	t.Run("SQLite", func(t *testing.T) { run(t, filepath.Join(t.TempDir(), "whatsapp.db")) })
	t.Run("PostgreSQL", func(t *testing.T) { run(t, cluster.Database(t)) })
}

func open(t *testing.T, dsn string) *keys.Store {
	t.Helper()
	s, err := keys.Open(t.Context(), keys.Options{DSN: dsn, Log: zaptest.NewLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, s) })
	return s
}

func shut(t *testing.T, s *keys.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

const (
	one   = instance.ID("0198a5b2-0000-7000-8000-000000000001")
	other = instance.ID("0198a5b2-0000-7000-8000-000000000002")
)

func device(n uint16) types.JID {
	return types.JID{User: "15550001", Device: n, Server: types.DefaultUserServer}
}

// put stores a device as the library does when it is linked.
func put(t *testing.T, s *keys.Store, jid types.JID) *store.Device {
	t.Helper()
	d := s.NewDevice()
	d.ID, d.PushName = &jid, "Ann"
	d.Account = &waAdv.ADVSignedDeviceIdentity{Details: []byte{1}, AccountSignature: make([]byte, 64),
		AccountSignatureKey: make([]byte, 32), DeviceSignature: make([]byte, 64)}
	if err := d.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func note(t *testing.T, s *keys.Store, id instance.ID, jid types.JID) {
	t.Helper()
	if err := s.Note(t.Context(), id, jid); err != nil {
		t.Fatal(err)
	}
}

// link notes and stores a device.
func link(t *testing.T, s *keys.Store, id instance.ID, jid types.JID) *store.Device {
	t.Helper()
	note(t, s, id, jid)
	return put(t, s, jid)
}

// wantDevice checks which keys the instance has; nil for none.
func wantDevice(t *testing.T, s *keys.Store, id instance.ID, want *store.Device) {
	t.Helper()
	got, ok, err := s.Device(t.Context(), id)
	switch {
	case err != nil:
		t.Fatal(err)
	case ok != (want != nil):
		t.Fatalf("device found: %v, want %v", ok, want != nil)
	case ok && (*got.ID != *want.ID || *got.NoiseKey.Priv != *want.NoiseKey.Priv || *got.IdentityKey.Priv != *want.IdentityKey.Priv):
		t.Fatalf("got device %s, want %s with the keys that were stored last", got.ID, want.ID)
	}
	account, ok, err := s.Account(t.Context(), id)
	switch {
	case err != nil:
		t.Fatal(err)
	case want == nil && ok:
		t.Fatalf("an account without keys: %+v", account)
	case want != nil && account != (instance.Account{ID: want.ID.String(), Phone: want.ID.User, Name: "Ann"}):
		t.Fatalf("account %+v, want that of %s", account, want.ID)
	}
}

func wantOrphans(t *testing.T, s *keys.Store, want ...*store.Device) {
	t.Helper()
	got, err := s.Orphans(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d orphans, want %d", len(got), len(want))
	}
	for i, d := range want {
		if *got[i].ID != *d.ID || *got[i].NoiseKey.Priv != *d.NoiseKey.Priv {
			t.Fatalf("orphan %d is %s, want %s", i, got[i].ID, d.ID)
		}
	}
}
