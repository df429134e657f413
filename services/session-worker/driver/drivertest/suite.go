package drivertest

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/session-worker/driver"
)

// suite is one test of the suite with what it opened.
type suite struct {
	Harness
	t     *testing.T
	store string
	d     driver.Driver
}

func newSuite(t *testing.T, h Harness) *suite {
	s := &suite{Harness: h, t: t, store: filepath.Join(t.TempDir(), "keys")}
	t.Cleanup(func() { s.noGoroutineLeft() })
	return s
}

// driver returns the driver of the test, opening it at first.
func (s *suite) driver() driver.Driver {
	s.t.Helper()
	if s.d == nil {
		s.d = s.Open(s.t, s.store)
		d := s.d
		s.t.Cleanup(func() {
			if s.d == d {
				s.closeDriver()
			}
		})
	}
	return s.d
}

func (s *suite) closeDriver() {
	s.t.Helper()
	if s.d == nil {
		return
	}
	if err := s.d.Close(); err != nil {
		s.t.Errorf("Close of the driver: %v", err)
	}
	s.d = nil
}

// restart stands for the worker's restart: a new driver over the same keys.
func (s *suite) restart() driver.Driver {
	s.closeDriver()
	return s.driver()
}

// noGoroutineLeft fails the test if the driver left a goroutine behind.
func (s *suite) noGoroutineLeft() {
	if s.Package == "" {
		return
	}
	s.eventually("every goroutine of the driver to end", func() error {
		buf := make([]byte, 8<<20)
		for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(stack, s.Package+".") {
				return fmt.Errorf("one is left:\n%s", stack)
			}
		}
		return nil
	})
}

// eventually polls until check returns nil.
func (s *suite) eventually(what string, check func() error) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Errorf("waited in vain for %s: %v", what, err)
			return
		}
		<-tick.C
	}
}

func (s *suite) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// phone adds an account and returns its number.
func (s *suite) phone(a Account) string {
	s.t.Helper()
	a.Phone = newPhone()
	if a.Name == "" {
		a.Name = "Ada"
	}
	s.must(s.Messenger.AddAccount(s.t.Context(), a))
	return a.Phone
}

func newPhone() string {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000_000))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return fmt.Sprintf("79%09d", n)
}

// NewID returns an instance id that was never used.
func NewID() instance.ID {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x70, b[8]&0x3f|0x80
	return instance.ID(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}

// open is a session under test.
type open struct {
	driver.Session
	*recorder
	cancel context.CancelFunc
	once   sync.Once
}

// end closes the session and from then on takes every event as an error.
func (o *open) end() {
	o.once.Do(func() {
		o.Session.Close()
		o.closeReturned()
		o.cancel()
	})
}

func (s *suite) opened(f func(context.Context, driver.Sink) driver.Session) *open {
	ctx, cancel := context.WithCancel(context.Background())
	o := &open{recorder: newRecorder(s.t), cancel: cancel}
	o.Session = f(ctx, o.sink)
	d := s.d
	s.t.Cleanup(func() {
		// Sessions end before their driver; a driver that was restarted has none left.
		if s.d == d {
			o.end()
		}
	})
	return o
}

func (s *suite) pair(p driver.PairParams) *open {
	d := s.driver()
	if p.Method == "" {
		p.Method = instance.MethodQR
	}
	return s.opened(func(ctx context.Context, sink driver.Sink) driver.Session { return d.Pair(ctx, p, sink) })
}

func (s *suite) login(id instance.ID) *open {
	d := s.driver()
	p := driver.LoginParams{Common: driver.Common{Instance: id}}
	return s.opened(func(ctx context.Context, sink driver.Sink) driver.Session { return d.Login(ctx, p, sink) })
}

// link links a new instance by QR and returns it online.
func (s *suite) link(phone string) (instance.ID, *open) {
	s.t.Helper()
	id := NewID()
	o := s.pair(driver.PairParams{Common: driver.Common{Instance: id}})
	code := await[instance.CodeIssued](o.recorder)
	s.must(s.Messenger.Scan(s.t.Context(), phone, code.Text))
	s.finishLink(o, id, phone)
	return id, o
}

// finishLink awaits what follows an accepted scan.
func (s *suite) finishLink(o *open, id instance.ID, phone string) {
	s.t.Helper()
	await[instance.Scanned](o.recorder, codes...)
	linked := await[instance.Linked](o.recorder)
	s.sameAccount("Linked", linked.Account, phone)
	account, ok, err := s.d.Account(s.t.Context(), id)
	if err != nil || !ok || account != linked.Account {
		s.t.Fatalf("after Linked the key store has %v, %v (%v), want the account of Linked", account, ok, err)
	}
	s.sameAccount("Connected", await[instance.Connected](o.recorder).Account, phone)
}

func (s *suite) sameAccount(event string, a instance.Account, phone string) {
	s.t.Helper()
	if a.ID == "" || a.Phone != phone {
		s.t.Fatalf("%s names another account than the phone that scanned", event)
	}
}

func (s *suite) closedWith(o *open, want instance.Reason) instance.Closed {
	s.t.Helper()
	c := await[instance.Closed](o.recorder)
	if c.Reason != want {
		s.t.Fatalf("closed with %s (%s), want %s", c.Reason, c.Detail, want)
	}
	return c
}

func (s *suite) devices(phone string, want int) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("%d linked devices", want), func() error {
		n, err := s.Messenger.Devices(s.t.Context(), phone)
		if err == nil && n != want {
			err = fmt.Errorf("the phone shows %d linked devices, want %d", n, want)
		}
		return err
	})
}
