package lab_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"pairgate.dev/services/lab"
	"pairgate.dev/services/lab/labapi"
)

// inBothModes runs the test against a server that leaves clients their time to read
// what it says last, and against one that does not.
func inBothModes(t *testing.T, test func(t *testing.T, faults labapi.Faults)) {
	t.Run("patient", func(t *testing.T) { test(t, labapi.Faults{}) })
	t.Run("hostile", func(t *testing.T) { test(t, labapi.Faults{HostileClose: true}) })
}

// awaitLinked awaits that the device was linked and is to come again, which the library
// may tell in any order.
func awaitLinked(w *waDevice) (success *events.PairSuccess) {
	w.tb.Helper()
	deadline := time.After(patience)
	for again := false; success == nil || !again; {
		select {
		case event := <-w.events:
			switch event := event.(type) {
			case *events.PairSuccess:
				success = event
			case *events.ManualLoginReconnect:
				again = true
			}
		case <-deadline:
			w.tb.Fatalf("linked: %v, told to come again: %v", success != nil, again)
		}
	}
	return success
}

func TestWhatsAppLinksADeviceByQR(t *testing.T) {
	l, c := startLab(t, lab.Config{}, lab.Deps{})
	addWhatsApp(t, c, waPhone)
	w := newWADevice(t, l.Addrs())
	w.connect()
	codes := awaitWA[*events.QR](w).Codes
	if len(codes) != 6 {
		t.Fatalf("%d codes, want 6", len(codes))
	}
	if err := c.ScanCode(t.Context(), waPhone, codes[2]); err != nil {
		t.Fatal(err)
	}
	linked := devices(t, c, waPhone)
	if len(linked) != 1 || linked[0].Connected || linked[0].Name == "" {
		t.Fatalf("once the scan is answered the phone shows %+v", linked)
	}
	success := awaitLinked(w)
	if success.ID.User != waPhone || success.ID.Device != 1 || success.LID.Device != 1 || success.BusinessName != "Ada" {
		t.Fatalf("linked as %+v", success)
	}
	w.reconnect()
	linked = devices(t, c, waPhone)
	if len(linked) != 1 || !linked[0].Connected || linked[0].Connections != 1 || linked[0].MostConnections != 1 {
		t.Fatalf("once the device is online the phone shows %+v", linked)
	}
}

func TestWhatsAppLinksADeviceByPhoneCode(t *testing.T) {
	l, c := startLab(t, lab.Config{}, lab.Deps{})
	addWhatsApp(t, c, waPhone)
	w := newWADevice(t, l.Addrs())
	w.connect()
	awaitWA[*events.QR](w)
	if got := reason(c.EnterCode(t.Context(), waPhone, "ABCD-EFGH")); got != labapi.ReasonUnknownCode {
		t.Errorf("a code when no device waits: %s", got)
	}
	code, err := w.client.PairPhone(t.Context(), "+7 900 123-45-67", true, whatsmeow.PairClientChrome, "Chrome (Linux)")
	if err != nil {
		t.Fatal(err)
	}
	if got := reason(c.EnterCode(t.Context(), waPhone, "ABCD-EFGH")); got != labapi.ReasonUnknownCode {
		t.Errorf("another code: %s", got)
	}
	if err := c.EnterCode(t.Context(), waPhone, code); err != nil {
		t.Fatal(err)
	}
	awaitLinked(w)
	w.reconnect()
	if got := reason(c.EnterCode(t.Context(), waPhone, code)); got != labapi.ReasonExpiredCode {
		t.Errorf("a code that was used: %s", got)
	}
}

