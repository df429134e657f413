package lab_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/socket"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types/events"

	"pairgate.dev/services/lab"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/lab/labclient"
)

// waitingWADevice starts a lab with an account, and a device that shows codes while
// the faults hold.
func waitingWADevice(t *testing.T, faults labapi.Faults) (*labclient.Client, *waDevice, []string) {
	t.Helper()
	l, c := startLab(t, lab.Config{}, lab.Deps{})
	addWhatsApp(t, c, waPhone)
	setFaults(t, c, faults)
	w := newWADevice(t, l.Addrs())
	w.connect()
	return c, w, awaitWA[*events.QR](w).Codes
}

func TestWhatsAppRefusedLogins(t *testing.T) {
	_, c, w := linkedWADevice(t, labapi.Faults{})
	setFaults(t, c, labapi.Faults{RefusedLogins: 1})
	w.connect()
	if f := awaitWA[*events.ConnectFailure](w); f.Reason != 400 {
		t.Errorf("refused with %+v", f)
	}
	setFaults(t, c, labapi.Faults{RefusedLogins: 1, LoginFailureReason: 503})
	w.connect()
	awaitWA[*events.Disconnected](w)
	setFaults(t, c, labapi.Faults{RefusedLogins: 1, LoginFailureReason: 402, LoginFailureCode: 104, LoginFailureSeconds: 60})
	w.connect()
	if f := awaitWA[*events.TemporaryBan](w); f.Code != events.TempBanCreatedTooManyGroups && f.Code != 104 || f.Expire != time.Minute {
		t.Errorf("refused with %+v", f)
	}
	w.reconnect()
	setFaults(t, c, labapi.Faults{RefusedLogins: 1, LoginFailureReason: 403})
	w.connect()
	if f := awaitWA[*events.LoggedOut](w); f.Reason != 403 {
		t.Errorf("refused with %+v", f)
	}
}

// Decision: an old client is refused whether it is linked or not, and the web page never
// names a version that would be.
func TestWhatsAppMinimumVersion(t *testing.T) {
	l, c, w := linkedWADevice(t, labapi.Faults{})
	latest := func() uint32 {
		t.Helper()
		transport := &http.Transport{DialTLSContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, l.Addrs().WhatsApp)
		}}
		defer transport.CloseIdleConnections()
		v, err := whatsmeow.GetLatestVersion(t.Context(), &http.Client{Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		return v[2]
	}
	if got := latest(); got != store.GetWAVersion()[2] {
		t.Errorf("the page says %d", got)
	}
	setFaults(t, c, labapi.Faults{MinimumClientVersion: "2.3000.1999999999"})
	w.connect()
	awaitWA[*events.ClientOutdated](w)
	unlinked := newWADevice(t, l.Addrs())
	unlinked.connect()
	awaitWA[*events.ClientOutdated](unlinked)
	if got := latest(); got != 1999999999 {
		t.Errorf("the page says %d", got)
	}
	setFaults(t, c, labapi.Faults{ClientRevision: 1234})
	if got := latest(); got != 1234 {
		t.Errorf("the page says %d", got)
	}
	w.reconnect()
}

func TestWhatsAppStreamErrors(t *testing.T) {
	_, c, w := linkedWADevice(t, labapi.Faults{})
	setFaults(t, c, labapi.Faults{StreamErrors: 1, StreamErrorCode: 516})
	w.connect()
	if e := awaitWA[*events.StreamError](w); e.Code != "516" {
		t.Errorf("the stream ended with %+v", e)
	}
	setFaults(t, c, labapi.Faults{StreamErrors: 1})
	w.connect()
	awaitWA[*events.Disconnected](w)
	w.reconnect()
}

func TestWhatsAppSilence(t *testing.T) {
	_, c, w := linkedWADevice(t, labapi.Faults{})
	setFaults(t, c, labapi.Faults{SilentPings: true})
	awaitWA[*events.KeepAliveTimeout](w)
	if err := w.ask(t.Context(), "abt", "get", nil); err != nil {
		t.Errorf("what is no ping is not answered: %v", err)
	}
	setFaults(t, c, labapi.Faults{SilentRequests: true})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := w.ask(ctx, "abt", "get", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a request is answered: %v", err)
	}
	setFaults(t, c, labapi.Faults{})
	awaitWA[*events.KeepAliveRestored](w)
	setFaults(t, c, labapi.Faults{Silence: true})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.addrs.WhatsApp+"/ws/chat", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(request); err == nil {
		_ = resp.Body.Close()
		t.Error("a silent server answers")
	}
}

func TestWhatsAppPairingDefects(t *testing.T) {
	for defect, want := range map[string]error{labapi.DefectHMAC: whatsmeow.ErrPairInvalidDeviceIdentityHMAC, labapi.DefectSignature: whatsmeow.ErrPairInvalidDeviceSignature} {
		t.Run(defect, func(t *testing.T) {
			c, w, codes := waitingWADevice(t, labapi.Faults{PairingDefect: defect})
			if got := reason(c.ScanCode(t.Context(), waPhone, codes[0])); got != labapi.ReasonDeviceRefused {
				t.Errorf("the scan ends with %s", got)
			}
			if e := awaitWA[*events.PairError](w); !errors.Is(e.Error, want) {
				t.Errorf("the device says %v", e.Error)
			}
			if got := devices(t, c, waPhone); len(got) != 0 {
				t.Errorf("the phone shows %+v", got)
			}
		})
	}
}

