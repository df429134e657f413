package whatsapp_test

import (
	"testing"
	"time"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/session-worker/driver"
	"pairgate.dev/services/session-worker/driver/whatsapp"
)

// Who asks too often for pairing codes is told so, and when to come again.
func TestPairingCodesAreThrottled(t *testing.T) {
	_, m, d := setup(t)
	must(t, m.SetFaults(t.Context(), labapi.Faults{ThrottledLogins: 1}))
	s := pair(d, driver.PairParams{Method: instance.MethodCode, Phone: newPhone(t, m, labapi.NewAccount{})})
	if c := closes(t, s, instance.ReasonThrottled); !c.Until.After(time.Now()) {
		t.Errorf("it may be tried again at %v", c.Until)
	}
	s.Close()
}

// Numbers that can be nobody's are refused before anything is dialled.
func TestPairingCodeNeedsANumber(t *testing.T) {
	_, _, d := setup(t)
	for _, phone := range []string{"", "123456", "0791234567", "+4915112345678", "1234567890123456", "49 151 12345678"} {
		s := pair(d, driver.PairParams{Method: instance.MethodCode, Phone: phone})
		closes(t, s, instance.ReasonPairingRefused)
		s.Close()
	}
}

// WhatsApp gives pairing codes to browsers with a usual name only.
func TestEveryPlatformGetsPairingCodes(t *testing.T) {
	l := startLab(t)
	m := newMessenger(t, l)
	for _, platform := range []string{"chrome", "firefox", "edge", "opera", "safari"} {
		d := newDriver(t, l, t.TempDir()+"/keys", func(o *whatsapp.Options) { o.Platform = platform })
		s := pair(d, driver.PairParams{Method: instance.MethodCode, Phone: newPhone(t, m, labapi.NewAccount{})})
		await[instance.PairingCodeIssued](t, s)
		s.Close()
		must(t, d.Close())
	}
	noneLeft(t)
}
