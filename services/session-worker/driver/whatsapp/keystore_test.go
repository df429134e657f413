package whatsapp_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"go.mau.fi/whatsmeow/types"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/session-worker/driver"
	"pairgate.dev/services/session-worker/driver/whatsapp"
	"pairgate.dev/services/session-worker/driver/whatsapp/keys"
)

// brokenKeys is a key store in which things go wrong.
type brokenKeys struct {
	*keys.Store
	// forgetful: notes are not kept.
	forgetful bool
	// noted, when not nil, is closed when a device was noted; then nothing is answered any more.
	noted chan struct{}
	// lost is what Hold returns.
	lost chan struct{}
	// held: another worker has the keys.
	held bool
}

func (b *brokenKeys) Note(ctx context.Context, id instance.ID, jid types.JID) error {
	if b.forgetful {
		return nil
	}
	return b.Store.Note(ctx, id, jid)
}

func (b *brokenKeys) Account(ctx context.Context, id instance.ID) (instance.Account, bool, error) {
	if b.noted != nil {
		close(b.noted)
		<-ctx.Done()
		return instance.Account{}, false, ctx.Err()
	}
	return b.Store.Account(ctx, id)
}

func (b *brokenKeys) Hold(ctx context.Context, id instance.ID) (func(), <-chan struct{}, error) {
	if b.held {
		return nil, nil, keys.ErrHeld
	}
	release, lost, err := b.Store.Hold(ctx, id)
	if b.lost != nil {
		lost = b.lost
	}
	return release, lost, err
}

// withKeys has the driver use keys that break the store it would use.
func withKeys(b *brokenKeys) func(*whatsapp.Options) {
	return func(o *whatsapp.Options) {
		b.Store = o.Keys.(*keys.Store)
		o.Keys = b
	}
}

// A worker dies after the keys were stored and before anybody was told: the next
// one finds the account, and logs in with it.
func TestCrashBetweenStoringAndTelling(t *testing.T) {
	l := startLab(t)
	m := newMessenger(t, l)
	store := filepath.Join(t.TempDir(), "keys")
	broken := &brokenKeys{noted: make(chan struct{})}
	d := newDriver(t, l, store, withKeys(broken))
	phone := newPhone(t, m, labapi.NewAccount{})
	s := pair(d, driver.PairParams{})
	must(t, m.Scan(t.Context(), phone, await[instance.CodeIssued](t, s).Text))
	<-broken.noted
	s.Close()
	must(t, d.Close())
	for len(s.events) > 0 {
		if e := <-s.events; e == (instance.Scanned{}) {
			t.Fatal("the crash came too late")
		}
	}

	d = newDriver(t, l, store)
	account, ok, err := d.Account(t.Context(), s.id)
	if err != nil || !ok || account.Phone != phone {
		t.Fatalf("the link was forgotten: %v, %v", ok, err)
	}
	again := login(d, driver.Common{Instance: s.id})
	await[instance.Connected](t, again)
	again.Close()
	devices(t, m, phone, 1)
	must(t, d.Close())
	noneLeft(t)
}

// A device without an instance is unlinked at the next start of a driver.
func TestOrphansAreUnlinked(t *testing.T) {
	l := startLab(t)
	m := newMessenger(t, l)
	store := filepath.Join(t.TempDir(), "keys")
	d := newDriver(t, l, store, withKeys(&brokenKeys{forgetful: true}), func(o *whatsapp.Options) { o.LeaveOrphans = true })
	phone := newPhone(t, m, labapi.NewAccount{})
	s := pair(d, driver.PairParams{})
	must(t, m.Scan(t.Context(), phone, await[instance.CodeIssued](t, s).Text))
	await[instance.SessionEvent](t, s)
	s.Close()
	must(t, d.Close())
	devices(t, m, phone, 1)

	d = newDriver(t, l, store)
	devices(t, m, phone, 0)
	eventually(t, "the orphan to be dropped", func() error {
		orphans, err := d.keys.Orphans(t.Context())
		if err == nil && len(orphans) > 0 {
			err = errors.New("it is still there")
		}
		return err
	})
	must(t, d.Close())
	noneLeft(t)
}

// Linked anew, an instance leaves one device on the phone.
func TestRelinkingUnlinksTheDeviceBefore(t *testing.T) {
	_, m, d := setup(t)
	phone := newPhone(t, m, labapi.NewAccount{})
	first := linkWith(t, m, d, driver.PairParams{}, phone)
	first.Close()
	second := linkWith(t, m, d, driver.PairParams{Common: driver.Common{Instance: first.id}}, phone)
	devices(t, m, phone, 1)
	must(t, second.Logout(t.Context()))
	devices(t, m, phone, 0)
	second.Close()
}

// A session that has lost its keys to another worker ends at once; one that cannot get them waits its turn.
func TestKeysHaveOneHolder(t *testing.T) {
	l := startLab(t)
	m := newMessenger(t, l)
	broken := &brokenKeys{lost: make(chan struct{})}
	d := newDriver(t, l, filepath.Join(t.TempDir(), "keys"), withKeys(broken))
	s := linkWith(t, m, d, driver.PairParams{}, newPhone(t, m, labapi.NewAccount{}))
	twin := login(d, driver.Common{Instance: s.id})
	closes(t, twin, instance.ReasonInternal)
	close(broken.lost)
	closes(t, s, instance.ReasonInternal)
	broken.held = true
	closes(t, login(d, driver.Common{Instance: s.id}), instance.ReasonInternal)
	must(t, d.Close())
	noneLeft(t)
}