func TestWhatsAppWindowOfAnUnlinkedDevice(t *testing.T) {
	for name, faults := range map[string]labapi.Faults{
		"by its length": {CodesPerSession: 2, UnlinkedWindowSeconds: 0.3},
		"by its codes":  {CodesPerSession: 2, CodeLifeSeconds: 0.2},
	} {
		t.Run(name, func(t *testing.T) {
			c, w, codes := waitingWADevice(t, faults)
			if len(codes) != 2 {
				t.Fatalf("%d codes", len(codes))
			}
			awaitWA[*events.Disconnected](w)
			if got := reason(c.ScanCode(t.Context(), waPhone, codes[1])); got != labapi.ReasonExpiredCode {
				t.Errorf("a scan after the window: %s", got)
			}
		})
	}
}

func TestWhatsAppRotatedSecret(t *testing.T) {
	c, w, codes := waitingWADevice(t, labapi.Faults{RotatedSecrets: 1})
	awaitWA[*events.RotateADVSecret](w)
	if got := reason(c.ScanCode(t.Context(), waPhone, codes[0])); got != labapi.ReasonDeviceRefused {
		t.Errorf("a code with the old secret: %s", got)
	}
	if e := awaitWA[*events.PairError](w); !errors.Is(e.Error, whatsmeow.ErrPairInvalidDeviceIdentityHMAC) {
		t.Errorf("the device says %v", e.Error)
	}
}

func TestWhatsAppOldPhone(t *testing.T) {
	c, w, codes := waitingWADevice(t, labapi.Faults{OldPhones: 1})
	if got := reason(c.ScanCode(t.Context(), waPhone, codes[0])); got != labapi.ReasonOldPhone {
		t.Errorf("the scan of an old phone: %s", got)
	}
	awaitWA[*events.QRScannedWithoutMultidevice](w)
	if err := c.ScanCode(t.Context(), waPhone, codes[0]); err != nil {
		t.Errorf("the scan of another phone: %v", err)
	}
}

// Decision: a link that was cut in its last moment holds: the device has only to come again.
func TestWhatsAppCutLinks(t *testing.T) {
	c, w, codes := waitingWADevice(t, labapi.Faults{CutLinks: 1})
	if err := c.ScanCode(t.Context(), waPhone, codes[0]); err != nil {
		t.Fatal(err)
	}
	awaitWA[*events.PairSuccess](w)
	w.reconnect()
}

func TestWhatsAppConnectionsThatFail(t *testing.T) {
	l, c := startLab(t, lab.Config{}, lab.Deps{})
	w := newWADevice(t, l.Addrs())
	for _, status := range []int{403, 429, 503} {
		setFaults(t, c, labapi.Faults{UpgradeStatus: status})
		err := w.dial()
		if e, ok := errors.AsType[socket.ErrWithStatusCode](err); !ok || e.StatusCode != status {
			t.Errorf("with status %d: %v", status, err)
		}
	}
	for _, faults := range []labapi.Faults{{Certificate: labapi.CertificateWrong}, {Certificate: labapi.CertificateExpired}, {RefuseConnections: true}} {
		setFaults(t, c, faults)
		if err := w.dial(); err == nil {
			t.Errorf("connected in spite of %+v", faults)
		}
	}
	// The handshake and the codes; an answer to a ping would be one more.
	setFaults(t, c, labapi.Faults{AbruptCloseAfter: 2})
	w.connect()
	awaitWA[*events.QR](w)
	awaitWA[*events.Disconnected](w)
	setFaults(t, c, labapi.Faults{SlowAnswersMs: 20})
	w.connect()
	awaitWA[*events.QR](w)
}

func TestWhatsAppPhoneCodesAreRefused(t *testing.T) {
	_, w, _ := waitingWADevice(t, labapi.Faults{ThrottledLogins: 1})
	ask := func(name string) error {
		_, err := w.client.PairPhone(t.Context(), waPhone, false, whatsmeow.PairClientChrome, name)
		return err
	}
	if err := ask("Pairgate"); !errors.Is(err, whatsmeow.ErrIQBadRequest) {
		t.Errorf("a display name of its own: %v", err)
	}
	if err := ask("Chrome (Linux)"); !errors.Is(err, whatsmeow.ErrIQRateOverLimit) {
		t.Errorf("when throttled: %v", err)
	}
	if err := ask("Chrome (Linux)"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestWhatsAppPhoneCodeExpires(t *testing.T) {
	c, w, _ := waitingWADevice(t, labapi.Faults{PairingCodeLifeSeconds: 0.05})
	code, err := w.client.PairPhone(t.Context(), waPhone, false, whatsmeow.PairClientChrome, "Chrome (Linux)")
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the code to expire", func() bool { return reason(c.EnterCode(t.Context(), waPhone, code)) == labapi.ReasonExpiredCode })
}

func TestWhatsAppFaultsAreChecked(t *testing.T) {
	_, c := startLab(t, lab.Config{}, lab.Deps{})
	err := c.SetFaults(t.Context(), labapi.Faults{UpgradeStatus: 200, Certificate: "odd", PairingDefect: "odd", StreamErrors: -1, UnlinkedWindowSeconds: 0.001, PreKeyCount: -1})
	if e, ok := errors.AsType[*labclient.Error](err); !ok || len(e.Errors) != 6 {
		t.Errorf("%v", err)
	}
}
