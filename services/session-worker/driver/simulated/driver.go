// Package simulated is the driver of the simulated messenger, which the lab
// emulates: for demonstrations, tests and load, without an account anywhere.
//
// All sessions of a driver share one TCP connection. It is dialled by the first
// session that needs it and again after it was lost; its loss closes every
// session that ran over it. An open session is an entry in a map: goroutines
// exist only while one is being opened or its keys are being stored.
//
// Keys live in the worker's vault. They are stored before the lab is told that
// the device may be linked, and a link that fails before that takes them back.
// Where the connection was lost right between, keys may be left of a device that
// is or is not linked: a login finds out, and the next link replaces it.
package simulated

import (
	"context"
	"errors"
	"sync"
	"time"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/session-worker/driver"
)

// Options are what a Driver is made of.
type Options struct {
	// Endpoint is the lab's address for the simulated messenger, host:port on loopback.
	Endpoint string
	// Vault keeps the keys.
	Vault driver.Vault
	// Version is the client version shown to the messenger, one to four numbers
	// between dots; empty for DefaultVersion.
	Version string
	// AnswerTimeout is how long the messenger may take for an answer; 0 for 15 s.
	AnswerTimeout time.Duration
	// Keepalive is the time between two pings; the connection is given up after
	// three times as long without a word. 0 for 5 s.
	Keepalive time.Duration
}

// DefaultVersion is the client version of this driver.
const DefaultVersion = "1.0.0"

const defaultDeviceName = "Pairgate"

// Driver implements driver.Driver for instance.Simulated.
type Driver struct {
	opts Options
	// outboxLimit is what may wait to be sent, in bytes, before the lab counts as stuck.
	outboxLimit int
	// ctx ends when the driver is closed; dialling depends on it, not on the session that began it.
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	link    *uplink
	dialing *dialing
}

var _ driver.Driver = (*Driver)(nil)

// New returns a driver. It dials nothing yet; an error says which option is wrong.
func New(o Options) (*Driver, error) {
	if err := CheckEndpoint(o.Endpoint); err != nil {
		return nil, err
	}
	if o.Vault == nil {
		return nil, errors.New("simulated: no vault")
	}
	if o.Version == "" {
		o.Version = DefaultVersion
	}
	if o.AnswerTimeout <= 0 {
		o.AnswerTimeout = 15 * time.Second
	}
	if o.Keepalive <= 0 {
		o.Keepalive = 5 * time.Second
	}
	d := &Driver{opts: o, outboxLimit: 16 << 20}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d, nil
}

// Provider returns instance.Simulated.
func (d *Driver) Provider() instance.Provider { return instance.Simulated }

// Account implements driver.Driver.
func (d *Driver) Account(ctx context.Context, id instance.ID) (instance.Account, bool, error) {
	k, ok, err := d.load(ctx, id)
	if err != nil || !ok {
		return instance.Account{}, false, err
	}
	return k.account(), true, nil
}

// Pair implements driver.Driver.
func (d *Driver) Pair(ctx context.Context, p driver.PairParams, sink driver.Sink) driver.Session {
	return d.open(ctx, p.Common, sink, pairing(p))
}

// Login implements driver.Driver.
func (d *Driver) Login(ctx context.Context, p driver.LoginParams, sink driver.Sink) driver.Session {
	return d.open(ctx, p.Common, sink, login(p))
}

// Forget implements driver.Driver.
func (d *Driver) Forget(ctx context.Context, id instance.ID) error {
	return d.opts.Vault.Delete(ctx, instance.Simulated, id)
}

// Close implements driver.Driver. Sessions that were left open close with connection_closed.
func (d *Driver) Close() error {
	d.mu.Lock()
	d.closed = true
	link := d.link
	d.mu.Unlock()
	d.cancel()
	if link != nil {
		_ = link.nc.Close()
	}
	d.wg.Wait()
	return nil
}

// goroutine starts f unless the driver is closed, and says whether it did.
func (d *Driver) goroutine(f func()) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.wg.Go(f)
	return true
}
