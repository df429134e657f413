package whatsapp_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/lab"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/session-worker/driver"
	"pairgate.dev/services/session-worker/driver/drivertest"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// recorded is a session whose events a test awaits.
type recorded struct {
	driver.Session
	id     instance.ID
	events chan instance.SessionEvent
}

func record(open func(context.Context, driver.Sink) driver.Session, id instance.ID) *recorded {
	r := &recorded{id: id, events: make(chan instance.SessionEvent, 1024)}
	r.Session = open(context.Background(), func(e instance.SessionEvent) { r.events <- e })
	return r
}

func pair(d driver.Driver, p driver.PairParams) *recorded {
	if p.Instance == "" {
		p.Instance = drivertest.NewID()
	}
	if p.Method == "" {
		p.Method = instance.MethodQR
	}
	return record(func(ctx context.Context, sink driver.Sink) driver.Session { return d.Pair(ctx, p, sink) }, p.Instance)
}

func login(d driver.Driver, c driver.Common) *recorded {
	return record(func(ctx context.Context, sink driver.Sink) driver.Session {
		return d.Login(ctx, driver.LoginParams{Common: c}, sink)
	}, c.Instance)
}

// await returns the next event of type E, whatever comes before it. A session that
// closes first fails the test.
func await[E instance.SessionEvent](tb testing.TB, r *recorded) E {
	tb.Helper()
	deadline := time.After(patience)
	for {
		select {
		case e := <-r.events:
			if want, ok := e.(E); ok {
				return want
			}
			if c, over := e.(instance.Closed); over {
				var want E
				tb.Fatalf("closed with %s (%s) where %T was due", c.Reason, c.Detail, want)
			}
		case <-deadline:
			var want E
			tb.Fatalf("no %T came", want)
		}
	}
}

// closes awaits the end of the session.
func closes(tb testing.TB, r *recorded, want instance.Reason) instance.Closed {
	tb.Helper()
	c := await[instance.Closed](tb, r)
	if c.Reason != want {
		tb.Fatalf("closed with %s (%s), want %s", c.Reason, c.Detail, want)
	}
	return c
}

// newPhone adds an account and returns its number.
func newPhone(tb testing.TB, m *messenger, a labapi.NewAccount) string {
	tb.Helper()
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000_000))
	if err != nil {
		tb.Fatal(err)
	}
	a.Provider, a.Phone = "whatsapp", fmt.Sprintf("78%09d", n)
	if a.Name == "" {
		a.Name = "Ada"
	}
	if _, err := m.Client.AddAccount(tb.Context(), a); err != nil {
		tb.Fatal(err)
	}
	return a.Phone
}

// linkWith links an instance by QR and returns it online.
func linkWith(tb testing.TB, m *messenger, d driver.Driver, p driver.PairParams, phone string) *recorded {
	tb.Helper()
	r := pair(d, p)
	must(tb, m.Scan(tb.Context(), phone, await[instance.CodeIssued](tb, r).Text))
	await[instance.Linked](tb, r)
	await[instance.Connected](tb, r)
	return r
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// devices awaits that the phone shows so many linked devices.
func devices(tb testing.TB, m *messenger, phone string, want int) {
	tb.Helper()
	eventually(tb, fmt.Sprintf("%d linked devices", want), func() error {
		n, err := m.Devices(tb.Context(), phone)
		if err == nil && n != want {
			err = fmt.Errorf("there are %d", n)
		}
		return err
	})
}

// setup is a lab, its messenger and a driver for one test.
func setup(tb testing.TB) (*lab.Lab, *messenger, owner) {
	tb.Helper()
	l := startLab(tb)
	m := newMessenger(tb, l)
	d := newDriver(tb, l, tb.TempDir()+"/keys")
	m.watch(d.Driver)
	tb.Cleanup(func() {
		if err := d.Close(); err != nil {
			tb.Errorf("closing the driver: %v", err)
		}
		noneLeft(tb)
	})
	return l, m, d
}

// noneLeft awaits that no goroutine of the driver or of the library runs.
func noneLeft(tb testing.TB) {
	tb.Helper()
	eventually(tb, "goroutines to end", func() error {
		for stack := range strings.SplitSeq(stacks(), "\n\n") {
			if strings.Contains(stack, "driver/whatsapp.") || strings.Contains(stack, "go.mau.fi/whatsmeow.") ||
				strings.Contains(stack, "go.mau.fi/whatsmeow/socket.") {
				return fmt.Errorf("one is left:\n%s", stack)
			}
		}
		return nil
	})
}
