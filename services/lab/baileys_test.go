package lab_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"pairgate.dev/services/lab"
	"pairgate.dev/services/lab/labapi"
)

// These tests have Baileys, a WhatsApp client that shares no code with whatsmeow, as
// the witness that the lab speaks WhatsApp's protocol and not just whatsmeow's. Sessions
// of it are opened by baileys/session.mjs.

// said is a line of session.mjs. Codes in it are secrets of the emulated kind.
type said struct {
	QR, Code, Paired, Open string
	Closed                 *int
}

// baileys is a process with one session of Baileys at a time.
type baileys struct {
	tb     testing.TB
	in     io.Writer
	lines  chan said
	stderr *strings.Builder
}

// startBaileys opens a session with what is in the directory, for a pairing code when
// phone is not empty. The process ends with the test.
func startBaileys(t *testing.T, l *lab.Lab, directory, phone string) *baileys {
	t.Helper()
	if _, err := os.Stat("baileys/node_modules/.installed-from"); err != nil {
		t.Fatalf("Baileys is not installed: run scripts/install-baileys (%v)", err)
	}
	args := []string{"session.mjs", "ws://" + l.Addrs().WhatsApp + "/ws/chat", l.Addrs().WhatsAppNoiseRoot, directory}
	if phone != "" {
		args = append(args, phone)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	cmd := exec.CommandContext(ctx, "node", args...)
	cmd.Dir = "baileys"
	b := &baileys{tb: t, lines: make(chan said, 100), stderr: new(strings.Builder)}
	cmd.Stderr = b.stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	b.in = in
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatalf("Node.js is not installed: run scripts/install-baileys (%v)", err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(b.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var s said
			if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
				t.Errorf("session.mjs said what is no JSON: %v", err)
				continue
			}
			b.lines <- s
		}
	})
	t.Cleanup(func() {
		_ = in.Close()
		for range b.lines {
			// What comes after the test's end tells nothing, but must be taken.
		}
		wg.Wait()
		if err := cmd.Wait(); err != nil {
			t.Errorf("session.mjs ended with %v: %s", err, b.stderr)
		}
		cancel()
	})
	return b
}

// await returns the next line for which want is true, passing over others.
func (b *baileys) await(what string, want func(said) bool) said {
	b.tb.Helper()
	deadline := time.After(patience)
	for {
		select {
		case s, ok := <-b.lines:
			switch {
			case !ok:
				b.tb.Fatalf("session.mjs ended before %s", what)
			case want(s):
				return s
			case s.Closed != nil:
				b.tb.Fatalf("closed with %d before %s", *s.Closed, what)
			}
		case <-deadline:
			b.tb.Fatalf("waited in vain for %s", what)
		}
	}
}

func (b *baileys) closes(status int) {
	b.tb.Helper()
	if got := b.await("the end of the session", func(s said) bool { return s.Closed != nil }); *got.Closed != status {
		b.tb.Errorf("closed with %d, want %d", *got.Closed, status)
	}
}

func (b *baileys) qr() string {
	b.tb.Helper()
	return b.await("a QR code", func(s said) bool { return s.QR != "" }).QR
}

func (b *baileys) again() {
	b.tb.Helper()
	if _, err := io.WriteString(b.in, "again\n"); err != nil {
		b.tb.Fatal(err)
	}
}

// Statuses that Baileys closes with (its DisconnectReason, and those of its errors).
const (
	baileysBadRequest = 400
	baileysLoggedOut  = 401
	baileysOutdated   = 405
	baileysLost       = 428
	baileysReplaced   = 440
	baileysBadSession = 500
	baileysRestart    = 515
)

// links waits until use, which is what the phone does with the code, has linked the
// device and the server has closed the session so that another one begins.
func (b *baileys) links(phone string, use func() error) {
	b.tb.Helper()
	var linking sync.WaitGroup
	defer linking.Wait()
	linking.Go(func() {
		if err := use(); err != nil {
			b.tb.Errorf("the phone did not link: %v", err)
		}
	})
	if paired := b.await("the link", func(s said) bool { return s.Paired != "" }).Paired; paired != phone+":1@s.whatsapp.net" {
		b.tb.Errorf("linked to %s", paired)
	}
	b.closes(baileysRestart)
}

