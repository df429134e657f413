package lab_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skip2/go-qrcode"

	"pairgate.dev/pkg/simwire"
	"pairgate.dev/services/lab"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/lab/labclient"
)

func presence(available bool) simwire.Frame {
	return simwire.Frame{Type: simwire.TypePresence, Session: 1, Available: available}
}

// waitFor polls until check is true.
func waitFor(tb testing.TB, what string, check func() bool) {
	tb.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !check() {
		if time.Now().After(deadline) {
			tb.Fatalf("waited in vain for %s", what)
		}
		<-tick.C
	}
}

func reason(err error) string {
	if e, ok := errors.AsType[*labclient.Error](err); ok {
		return e.Reason
	}
	return fmt.Sprint(err)
}

func TestScanOfAPicture(t *testing.T) {
	l, c := startLab(t, lab.Config{}, lab.Deps{})
	addAccount(t, c, "79001234567")
	for i, tc := range []struct {
		level qrcode.RecoveryLevel
		size  int
	}{{qrcode.Low, 128}, {qrcode.Medium, 256}, {qrcode.Highest, 400}, {qrcode.Medium, 2048}} {
		d := dial(t, l.Addrs().Simulated)
		text := d.pair(1)
		if len(text) < 150 || len(text) > 240 || strings.Count(text, ",") < 4 {
			t.Fatalf("a code of %d characters is not like a real one", len(text))
		}
		picture, err := qrcode.Encode(text, tc.level, tc.size)
		if err != nil {
			t.Fatal(err)
		}
		scanned := make(chan error, 1)
		go func() { scanned <- c.ScanPNG(context.Background(), "79001234567", picture) }()
		d.await(simwire.TypeKeys)
		d.send(simwire.Frame{Type: simwire.TypeStored, Session: 1})
		if err := <-scanned; err != nil {
			t.Fatalf("level %d, %d pixels: %v", tc.level, tc.size, err)
		}
		if n := len(devices(t, c, "79001234567")); n != i+1 {
			t.Fatalf("%d devices, want %d", n, i+1)
		}
	}
}

func TestCodesThatAreOver(t *testing.T) {
	l, c := startLab(t, lab.Config{}, lab.Deps{})
	const phone = "79001234567"
	addAccount(t, c, phone)
	d := dial(t, l.Addrs().Simulated)

	if err := c.SetFaults(t.Context(), labapi.Faults{CodeLifeSeconds: 0.1}); err != nil {
		t.Fatal(err)
	}
	first := d.pair(1)
	for range 3 {
		d.await(simwire.TypeCode)
	}
	if got := reason(c.ScanCode(t.Context(), phone, first)); got != labapi.ReasonExpiredCode {
		t.Errorf("an expired code: %s", got)
	}
	d.send(simwire.Frame{Type: simwire.TypeClose, Session: 1})
	if err := c.ClearFaults(t.Context()); err != nil {
		t.Fatal(err)
	}
	abandoned := d.pair(2)
	d.send(simwire.Frame{Type: simwire.TypeClose, Session: 2})
	d.send(simwire.Frame{Type: simwire.TypePing})
	d.await(simwire.TypePong)
	if got := reason(c.ScanCode(t.Context(), phone, abandoned)); got != labapi.ReasonExpiredCode {
		t.Errorf("a code whose device has gone: %s", got)
	}
	used := d.pair(3)
	go func() { _ = c.ScanCode(context.Background(), phone, used) }()
	d.await(simwire.TypeKeys)
	if got := reason(c.ScanCode(t.Context(), phone, used)); got != labapi.ReasonExpiredCode {
		t.Errorf("a code that was used: %s", got)
	}
}

func TestPairingCodes(t *testing.T) {
	l, c := startLab(t, lab.Config{}, lab.Deps{})
	const phone, other = "79001234567", "79001234568"
	addAccount(t, c, phone)
	addAccount(t, c, other)
	d := dial(t, l.Addrs().Simulated)
	open := func(session uint64) simwire.Frame {
		d.send(simwire.Frame{Type: simwire.TypeOpenPair, Session: session, Instance: "i", Method: "code", Phone: phone})
		return d.await(simwire.TypePairingCode)
	}
	code := open(1)
	if len(code.Text) != 8 || strings.ContainsAny(code.Text, "0IOU") || strings.ToUpper(code.Text) != code.Text || code.LifeMillis > 180_000 {
		t.Fatalf("a pairing code of %d characters that lives %v", len(code.Text), code.Life())
	}
	if got := reason(c.EnterCode(t.Context(), other, code.Text)); got != labapi.ReasonUnknownCode {
		t.Errorf("typed on another phone: %s", got)
	}
	d.send(simwire.Frame{Type: simwire.TypeClose, Session: 1})
	d.send(simwire.Frame{Type: simwire.TypePing})
	d.await(simwire.TypePong)
	if got := reason(c.EnterCode(t.Context(), phone, code.Text)); got != labapi.ReasonExpiredCode {
		t.Errorf("typed when no device waits: %s", got)
	}
	if again := open(2); again.Text != code.Text {
		t.Error("asked again in its life, the code is another one")
	}
	entered := make(chan error, 1)
	go func() {
		entered <- c.EnterCode(context.Background(), phone, strings.ToLower(code.Text[:4]+"-"+code.Text[4:]))
	}()
	d.await(simwire.TypeKeys)
	d.send(simwire.Frame{Type: simwire.TypeStored, Session: 2})
	if err := <-entered; err != nil {
		t.Fatal(err)
	}
	if next := open(3); next.Text == code.Text {
		t.Error("a code that was used is given again")
	}

	if err := c.SetFaults(t.Context(), labapi.Faults{PairingCodeLifeSeconds: 0.1}); err != nil {
		t.Fatal(err)
	}
	d.send(simwire.Frame{Type: simwire.TypeOpenPair, Session: 4, Instance: "j", Method: "code", Phone: phone})
	short := d.await(simwire.TypePairingCode)
	if next := d.await(simwire.TypePairingCode); next.Text == short.Text {
		t.Error("an expired code is given again")
	}
	if got := reason(c.EnterCode(t.Context(), phone, short.Text)); got != labapi.ReasonExpiredCode {
		t.Errorf("an expired pairing code: %s", got)
	}
}

