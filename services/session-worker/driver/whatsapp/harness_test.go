package whatsapp_test

import (
	"context"
	"encoding/base64"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pairgate.dev/services/lab"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/lab/labclient"
	"pairgate.dev/services/session-worker/driver"
	"pairgate.dev/services/session-worker/driver/drivertest"
	"pairgate.dev/services/session-worker/driver/whatsapp"
	"pairgate.dev/services/session-worker/driver/whatsapp/keys"
)

// startLab runs a lab for the test.
func startLab(tb testing.TB) *lab.Lab {
	tb.Helper()
	l, err := lab.Start(context.Background(), lab.Config{DataDir: tb.TempDir(), ControlAddr: "127.0.0.1:0"}, lab.Deps{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			tb.Errorf("closing the lab: %v", err)
		}
	})
	return l
}

func newClient(tb testing.TB, l *lab.Lab) *labclient.Client {
	c := labclient.New(l.Addrs().Control)
	tb.Cleanup(c.Close)
	return c
}

func noiseRoot(tb testing.TB, l *lab.Lab) []byte {
	tb.Helper()
	root, err := base64.StdEncoding.DecodeString(l.Addrs().WhatsAppNoiseRoot)
	if err != nil {
		tb.Fatal(err)
	}
	return root
}

// deadAddr is a loopback address where nobody listens.
func deadAddr(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// owner is a driver that closes its key store as well.
type owner struct {
	*whatsapp.Driver
	keys *keys.Store
}

// Close closes both.
func (o owner) Close() error {
	err := o.Driver.Close()
	if e := o.keys.Close(); err == nil {
		err = e
	}
	return err
}

// newDriver opens a driver over the key store in the file; options may change what it is made of.
func newDriver(tb testing.TB, l *lab.Lab, store string, options ...func(*whatsapp.Options)) owner {
	tb.Helper()
	k, err := keys.Open(tb.Context(), keys.Options{DSN: store})
	if err != nil {
		tb.Fatal(err)
	}
	o := whatsapp.Options{Keys: k, Endpoint: l.Addrs().WhatsApp, NoiseRoot: noiseRoot(tb, l)}
	for _, set := range options {
		set(&o)
	}
	d, err := whatsapp.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return owner{d, k}
}

// messenger is the lab as the suite sees it.
type messenger struct {
	*labclient.Client
	// quick says that codes live for an instant.
	quick *atomic.Bool

	mu      sync.Mutex
	drivers map[*whatsapp.Driver]bool
	// passkeyPhone is the account that was last added with a passkey.
	passkeyPhone string
}

var _ drivertest.Messenger = (*messenger)(nil)

func newMessenger(tb testing.TB, l *lab.Lab) *messenger {
	tb.Helper()
	m := &messenger{Client: newClient(tb, l), quick: new(atomic.Bool), drivers: map[*whatsapp.Driver]bool{}}
	if err := m.ClearFaults(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return m
}

// SetFaults sets the faults. The lab always says that it has prekeys of a device,
// which spares it making 812 of them.
func (m *messenger) SetFaults(ctx context.Context, f labapi.Faults) error {
	f.PreKeyCount = 30
	return m.Client.SetFaults(ctx, f)
}

// ClearFaults ends the faults.
func (m *messenger) ClearFaults(ctx context.Context) error { return m.SetFaults(ctx, labapi.Faults{}) }

// watch lets the messenger change how long the driver shows its codes, and its version.
func (m *messenger) watch(d *whatsapp.Driver) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drivers[d] = true
	d.SetCodeLife(func(index, total int) time.Duration {
		if m.quick.Load() {
			return 300 * time.Millisecond
		}
		return whatsapp.StandardLife(index, total)
	})
}

func (m *messenger) AddAccount(ctx context.Context, a drivertest.Account) error {
	if a.Passkey {
		m.passkeyPhone = a.Phone
	}
	_, err := m.Client.AddAccount(ctx, labapi.NewAccount{Provider: "whatsapp", Phone: a.Phone, Name: a.Name, Passkey: a.Passkey})
	return err
}

func (m *messenger) Scan(ctx context.Context, phone, code string) error {
	return m.ScanCode(ctx, phone, code)
}

func (m *messenger) Devices(ctx context.Context, phone string) (int, error) {
	a, err := m.Account(ctx, phone)
	return len(a.Devices), err
}

// Ban blocks the account: for a time as WhatsApp's temporary bans, for good as
// its failure 406.
func (m *messenger) Ban(ctx context.Context, phone string, until time.Time) error {
	if until.IsZero() {
		return m.SetFaults(ctx, labapi.Faults{RefusedLogins: 1, LoginFailureReason: 406})
	}
	return m.Client.Ban(ctx, phone, until)
}

func (m *messenger) Outdated(ctx context.Context, refuse bool) error {
	if refuse {
		return m.SetFaults(ctx, labapi.Faults{MinimumClientVersion: "2.3000.2000000000"})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for d := range m.drivers {
		// One that was refused is not tried again so soon.
		if err := d.SetClientVersion("2.3000.2000000000"); err != nil {
			return err
		}
	}
	return m.ClearFaults(ctx)
}

func (m *messenger) QuickCodes(ctx context.Context, perSession int) error {
	m.quick.Store(true)
	return m.SetFaults(ctx, labapi.Faults{CodesPerSession: perSession, UnlinkedWindowSeconds: 60})
}

func (m *messenger) NormalCodes(ctx context.Context) error {
	m.quick.Store(false)
	return m.ClearFaults(ctx)
}

// PasskeyAnswer lets the account's own authenticator answer.
func (m *messenger) PasskeyAnswer(options string) (string, error) {
	return m.AnswerPasskey(context.Background(), m.passkeyPhone, options)
}

// TestConformance runs the suite of all drivers against the lab.
func TestConformance(t *testing.T) {
	l := startLab(t)
	m := newMessenger(t, l)
	open := func(t *testing.T, store string, options ...func(*whatsapp.Options)) driver.Driver {
		d := newDriver(t, l, store, options...)
		m.watch(d.Driver)
		return d
	}
	drivertest.Run(t, drivertest.Harness{
		Package: "pairgate.dev/services/session-worker/driver/whatsapp",
		Open:    func(t *testing.T, store string) driver.Driver { return open(t, store) },
		OpenUnreachable: func(t *testing.T, store string) driver.Driver {
			return open(t, store, func(o *whatsapp.Options) { o.Endpoint = deadAddr(t) })
		},
		Messenger: m,
		Features:  drivertest.Features{PairingCode: true, Passkey: true, Replace: true, BanAtLogin: true, Presence: true, QRTimeout: true},
	})
}

// eventually polls until check returns nil.
func eventually(tb testing.TB, what string, check func() error) {
	tb.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("waited in vain for %s: %v", what, err)
		}
		<-tick.C
	}
}

// stacks returns what every goroutine is doing.
func stacks() string {
	buf := make([]byte, 8<<20)
	return string(buf[:runtime.Stack(buf, true)])
}