// opens waits until the session is online as the phone's first device.
func (b *baileys) opens(phone string) {
	b.tb.Helper()
	if id := b.await("an open session", func(s said) bool { return s.Open != "" }).Open; id != phone+":1@s.whatsapp.net" {
		b.tb.Errorf("opened as %s", id)
	}
}

func TestBaileysLinksByQRCodeAndLivesThroughItsSessions(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]labapi.Faults{"at leisure": {}, "in a hurry": {HostileClose: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, c := startLab(t, lab.Config{}, lab.Deps{})
			if err := c.SetFaults(t.Context(), faults); err != nil {
				t.Fatal(err)
			}
			const phone = "79001234567"
			addWhatsApp(t, c, phone)
			directory := t.TempDir()
			b := startBaileys(t, l, directory, "")
			text := b.qr()
			b.links(phone, func() error { return c.ScanCode(t.Context(), phone, text) })

			// Another process: nothing but the stored credentials is left of the first.
			b = startBaileys(t, l, directory, "")
			b.opens(phone)
			if got := devices(t, c, phone); len(got) != 1 || !got[0].Connected {
				t.Fatalf("the phone shows %+v", got)
			}
			for _, end := range []struct {
				by     func(context.Context, string) error
				status int
			}{{c.Drop, baileysLost}, {c.Replace, baileysReplaced}} {
				if err := end.by(t.Context(), phone); err != nil {
					t.Fatal(err)
				}
				b.closes(end.status)
				b.again()
				b.opens(phone)
			}
			if err := c.Unlink(t.Context(), phone); err != nil {
				t.Fatal(err)
			}
			b.closes(baileysLoggedOut)
			b.again()
			b.closes(baileysLoggedOut)
		})
	}
}

func TestBaileysLinksByPairingCode(t *testing.T) {
	t.Parallel()
	l, c := startLab(t, lab.Config{}, lab.Deps{})
	const phone = "79001234567"
	addWhatsApp(t, c, phone)
	b := startBaileys(t, l, t.TempDir(), phone)
	code := b.await("a pairing code", func(s said) bool { return s.Code != "" }).Code
	if err := c.EnterCode(t.Context(), phone, "2222-2222"); reason(err) != labapi.ReasonUnknownCode {
		t.Errorf("a wrong code: %v", err)
	}
	b.links(phone, func() error { return c.EnterCode(t.Context(), phone, code) })
	b.again()
	b.opens(phone)
	if got := devices(t, c, phone); len(got) != 1 || !strings.Contains(got[0].Name, "Linux") {
		t.Errorf("the phone shows %+v", got)
	}
}

// A witness that took any signature would prove nothing about ours.
func TestBaileysRefusesAndIsRefused(t *testing.T) {
	t.Parallel()
	l, c := startLab(t, lab.Config{}, lab.Deps{})
	const phone = "79001234567"
	addWhatsApp(t, c, phone)
	var b *baileys
	for _, tc := range []struct {
		name   string
		faults labapi.Faults
		status int
	}{
		{"old version", labapi.Faults{MinimumClientVersion: "2.3000.4000000000"}, baileysOutdated},
		{"signature on certificates", labapi.Faults{Certificate: labapi.CertificateWrong}, baileysBadRequest},
		{"signature of the account", labapi.Faults{PairingDefect: labapi.DefectSignature}, baileysBadSession},
		{"hash with the ADV secret", labapi.Faults{PairingDefect: labapi.DefectHMAC}, baileysBadSession},
	} {
		if err := c.SetFaults(t.Context(), tc.faults); err != nil {
			t.Fatal(err)
		}
		if b == nil {
			b = startBaileys(t, l, t.TempDir(), "")
		} else {
			b.again()
		}
		if tc.faults.PairingDefect != "" {
			if err := c.ScanCode(t.Context(), phone, b.qr()); err == nil {
				t.Errorf("%s: linked", tc.name)
			}
		}
		b.closes(tc.status)
		if err := c.ClearFaults(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