func TestDeviceThatRefusesOrGoes(t *testing.T) {
	l, c := startLab(t, lab.Config{}, lab.Deps{})
	const phone = "79001234567"
	addAccount(t, c, phone)
	for _, tc := range []struct {
		answer simwire.Frame
		want   string
	}{
		{simwire.Frame{Type: simwire.TypeRefused, Session: 1, Reason: "wrong_phone"}, labapi.ReasonDeviceRefused},
		{simwire.Frame{Type: simwire.TypeClose, Session: 1}, labapi.ReasonDeviceGone},
	} {
		d := dial(t, l.Addrs().Simulated)
		text := d.pair(1)
		scanned := make(chan error, 1)
		go func() { scanned <- c.ScanCode(context.Background(), phone, text) }()
		d.await(simwire.TypeKeys)
		d.send(tc.answer)
		if got := reason(<-scanned); got != tc.want {
			t.Errorf("after %v: %s, want %s", tc.answer, got, tc.want)
		}
	}
	if n := len(devices(t, c, phone)); n != 0 {
		t.Errorf("%d devices are linked", n)
	}
}

// Decision: linking a thousand devices at once shares syncs of the disk.
func TestAThousandDevicesAtOnce(t *testing.T) {
	dir := t.TempDir()
	l, c := startLab(t, lab.Config{DataDir: dir}, lab.Deps{})
	const n = 1000
	d := dial(t, l.Addrs().Simulated)
	phone := func(i uint64) string { return fmt.Sprintf("7900%07d", i) }
	for i := range uint64(n) {
		d.send(simwire.Frame{Type: simwire.TypeOpenPair, Session: i + 1, Instance: fmt.Sprint(i), Method: "qr"})
	}
	texts := make([]string, n+1)
	for range n {
		f := d.await(simwire.TypeCode)
		texts[f.Session] = f.Text
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 128)
	for i := range uint64(n) {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if _, err := c.AddAccount(context.Background(), labapi.NewAccount{Provider: "simulated", Phone: phone(i + 1)}); err != nil {
				t.Error(err)
			} else if err := c.ScanCode(context.Background(), phone(i+1), texts[i+1]); err != nil {
				t.Error(err)
			}
		})
	}
	for range n {
		d.send(simwire.Frame{Type: simwire.TypeStored, Session: d.await(simwire.TypeKeys).Session})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, again := startLab(t, lab.Config{DataDir: dir}, lab.Deps{})
	all, err := again.Accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	linked := 0
	for _, a := range all {
		linked += len(a.Devices)
	}
	if len(all) != n || linked != n {
		t.Fatalf("after a restart %d accounts with %d devices, want %d", len(all), linked, n)
	}
}

func TestPasskeyOfASimulatedAccount(t *testing.T) {
	l, c := startLab(t, lab.Config{}, lab.Deps{})
	const phone = "79001234567"
	if _, err := c.AddAccount(t.Context(), labapi.NewAccount{Provider: "simulated", Phone: phone, Passkey: true}); err != nil {
		t.Fatal(err)
	}
	d := dial(t, l.Addrs().Simulated)
	if err := c.ScanCode(t.Context(), phone, d.pair(1)); err != nil {
		t.Fatal(err)
	}
	asked := d.await(simwire.TypePasskeyRequired)
	if _, err := c.AnswerPasskey(t.Context(), phone, `{"rpId":"x"}`); reason(err) != labapi.ReasonPasskeyRefused {
		t.Errorf("options without a challenge: %v", err)
	}
	answer, err := c.AnswerPasskey(t.Context(), phone, asked.Passkey)
	if err != nil {
		t.Fatal(err)
	}
	d.send(simwire.Frame{Type: simwire.TypePasskeyResponse, Session: 1, Passkey: answer})
	compared := d.await(simwire.TypePasskeyRequired)
	account, err := c.Account(t.Context(), phone)
	if err != nil || account.PasskeyCode == "" || account.PasskeyCode != compared.Text {
		t.Errorf("the phone shows %q, the device %q (%v)", account.PasskeyCode, compared.Text, err)
	}
}
