package simulated_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net"
	"sync"
	"testing"
	"time"

	"pairgate.dev/services/lab"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/lab/labclient"
	"pairgate.dev/services/session-worker/driver"
	"pairgate.dev/services/session-worker/driver/drivertest"
	"pairgate.dev/services/session-worker/driver/simulated"
)

// startLab runs a lab for the test.
func startLab(tb testing.TB, cfg lab.Config) *lab.Lab {
	tb.Helper()
	if cfg.DataDir == "" {
		cfg.DataDir = tb.TempDir()
	}
	if cfg.ControlAddr == "" {
		cfg.ControlAddr = "127.0.0.1:0"
	}
	l, err := lab.Start(context.Background(), cfg, lab.Deps{})
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

func newDriver(tb testing.TB, o simulated.Options) *simulated.Driver {
	tb.Helper()
	if o.Vault == nil {
		o.Vault = &drivertest.MemoryVault{}
	}
	d, err := simulated.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = d.Close() })
	return d
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

// TestConformance runs the suite of all drivers against the lab.
func TestConformance(t *testing.T) {
	l := startLab(t, lab.Config{})
	var mu sync.Mutex
	vaults := map[string]*drivertest.MemoryVault{}
	open := func(t *testing.T, store, endpoint string) driver.Driver {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if vaults[store] == nil {
			vaults[store] = &drivertest.MemoryVault{}
		}
		d, err := simulated.New(simulated.Options{Endpoint: endpoint, Vault: vaults[store]})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	drivertest.Run(t, drivertest.Harness{
		Package:         "pairgate.dev/services/session-worker/driver/simulated",
		Open:            func(t *testing.T, store string) driver.Driver { return open(t, store, l.Addrs().Simulated) },
		OpenUnreachable: func(t *testing.T, store string) driver.Driver { return open(t, store, deadAddr(t)) },
		Messenger:       messenger{newClient(t, l)},
		Features: drivertest.Features{PairingCode: true, PairingCodeOutlives: true, Password: true, Passkey: true, Suspend: true,
			Replace: true, Presence: true, QRTimeout: true},
	})
}

// messenger is the lab as the suite sees it.
type messenger struct{ *labclient.Client }

var _ drivertest.Messenger = messenger{}

func (m messenger) AddAccount(ctx context.Context, a drivertest.Account) error {
	_, err := m.Client.AddAccount(ctx, labapi.NewAccount{Provider: "simulated", Phone: a.Phone, Name: a.Name, Password: a.Password, Passkey: a.Passkey})
	return err
}

func (m messenger) Scan(ctx context.Context, phone, code string) error {
	return m.ScanCode(ctx, phone, code)
}

func (m messenger) Devices(ctx context.Context, phone string) (int, error) {
	a, err := m.Account(ctx, phone)
	return len(a.Devices), err
}

func (m messenger) Outdated(ctx context.Context, refuse bool) error {
	var f labapi.Faults
	if refuse {
		f.MinimumClientVersion = "999"
	}
	return m.SetFaults(ctx, f)
}

func (m messenger) QuickCodes(ctx context.Context, perSession int) error {
	return m.SetFaults(ctx, labapi.Faults{CodeLifeSeconds: 0.3, CodesPerSession: perSession})
}

func (m messenger) NormalCodes(ctx context.Context) error { return m.ClearFaults(ctx) }

func (m messenger) PasskeyAnswer(options string) (string, error) {
	var o struct{ Challenge string }
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		return "", err
	}
	client, err := json.Marshal(map[string]string{"type": "webauthn.get", "challenge": o.Challenge})
	if err != nil {
		return "", err
	}
	answer, err := json.Marshal(map[string]any{"id": "credential", "response": map[string]string{"clientDataJSON": base64.RawURLEncoding.EncodeToString(client)}})
	return string(answer), err
}

// eventually polls until check returns nil.
func eventually(tb testing.TB, what string, check func() error) {
	tb.Helper()
	deadline := time.Now().Add(20 * time.Second)
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
