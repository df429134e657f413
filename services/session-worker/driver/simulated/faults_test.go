package simulated_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/lab"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/lab/labclient"
	"pairgate.dev/services/session-worker/driver"
	"pairgate.dev/services/session-worker/driver/drivertest"
	"pairgate.dev/services/session-worker/driver/simulated"
)

func TestSilentMessengerIsGivenUp(t *testing.T) {
	l := startLab(t, lab.Config{})
	c := newClient(t, l)
	d := newDriver(t, simulated.Options{Endpoint: l.Addrs().Simulated, Keepalive: 100 * time.Millisecond, AnswerTimeout: 300 * time.Millisecond})
	id, s, e := link(t, d, c, addPhone(t, c))
	defer s.Close()
	setFaults(t, c, labapi.Faults{Silence: true})
	closedWith(e, instance.ReasonKeepaliveTimeout)
	again := newEvents(t)
	defer d.Login(t.Context(), loginParams(id), again.sink).Close()
	closedWith(again, instance.ReasonUnreachable)
	setFaults(t, c, labapi.Faults{})
	back := newEvents(t)
	defer d.Login(t.Context(), loginParams(id), back.sink).Close()
	await[instance.Connected](back)
}

func TestRefusedAndThrottledLogins(t *testing.T) {
	l := startLab(t, lab.Config{})
	c := newClient(t, l)
	d := newDriver(t, simulated.Options{Endpoint: l.Addrs().Simulated})
	id, s, _ := link(t, d, c, addPhone(t, c))
	s.Close()
	setFaults(t, c, labapi.Faults{RefusedLogins: 1, ThrottledLogins: 1, ThrottleSeconds: 60, SlowAnswersMs: 20})
	login := func() *events {
		e := newEvents(t)
		session := d.Login(context.Background(), loginParams(id), e.sink)
		t.Cleanup(session.Close)
		return e
	}
	closedWith(login(), instance.ReasonLoginRefused)
	if closed := closedWith(login(), instance.ReasonThrottled); time.Until(closed.Until) < 30*time.Second {
		t.Errorf("throttled until %v, want in a minute", closed.Until)
	}
	await[instance.Connected](login())
}

// Decision: sessions share a connection, and its loss closes them all; the next one dials again.
func TestLostConnectionClosesEverySession(t *testing.T) {
	l := startLab(t, lab.Config{})
	c := newClient(t, l)
	d := newDriver(t, simulated.Options{Endpoint: l.Addrs().Simulated, Keepalive: 50 * time.Millisecond})
	var all []*events
	var ids []instance.ID
	for range 3 {
		id, s, e := link(t, d, c, addPhone(t, c))
		defer s.Close()
		all, ids = append(all, e), append(ids, id)
	}
	setFaults(t, c, labapi.Faults{AbruptCloseAfter: 1})
	for _, e := range all {
		closedWith(e, instance.ReasonConnectionClosed)
	}
	setFaults(t, c, labapi.Faults{RefuseConnections: true})
	refused := newEvents(t)
	defer d.Login(t.Context(), loginParams(ids[0]), refused.sink).Close()
	closedWith(refused, instance.ReasonUnreachable)
	setFaults(t, c, labapi.Faults{})
	for _, id := range ids {
		e := newEvents(t)
		defer d.Login(t.Context(), loginParams(id), e.sink).Close()
		await[instance.Connected](e)
	}
}

// Decision: the keys are stored before the phone shows the device, so that a link
// that is cut off in between can be logged in with.
func TestLinkCutBetweenPhoneAndDevice(t *testing.T) {
	l := startLab(t, lab.Config{})
	c := newClient(t, l)
	d := newDriver(t, simulated.Options{Endpoint: l.Addrs().Simulated})
	phone := addPhone(t, c)
	setFaults(t, c, labapi.Faults{CutLinks: 1})
	id, e := drivertest.NewID(), newEvents(t)
	s := d.Pair(t.Context(), pairParams(id), e.sink)
	defer s.Close()
	if err := c.ScanCode(t.Context(), phone, await[instance.CodeIssued](e).Text); err != nil {
		t.Fatal(err)
	}
	await[instance.Scanned](e)
	closedWith(e, instance.ReasonConnectionClosed)
	if n := devices(t, c, phone); n != 1 {
		t.Fatalf("the phone shows %d devices, want 1", n)
	}
	if _, ok, err := d.Account(t.Context(), id); !ok || err != nil {
		t.Fatalf("the keys are not there: %v, %v", ok, err)
	}
	// Linked again instead of logged in, the device that nobody heard of goes away.
	again := newEvents(t)
	pairing := d.Pair(t.Context(), pairParams(id), again.sink)
	if err := c.ScanCode(t.Context(), phone, await[instance.CodeIssued](again).Text); err != nil {
		t.Fatal(err)
	}
	await[instance.Connected](again)
	if n := devices(t, c, phone); n != 1 {
		t.Fatalf("the phone shows %d devices, want the new one only", n)
	}
	pairing.Close()
	login := newEvents(t)
	defer d.Login(t.Context(), loginParams(id), login.sink).Close()
	await[instance.Connected](login)
}

