package whatsapp

import (
	"crypto/md5"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/proto/waCompanionReg"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"google.golang.org/protobuf/proto"
)

func TestPayloadShowsTheVersionAndTheName(t *testing.T) {
	device := sqlstore.NewWithDB(nil, "sqlite", nil).NewDevice()
	version := store.WAVersionContainer{2, 3000, 1234567890}
	shown := payload(device, version, "Front desk", platforms["firefox"])()
	app := shown.UserAgent.AppVersion
	if app.GetPrimary() != 2 || app.GetSecondary() != 3000 || app.GetTertiary() != 1234567890 {
		t.Errorf("the version shown is %v", app)
	}
	if want := md5.Sum([]byte("2.3000.1234567890")); string(shown.DevicePairingData.BuildHash) != string(want[:]) {
		t.Error("the hash of the build is of another version")
	}
	var props waCompanionReg.DeviceProps
	if err := proto.Unmarshal(shown.DevicePairingData.DeviceProps, &props); err != nil {
		t.Fatal(err)
	}
	if props.GetOs() != "Front desk" || props.GetPlatformType() != waCompanionReg.DeviceProps_FIREFOX {
		t.Errorf("the device is called %q on %v", props.GetOs(), props.GetPlatformType())
	}
	if store.DeviceProps.GetOs() == "Front desk" {
		t.Error("the name went into the library's global variable, where every session would show it")
	}
}

func TestVerdictsLiveForAWhile(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	old, newer := store.WAVersionContainer{2, 3000, 1}, store.WAVersionContainer{2, 3000, 2}
	type told struct {
		version string
		refused bool
	}
	var news []told
	v := &versions{version: old, tell: func(version string, refused bool) { news = append(news, told{version, refused}) }}
	if _, refused := v.inForce(now); refused {
		t.Fatal("refused before it was tried")
	}
	v.verdict(old, true, now)
	v.verdict(old, true, now)
	if _, refused := v.inForce(now.Add(verdictLife - 1)); !refused {
		t.Error("the messenger is asked again too soon")
	}
	if _, refused := v.inForce(now.Add(verdictLife)); refused {
		t.Error("the messenger is never asked again")
	}
	v.version = newer
	if _, refused := v.inForce(now); refused {
		t.Error("another version is taken for refused")
	}
	v.verdict(newer, false, now)
	v.version = old
	if _, refused := v.inForce(now); !refused {
		t.Error("accepting one version made another one accepted")
	}
	v.verdict(old, false, now)
	if _, refused := v.inForce(now); refused {
		t.Error("an accepted version is still taken for refused")
	}
	if len(news) != 2 || news[0] != (told{"2.3000.1", true}) || news[1] != (told{"2.3000.1", false}) {
		t.Errorf("what was told: %v", news)
	}
}

func FuzzClientVersion(f *testing.F) {
	for _, s := range []string{"2.3000.1047769893", "", "2.3000", "2.3000.-1", "2.3000.4294967296", "0.0.0", "2.03000.1", "٢.3000.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parseVersion(s)
		if err == nil && v.String() != s {
			t.Errorf("%q is read as %s", s, v)
		}
	})
}
