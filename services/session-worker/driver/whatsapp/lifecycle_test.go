package whatsapp_test

import (
	"fmt"
	"testing"
	"time"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/session-worker/driver"
)

// What the server says at a login or after it, and how the session ends. Keys stay
// whatever is said. A server that closes at once may let its last word be lost: it
// comes again at the next login.
func TestHowSessionsEnd(t *testing.T) {
	rows := []struct {
		name   string
		faults labapi.Faults
		want   instance.Reason
		until  time.Duration
	}{
		{"400", labapi.Faults{LoginFailureReason: 400}, instance.ReasonLoginRefused, 0},
		{"401", labapi.Faults{LoginFailureReason: 401}, instance.ReasonLoggedOutOnPhone, 0},
		{"402", labapi.Faults{LoginFailureReason: 402, LoginFailureCode: 101, LoginFailureSeconds: 3600}, instance.ReasonBanned, time.Hour},
		{"402 without an end", labapi.Faults{LoginFailureReason: 402, LoginFailureCode: 106}, instance.ReasonBanned, 24 * time.Hour},
		{"403", labapi.Faults{LoginFailureReason: 403}, instance.ReasonLoggedOutOnPhone, 0},
		{"406", labapi.Faults{LoginFailureReason: 406}, instance.ReasonBanned, 0},
		{"409", labapi.Faults{LoginFailureReason: 409}, instance.ReasonLoginRefused, 0},
		{"418", labapi.Faults{LoginFailureReason: 418}, instance.ReasonLoginRefused, 0},
		{"429", labapi.Faults{LoginFailureReason: 429}, instance.ReasonThrottled, time.Minute},
		{"500", labapi.Faults{LoginFailureReason: 500}, instance.ReasonConnectionClosed, 0},
		{"503", labapi.Faults{LoginFailureReason: 503}, instance.ReasonConnectionClosed, 0},
		{"stream error 503", labapi.Faults{StreamErrorCode: 503}, instance.ReasonConnectionClosed, 0},
		{"stream error 500", labapi.Faults{StreamErrorCode: 500}, instance.ReasonConnectionClosed, 0},
		{"stream error 515", labapi.Faults{StreamErrorCode: 515}, instance.ReasonConnectionClosed, 0},
		{"upgrade 403", labapi.Faults{UpgradeStatus: 403}, instance.ReasonUnreachable, 0},
		{"upgrade 429", labapi.Faults{UpgradeStatus: 429}, instance.ReasonThrottled, time.Minute},
		{"upgrade 503", labapi.Faults{UpgradeStatus: 503}, instance.ReasonUnreachable, 0},
		{"refused connections", labapi.Faults{RefuseConnections: true}, instance.ReasonUnreachable, 0},
		{"wrong certificate", labapi.Faults{Certificate: labapi.CertificateWrong}, instance.ReasonUnreachable, 0},
		{"expired certificate", labapi.Faults{Certificate: labapi.CertificateExpired}, instance.ReasonUnreachable, 0},
		{"no more pings", labapi.Faults{SilentPings: true}, instance.ReasonKeepaliveTimeout, 0},
	}
	for _, hostile := range []bool{false, true} {
		t.Run(fmt.Sprintf("hostile=%v", hostile), func(t *testing.T) {
			_, m, d := setup(t)
			phone := newPhone(t, m, labapi.NewAccount{})
			linked := linkWith(t, m, d, driver.PairParams{}, phone)
			linked.Close()
			for _, row := range rows {
				if hostile && row.faults.SilentPings {
					continue // Nobody closes anything.
				}
				t.Run(row.name, func(t *testing.T) {
					row.faults.HostileClose = hostile
					if row.faults.LoginFailureReason != 0 {
						row.faults.RefusedLogins = 1_000
					}
					if row.faults.StreamErrorCode != 0 {
						row.faults.StreamErrors = 1_000
					}
					must(t, m.SetFaults(t.Context(), row.faults))
					c := endOf(t, d, linked.id, hostile, row.want)
					if row.until != 0 != !c.Until.IsZero() {
						t.Errorf("the end of the wait is %v", c.Until)
					}
					if d := time.Until(c.Until); row.until != 0 && (d > row.until+time.Second || d < row.until-time.Minute) {
						t.Errorf("it may be tried again in %v, want %v", d, row.until)
					}
					if _, ok, err := d.Account(t.Context(), linked.id); !ok || err != nil {
						t.Fatalf("the keys are gone: %v, %v", ok, err)
					}
				})
			}
			must(t, m.ClearFaults(t.Context()))
			again := login(d, driver.Common{Instance: linked.id})
			await[instance.Connected](t, again)
			again.Close()
		})
	}
}