func TestWhatsAppAsksForAPasskey(t *testing.T) {
	for _, method := range []string{"qr", "code"} {
		t.Run(method, func(t *testing.T) {
			l, c := startLab(t, lab.Config{}, lab.Deps{})
			if _, err := c.AddAccount(t.Context(), labapi.NewAccount{Provider: "whatsapp", Phone: waPhone, Passkey: true}); err != nil {
				t.Fatal(err)
			}
			w := newWADevice(t, l.Addrs())
			w.connect()
			codes := awaitWA[*events.QR](w).Codes
			var err error
			if method == "qr" {
				err = c.ScanCode(t.Context(), waPhone, codes[0])
			} else {
				var code string
				if code, err = w.client.PairPhone(t.Context(), waPhone, true, whatsmeow.PairClientChrome, "Chrome (Linux)"); err == nil {
					err = c.EnterCode(t.Context(), waPhone, code)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			options, err := json.Marshal(awaitWA[*events.PairPasskeyRequest](w).PublicKey)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := c.AnswerPasskey(t.Context(), waPhone, string(options))
			if err != nil {
				t.Fatal(err)
			}
			var response types.WebAuthnResponse
			if err := json.Unmarshal([]byte(answer), &response); err != nil {
				t.Fatal(err)
			}
			if err := w.client.SendPasskeyResponse(t.Context(), &response); err != nil {
				t.Fatal(err)
			}
			confirmation := awaitWA[*events.PairPasskeyConfirmation](w)
			account, err := c.Account(t.Context(), waPhone)
			if err != nil || account.PasskeyCode == "" || account.PasskeyCode != confirmation.Code {
				t.Fatalf("the phone shows %q, the device %q (%v)", account.PasskeyCode, confirmation.Code, err)
			}
			if err := w.client.SendPasskeyConfirmation(t.Context()); err != nil {
				t.Fatal(err)
			}
			awaitLinked(w)
			w.reconnect()
		})
	}
}

// Decision: what the phones' and the messenger's log says names no number, code or key.
func TestWhatsAppLogShowsNoSecret(t *testing.T) {
	var out bytes.Buffer
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewDevelopmentEncoderConfig()), zapcore.Lock(zapcore.AddSync(&out)), zapcore.DebugLevel))
	l, c := startLab(t, lab.Config{}, lab.Deps{Log: log})
	addWhatsApp(t, c, waPhone)
	setFaults(t, c, labapi.Faults{PreKeyCount: 1})
	w := newWADevice(t, l.Addrs())
	w.connect()
	code := awaitWA[*events.QR](w).Codes[0]
	_ = c.EnterCode(t.Context(), waPhone, "ABCD-EFGH")
	if err := c.ScanCode(t.Context(), waPhone, code); err != nil {
		t.Fatal(err)
	}
	awaitWA[*events.PairSuccess](w)
	w.reconnect()
	if err := c.Unlink(t.Context(), waPhone); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	ref, _, _ := strings.Cut(code, ",")
	_, ref, _ = strings.Cut(ref, "#")
	for name, secret := range map[string]string{"phone": waPhone, "reference": ref, "key": base64.StdEncoding.EncodeToString(w.device.NoiseKey.Pub[:])} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("the log shows a %s", name)
		}
	}
}

func TestWhatsAppEndsWithItsLab(t *testing.T) {
	l, c := startLab(t, lab.Config{}, lab.Deps{})
	addWhatsApp(t, c, waPhone)
	setFaults(t, c, labapi.Faults{PreKeyCount: 1})
	online, waiting := newWADevice(t, l.Addrs()), newWADevice(t, l.Addrs())
	online.link(c, waPhone)
	waiting.connect()
	awaitWA[*events.QR](waiting)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	awaitWA[*events.Disconnected](online)
	awaitWA[*events.Disconnected](waiting)
	waitFor(t, "every goroutine of the lab to end", func() bool {
		buf := make([]byte, 4<<20)
		return !strings.Contains(string(buf[:runtime.Stack(buf, true)]), "services/lab/internal/")
	})
}

func TestWhatsAppManyDevicesAtOnce(t *testing.T) {
	l, c := startLab(t, lab.Config{}, lab.Deps{})
	setFaults(t, c, labapi.Faults{PreKeyCount: 1})
	var wg sync.WaitGroup
	for i := range 30 {
		phone := fmt.Sprintf("7900%07d", i)
		addWhatsApp(t, c, phone)
		w := newWADevice(t, l.Addrs())
		wg.Go(func() {
			w.connect()
			if err := c.ScanCode(context.Background(), phone, awaitWA[*events.QR](w).Codes[0]); err != nil {
				t.Error(err)
				return
			}
			awaitWA[*events.PairSuccess](w)
			w.reconnect()
		})
	}
	wg.Wait()
	all, err := c.Accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if len(a.Devices) != 1 || !a.Devices[0].Connected || a.Devices[0].MostConnections != 1 {
			t.Errorf("a phone shows %+v", a.Devices)
		}
	}
}