// Decision: a device whose keys could not be stored is never linked.
func TestKeysThatCannotBeStored(t *testing.T) {
	l := startLab(t, lab.Config{})
	c := newClient(t, l)
	vault := &drivertest.MemoryVault{}
	d := newDriver(t, simulated.Options{Endpoint: l.Addrs().Simulated, Vault: vault})
	phone := addPhone(t, c)
	vault.Refuse(errors.New("another worker has the instance"))
	e := newEvents(t)
	defer d.Pair(t.Context(), pairParams(drivertest.NewID()), e.sink).Close()
	err := c.ScanCode(t.Context(), phone, await[instance.CodeIssued](e).Text)
	if refused, ok := errors.AsType[*labclient.Error](err); !ok || refused.Status != 409 || refused.Reason != labapi.ReasonDeviceRefused {
		t.Fatalf("the scan: %v, want 409 device_refused", err)
	}
	closedWith(e, instance.ReasonInternal)
	if n := devices(t, c, phone); n != 0 {
		t.Fatalf("the phone shows %d devices", n)
	}
}

// slowVault lets a test decide when Store returns.
type slowVault struct {
	drivertest.MemoryVault
	storing chan struct{}
	goOn    chan struct{}
}

func (v *slowVault) Store(ctx context.Context, p instance.Provider, id instance.ID, secret []byte) error {
	if v.storing != nil {
		close(v.storing)
		v.storing = nil
		<-v.goOn
		// What the context says comes too late: the write is through.
		ctx = context.WithoutCancel(ctx)
	}
	return v.MemoryVault.Store(ctx, p, id, secret)
}

// Decision: Close waits for keys that are being stored, and takes them back.
func TestCloseWhileStoring(t *testing.T) {
	l := startLab(t, lab.Config{})
	c := newClient(t, l)
	storing := make(chan struct{})
	vault := &slowVault{storing: storing, goOn: make(chan struct{})}
	d := newDriver(t, simulated.Options{Endpoint: l.Addrs().Simulated, Vault: vault})
	phone := addPhone(t, c)
	id, e := drivertest.NewID(), newEvents(t)
	s := d.Pair(t.Context(), pairParams(id), e.sink)
	text := await[instance.CodeIssued](e).Text
	scanned := make(chan error, 1)
	go func() { scanned <- c.ScanCode(context.Background(), phone, text) }()
	await[instance.Scanned](e)
	<-storing
	closed := make(chan struct{})
	go func() { s.Close(); close(closed) }()
	if err := <-scanned; err == nil {
		t.Fatal("the phone linked a device that went away")
	}
	close(vault.goOn)
	<-closed
	if _, ok, err := d.Account(t.Context(), id); ok || err != nil {
		t.Fatalf("keys of no device are left: %v, %v", ok, err)
	}
	if n := devices(t, c, phone); n != 0 {
		t.Fatalf("the phone shows %d devices", n)
	}
	select {
	case event := <-e.ch:
		t.Fatalf("%T after Close", event)
	default:
	}
}

func TestLabRestart(t *testing.T) {
	cfg := lab.Config{DataDir: t.TempDir(), SimulatedAddr: deadAddr(t), ControlAddr: "127.0.0.1:0"}
	first, err := lab.Start(t.Context(), cfg, lab.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, first)
	d := newDriver(t, simulated.Options{Endpoint: cfg.SimulatedAddr})
	id, s, e := link(t, d, c, addPhone(t, c))
	defer s.Close()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	closedWith(e, instance.ReasonConnectionClosed)
	startLab(t, cfg)
	again := newEvents(t)
	defer d.Login(t.Context(), loginParams(id), again.sink).Close()
	await[instance.Connected](again)
}

func TestLogoutWhileLoggingIn(t *testing.T) {
	l := startLab(t, lab.Config{})
	c := newClient(t, l)
	d := newDriver(t, simulated.Options{Endpoint: l.Addrs().Simulated})
	phone := addPhone(t, c)
	id, s, _ := link(t, d, c, phone)
	s.Close()
	setFaults(t, c, labapi.Faults{SlowAnswersMs: 50})
	e := newEvents(t)
	again := d.Login(t.Context(), loginParams(id), e.sink)
	if err := again.Logout(t.Context()); err != nil {
		t.Fatalf("Logout: %v", err)
	}
	if n := devices(t, c, phone); n != 0 {
		t.Fatalf("the phone shows %d devices", n)
	}

	// One that is not confirmed in time says so, and closes.
	_, s, e = link(t, d, c, phone)
	setFaults(t, c, labapi.Faults{Silence: true})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Logout(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Logout: %v, want the deadline", err)
	}
	await[instance.Closed](e)
}

var _ driver.Vault = (*slowVault)(nil)