// endOf logs in and returns how that ends; at a hostile server, at the latest at the tenth try.
func endOf(t *testing.T, d driver.Driver, id instance.ID, hostile bool, want instance.Reason) (c instance.Closed) {
	t.Helper()
	for range 10 {
		s := login(d, driver.Common{Instance: id})
		c = await[instance.Closed](t, s)
		s.Close()
		if c.Reason == want {
			return c
		}
		if !hostile || c.Reason != instance.ReasonConnectionClosed {
			break
		}
	}
	t.Fatalf("closed with %s (%s), want %s", c.Reason, c.Detail, want)
	return c
}

// In both timings a device that was linked comes online, is kicked, comes back and leaves.
func TestLifeAtAHostileServer(t *testing.T) {
	_, m, d := setup(t)
	must(t, m.SetFaults(t.Context(), labapi.Faults{HostileClose: true}))
	for range 5 {
		phone := newPhone(t, m, labapi.NewAccount{})
		s := linkWith(t, m, d, driver.PairParams{}, phone)
		must(t, m.Drop(t.Context(), phone))
		closes(t, s, instance.ReasonConnectionClosed)
		s = login(d, driver.Common{Instance: s.id})
		await[instance.Connected](t, s)
		// The server says that the device was removed, and closes, before it answers.
		must(t, s.Logout(t.Context()))
		await[instance.Closed](t, s)
		devices(t, m, phone, 0)
		must(t, d.Forget(t.Context(), s.id))
	}
}

// The phone has linked the device, and the connection is lost in place of the stream
// error 515: the session logs in all the same.
func TestLinkThatIsCutComesOnline(t *testing.T) {
	_, m, d := setup(t)
	must(t, m.SetFaults(t.Context(), labapi.Faults{CutLinks: 1}))
	linkWith(t, m, d, driver.PairParams{}, newPhone(t, m, labapi.NewAccount{})).Close()
}

// A phone that hands over what does not fit is refused, and nothing is kept.
func TestDefectiveLinksAreRefused(t *testing.T) {
	_, m, d := setup(t)
	for _, defect := range []string{labapi.DefectHMAC, labapi.DefectSignature} {
		must(t, m.SetFaults(t.Context(), labapi.Faults{PairingDefect: defect}))
		phone := newPhone(t, m, labapi.NewAccount{})
		s := pair(d, driver.PairParams{})
		if m.Scan(t.Context(), phone, await[instance.CodeIssued](t, s).Text) == nil {
			t.Errorf("%s: the phone shows the device as linked", defect)
		}
		closes(t, s, instance.ReasonPairingRefused)
		s.Close()
		if _, ok, err := d.Account(t.Context(), s.id); ok || err != nil {
			t.Errorf("%s: there are keys: %v, %v", defect, ok, err)
		}
	}
}

// The server may have the secret in the codes changed: what is shown then is drawn anew.
func TestRotatedSecretsAreShown(t *testing.T) {
	_, m, d := setup(t)
	must(t, m.SetFaults(t.Context(), labapi.Faults{RotatedSecrets: 1}))
	phone := newPhone(t, m, labapi.NewAccount{})
	s := pair(d, driver.PairParams{})
	first := await[instance.CodeIssued](t, s)
	second := await[instance.CodeIssued](t, s)
	if second.Text == first.Text || !second.Expires.Equal(first.Expires) {
		t.Error("the code was not drawn anew, or its life was changed")
	}
	must(t, m.Scan(t.Context(), phone, second.Text))
	await[instance.Connected](t, s)
	s.Close()
}

// A phone that cannot link devices leaves the code as good as it was.
func TestOldPhonesLeaveTheCode(t *testing.T) {
	_, m, d := setup(t)
	must(t, m.SetFaults(t.Context(), labapi.Faults{OldPhones: 1}))
	phone := newPhone(t, m, labapi.NewAccount{})
	s := pair(d, driver.PairParams{})
	code := await[instance.CodeIssued](t, s)
	if m.Scan(t.Context(), phone, code.Text) == nil {
		t.Fatal("the old phone has linked a device")
	}
	must(t, m.Scan(t.Context(), phone, code.Text))
	await[instance.Connected](t, s)
	s.Close()
}

// Phones list the device by the name of its instance, and two sessions do not share one.
func TestEachInstanceHasItsName(t *testing.T) {
	_, m, d := setup(t)
	for _, name := range []string{"Front desk", ""} {
		phone := newPhone(t, m, labapi.NewAccount{})
		s := linkWith(t, m, d, driver.PairParams{Common: driver.Common{DeviceName: name}}, phone)
		a, err := m.Account(t.Context(), phone)
		must(t, err)
		want := name
		if want == "" {
			want = "Pairgate"
		}
		if len(a.Devices) != 1 || a.Devices[0].Name != want {
			t.Errorf("the phone shows %v, want one device called %q", a.Devices, want)
		}
		s.Close()
	}
}
