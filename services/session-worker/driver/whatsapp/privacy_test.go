package whatsapp_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/session-worker/driver"
	"pairgate.dev/services/session-worker/driver/whatsapp"
)

// Nothing that links or names an account is logged, whatever goes wrong.
func TestLogsShowNoSecrets(t *testing.T) {
	l := startLab(t)
	m := newMessenger(t, l)
	core, logs := observer.New(zapcore.DebugLevel)
	d := newDriver(t, l, t.TempDir()+"/keys", func(o *whatsapp.Options) { o.Log = zap.New(core) })
	var secrets []string
	for i, faults := range []labapi.Faults{
		{PairingDefect: labapi.DefectHMAC}, {StreamErrors: 1, StreamErrorCode: 500},
		{RefusedLogins: 1, LoginFailureReason: 402, LoginFailureCode: 101},
	} {
		must(t, m.SetFaults(t.Context(), faults))
		phone := newPhone(t, m, labapi.NewAccount{})
		p := driver.PairParams{}
		if i == 0 {
			p.Method, p.Phone = instance.MethodCode, phone
		}
		s := pair(d, p)
		qr := await[instance.CodeIssued](t, s).Text
		fields := strings.Split(qr, ",")
		// The last field names the platform in one character.
		secrets = append(append(secrets, phone), fields[:len(fields)-1]...)
		if i == 0 {
			code := await[instance.PairingCodeIssued](t, s).Code
			secrets = append(secrets, code, code[:4]+"-"+code[4:])
			_ = m.EnterCode(t.Context(), phone, code)
		} else {
			_ = m.Scan(t.Context(), phone, qr)
		}
		s.Close()
	}
	must(t, d.Close())
	for _, entry := range logs.All() {
		line := entry.Message + fmt.Sprint(entry.ContextMap())
		for _, secret := range secrets {
			if strings.Contains(line, secret) {
				t.Errorf("a secret is in the log line %q", entry.Message)
			}
		}
	}
	noneLeft(t)
}

// While the messenger is known to refuse the version, nobody dials; with another one everybody does.
func TestRefusedVersionIsNotTriedAgain(t *testing.T) {
	l := startLab(t)
	m := newMessenger(t, l)
	direct := startFront(t, l.Addrs().WhatsApp, plainly)
	d := newDriver(t, l, t.TempDir()+"/keys", func(o *whatsapp.Options) { o.Endpoint = direct.Addr().String() })
	var refused, accepted atomic.Int64
	d.OnVersionVerdict(func(_ string, no bool) {
		if no {
			refused.Add(1)
		} else {
			accepted.Add(1)
		}
	})
	must(t, m.SetFaults(t.Context(), labapi.Faults{MinimumClientVersion: "2.3000.2000000000"}))
	closes(t, pair(d, driver.PairParams{}), instance.ReasonClientOutdated)
	dialled := direct.count.Load()
	for range 5 {
		closes(t, pair(d, driver.PairParams{}), instance.ReasonClientOutdated)
	}
	if n := direct.count.Load(); n != dialled {
		t.Errorf("%d more connections with a version that is refused", n-dialled)
	}
	if d.SetClientVersion("2.3000") == nil || d.SetClientVersion("latest") == nil {
		t.Error("a version of another form was taken")
	}
	must(t, d.SetClientVersion("2.3000.2000000000"))
	s := linkWith(t, m, d, driver.PairParams{}, newPhone(t, m, labapi.NewAccount{}))
	s.Close()
	if refused.Load() != 1 || accepted.Load() != 0 {
		t.Errorf("told of %d refusals and %d acceptances, want one refusal", refused.Load(), accepted.Load())
	}
	must(t, d.SetClientVersion(""))
	if d.OwnVersion() == "" {
		t.Error("the library has no version")
	}
	closes(t, login(d, driver.Common{Instance: s.id}), instance.ReasonClientOutdated)
	must(t, d.Close())
	noneLeft(t)
}

// Options that do not fit are refused with a word about which.
func TestOptionsAreChecked(t *testing.T) {
	l, _, d := setup(t)
	root := noiseRoot(t, l)
	other := append([]byte{root[0] + 1}, root[1:]...)
	good := whatsapp.Options{Keys: d.keys, Endpoint: l.Addrs().WhatsApp, NoiseRoot: root}
	for name, change := range map[string]func(*whatsapp.Options){
		"no keys":                func(o *whatsapp.Options) { o.Keys = nil },
		"endpoint without root":  func(o *whatsapp.Options) { o.NoiseRoot = nil },
		"root without endpoint":  func(o *whatsapp.Options) { o.Endpoint = "" },
		"endpoint far away":      func(o *whatsapp.Options) { o.Endpoint = "192.0.2.1:443" },
		"another root":           func(o *whatsapp.Options) { o.NoiseRoot = other },
		"short root":             func(o *whatsapp.Options) { o.NoiseRoot = root[:31] },
		"no version":             func(o *whatsapp.Options) { o.Version = "2.3000.x" },
		"unknown platform":       func(o *whatsapp.Options) { o.Platform = "netscape" },
		"negative connect limit": func(o *whatsapp.Options) { o.ConnectsPerSecond = -1 },
	} {
		o := good
		change(&o)
		if n, err := whatsapp.New(o); err == nil {
			t.Errorf("%s: taken", name)
			_ = n.Close()
		}
	}
}
