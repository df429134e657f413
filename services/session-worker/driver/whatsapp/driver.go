package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mau.fi/whatsmeow/types"
	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/session-worker/driver"
)

// Options are what a Driver is made of.
type Options struct {
	// Keys is the key store. The driver does not close it.
	Keys Keys
	// Endpoint is an emulated WhatsApp, host:port on loopback, dialled without TLS in
	// place of the real one; empty for the real one. Only together with NoiseRoot.
	Endpoint string
	// NoiseRoot is the public key, 32 bytes, that the certificates of Endpoint lead
	// to. It holds for the process: drivers with different ones cannot live in one.
	NoiseRoot []byte
	// Version is the client version shown to WhatsApp, as in "2.3000.1047769893";
	// empty for the library's. SetClientVersion changes it later.
	Version string
	// DeviceName is what phones list when an instance sets no name of its own; empty for "Pairgate".
	DeviceName string
	// Platform is the browser that devices claim to be: chrome, edge, firefox, opera
	// or safari; empty for DefaultPlatform.
	Platform string
	// ConnectsPerSecond bounds how many connections are begun each second; 0 for DefaultConnectsPerSecond.
	ConnectsPerSecond float64
	// LeaveOrphans leaves devices alone that belong to no instance, which are logged
	// out otherwise. They are reached without a proxy, as it is not known which they
	// used: for a worker that must never connect directly.
	LeaveOrphans bool
	// Log is told what concerns no single session; nil for nobody.
	Log *zap.Logger
	// Metrics takes pairgate_whatsapp_connects_total and pairgate_whatsapp_connects_waiting; nil for nobody.
	Metrics prometheus.Registerer
}

const defaultDeviceName = "Pairgate"

// Driver implements driver.Driver for instance.WhatsApp.
type Driver struct {
	opts     Options
	log      *zap.Logger
	platform platform
	connects *connects
	versions versions
	// codeLife is how long QR codes are shown.
	codeLife func(index, total int) time.Duration

	// ctx ends when the driver is closed.
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	// sweep wakes the goroutine that removes orphans.
	sweep chan struct{}

	mu     sync.Mutex
	closed bool
	// ways are the proxies of orphans, where they are known.
	ways map[types.JID]*driver.Proxy
}

var (
	_ driver.Driver        = (*Driver)(nil)
	_ driver.VersionSetter = (*Driver)(nil)
)

// New returns a driver. It dials for nothing but orphans in the key store; an
// error says which option is wrong.
func New(o Options) (*Driver, error) {
	if o.Keys == nil {
		return nil, errors.New("whatsapp: no key store")
	}
	if (o.Endpoint == "") != (len(o.NoiseRoot) == 0) {
		return nil, errors.New("whatsapp: an endpoint and the root of its certificates go together")
	}
	if o.Endpoint != "" {
		if err := CheckEndpoint(o.Endpoint); err != nil {
			return nil, err
		}
	}
	if o.ConnectsPerSecond == 0 {
		o.ConnectsPerSecond = DefaultConnectsPerSecond
	}
	if o.ConnectsPerSecond < 0 || math.IsNaN(o.ConnectsPerSecond) || math.IsInf(o.ConnectsPerSecond, 0) {
		return nil, errors.New("whatsapp: connections per second must be a positive number")
	}
	if o.DeviceName == "" {
		o.DeviceName = defaultDeviceName
	}
	if o.Platform == "" {
		o.Platform = DefaultPlatform
	}
	p, ok := platforms[o.Platform]
	if !ok {
		return nil, fmt.Errorf("whatsapp: the platform must be one of %s", strings.Join(slices.Sorted(maps.Keys(platforms)), ", "))
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	d := &Driver{opts: o, log: o.Log, platform: p, codeLife: standardLife, sweep: make(chan struct{}, 1), ways: map[types.JID]*driver.Proxy{}}
	if err := d.SetClientVersion(o.Version); err != nil {
		return nil, err
	}
	var root []byte
	if len(o.NoiseRoot) > 0 {
		root = o.NoiseRoot
	}
	if err := useRoot(root); err != nil {
		return nil, err
	}
	usePlatform(p)
	var err error
	if d.connects, err = newConnects(o.ConnectsPerSecond, o.Metrics); err != nil {
		return nil, fmt.Errorf("whatsapp: metrics: %w", err)
	}
	if o.Endpoint != "" {
		d.log.Warn("WhatsApp is an emulated one: sessions are led to the endpoint, without TLS", zap.String("endpoint", o.Endpoint))
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	if !o.LeaveOrphans {
		d.wg.Go(d.sweepOrphans)
		d.wakeSweep()
	}
	return d, nil
}

// Provider returns instance.WhatsApp.
func (d *Driver) Provider() instance.Provider { return instance.WhatsApp }

// Account implements driver.Driver. An account is there as soon as its keys are,
// even when a crash came before anybody was told of the link.
func (d *Driver) Account(ctx context.Context, id instance.ID) (instance.Account, bool, error) {
	return d.opts.Keys.Account(ctx, id)
}

// Pair implements driver.Driver.
func (d *Driver) Pair(ctx context.Context, p driver.PairParams, sink driver.Sink) driver.Session {
	return d.open(ctx, p.Common, &p, sink)
}

// Login implements driver.Driver.
func (d *Driver) Login(ctx context.Context, p driver.LoginParams, sink driver.Sink) driver.Session {
	return d.open(ctx, p.Common, nil, sink)
}

// Forget implements driver.Driver.
func (d *Driver) Forget(ctx context.Context, id instance.ID) error {
	return d.opts.Keys.Forget(ctx, id)
}

// Close implements driver.Driver. Sessions that were left open close with
// connection_closed; an orphan that is being logged out is left for the next start.
func (d *Driver) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.cancel()
	d.wg.Wait()
	if m := d.opts.Metrics; m != nil {
		m.Unregister(d.connects.outcomes)
		m.Unregister(d.connects.waiting)
	}
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
