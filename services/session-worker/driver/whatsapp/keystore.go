package whatsapp

import (
	"context"
	"errors"
	"sync"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/session-worker/driver/whatsapp/keys"
)

// Keys is what the driver asks of its key store; a *keys.Store is one.
type Keys interface {
	// Hold makes this process the only one that uses the keys of the instance until
	// release is called; lost is closed when that ends early.
	Hold(ctx context.Context, id instance.ID) (release func(), lost <-chan struct{}, err error)
	// NewDevice returns keys that were never used and are not stored.
	NewDevice() *store.Device
	// Note says that the instance is about to be linked as jid, before the library stores the device.
	Note(ctx context.Context, id instance.ID, jid types.JID) error
	// Device returns the device of the instance's newest note that has one.
	Device(ctx context.Context, id instance.ID) (*store.Device, bool, error)
	// Account returns the account of that device.
	Account(ctx context.Context, id instance.ID) (instance.Account, bool, error)
	// Forget deletes the devices and notes of the instance.
	Forget(ctx context.Context, id instance.ID) error
	// Orphans returns the devices that are no instance's.
	Orphans(ctx context.Context) ([]*store.Device, error)
	// Drop deletes one device.
	Drop(ctx context.Context, device *store.Device) error
}

var _ Keys = (*keys.Store)(nil)

// errReleased is what the library is told that wants to store keys after its session was closed.
var errReleased = errors.New("the session is closed")

// errKept is what the library is told that wants to delete a device. It leaves
// the device as it is then, which others of its goroutines may be reading.
var errKept = errors.New("keys are kept until they are forgotten")

// keeper stands between the library and the key store for one connection. It
// never deletes a device, and stores none once it was released.
type keeper struct {
	store.DeviceContainer
	mu       sync.RWMutex
	released bool
}

// keep makes the device's container one that keeps.
func keep(device *store.Device) *keeper {
	k := &keeper{DeviceContainer: device.Container}
	device.Container = k
	return k
}

// PutDevice stores the device.
func (k *keeper) PutDevice(ctx context.Context, device *store.Device) error {
	return k.use(func() error {
		err := k.DeviceContainer.PutDevice(ctx, device)
		// The first call replaces the container by its own.
		device.Container = k
		return err
	})
}

// DeleteDevice leaves the device where it is, and returns errKept.
func (k *keeper) DeleteDevice(context.Context, *store.Device) error { return errKept }

// use runs f unless the keeper is released, and keeps release waiting meanwhile.
func (k *keeper) use(f func() error) error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.released {
		return errReleased
	}
	return f()
}

// release waits for what is being stored and lets nothing more be.
func (k *keeper) release() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.released = true
}
