package adv_test

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
	"google.golang.org/protobuf/proto"

	"pairgate.dev/services/lab/internal/whatsapp/adv"
)

// forgetful is a store that keeps nothing.
type forgetful struct{ *store.NoopStore }

func (forgetful) PutDevice(context.Context, *store.Device) error    { return nil }
func (forgetful) DeleteDevice(context.Context, *store.Device) error { return nil }

func device() *store.Device {
	d := &store.Device{NoiseKey: keys.NewKeyPair(), IdentityKey: keys.NewKeyPair(), RegistrationID: 0x01020304,
		AdvSecretKey: slices.Repeat([]byte{9}, 32), Container: forgetful{}, Initialized: true}
	d.SignedPreKey = d.IdentityKey.CreateSignedPreKey(0x010203)
	d.SetAllStores(&store.NoopStore{})
	d.LIDs = &store.NoopStore{}
	return d
}

// pair lets whatsmeow judge a container. It is not connected, so that it always fails:
// at the latest when it has accepted everything and would send its answer, which
// is returned.
func pair(t *testing.T, d *store.Device, container []byte) ([]byte, error) {
	t.Helper()
	jid := types.JID{User: "79001234567", Device: 1, Server: types.DefaultUserServer}
	lid := types.JID{User: "1234", Device: 1, Server: types.HiddenUserServer}
	//lint:ignore SA1019 the library's own judgement is what is wanted
	err := whatsmeow.NewClient(d, nil).DangerousInternals().HandlePair(t.Context(), container, "1", "", "android", jid, lid)
	if !errors.Is(err, whatsmeow.ErrNotConnected) {
		return nil, err
	}
	signed := proto.Clone(d.Account).(*waAdv.ADVSignedDeviceIdentity)
	signed.AccountSignatureKey = nil
	answer, err := proto.Marshal(signed)
	if err != nil {
		t.Fatal(err)
	}
	return answer, nil
}

func introduce(t *testing.T, d *store.Device, fault adv.Fault) *adv.Introduction {
	t.Helper()
	i, err := adv.NewAccount([32]byte{1}).Introduce(*d.IdentityKey.Pub, [32]byte(d.AdvSecretKey), 3, time.Now(), fault)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestWhatsmeowTakesAnIntroduction(t *testing.T) {
	d := device()
	i := introduce(t, d, adv.Fault{})
	answer, err := pair(t, d, i.Container())
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Verify(answer); err != nil {
		t.Error(err)
	}
	var details waAdv.ADVDeviceIdentity
	if err := proto.Unmarshal(d.Account.GetDetails(), &details); err != nil || details.GetKeyIndex() != i.KeyIndex() || i.KeyIndex() != 3 {
		t.Errorf("key index %d, %v", details.GetKeyIndex(), err)
	}
}

func TestWhatsmeowRefusesFaults(t *testing.T) {
	for _, tc := range []struct {
		fault adv.Fault
		want  error
	}{
		{adv.Fault{HMAC: true}, whatsmeow.ErrPairInvalidDeviceIdentityHMAC},
		{adv.Fault{Signature: true}, whatsmeow.ErrPairInvalidDeviceSignature},
	} {
		d := device()
		if _, err := pair(t, d, introduce(t, d, tc.fault).Container()); !errors.Is(err, tc.want) {
			t.Errorf("%+v: %v, want %v", tc.fault, err, tc.want)
		}
	}
}

func TestVerifyRefusesWrongAnswers(t *testing.T) {
	d := device()
	i := introduce(t, d, adv.Fault{})
	answer, err := pair(t, d, i.Container())
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*waAdv.ADVSignedDeviceIdentity){
		"details":           func(s *waAdv.ADVSignedDeviceIdentity) { s.Details = nil },
		"account signature": func(s *waAdv.ADVSignedDeviceIdentity) { s.AccountSignature[0] ^= 1 },
		"key left in":       func(s *waAdv.ADVSignedDeviceIdentity) { s.AccountSignatureKey = d.Account.AccountSignatureKey },
		"device signature":  func(s *waAdv.ADVSignedDeviceIdentity) { s.DeviceSignature[40] ^= 1 },
		"no signature":      func(s *waAdv.ADVSignedDeviceIdentity) { s.DeviceSignature = nil },
	} {
		var signed waAdv.ADVSignedDeviceIdentity
		if err := proto.Unmarshal(answer, &signed); err != nil {
			t.Fatal(err)
		}
		change(&signed)
		wrong, err := proto.Marshal(&signed)
		if err != nil {
			t.Fatal(err)
		}
		if err := i.Verify(wrong); !errors.Is(err, adv.ErrAnswer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := i.Verify([]byte{0xff}); !errors.Is(err, adv.ErrAnswer) {
		t.Errorf("garbage: %v", err)
	}
}

func TestAccountsOfOneSeedAreOne(t *testing.T) {
	one, again, other := adv.NewAccount([32]byte{1}), adv.NewAccount([32]byte{1}), adv.NewAccount([32]byte{2})
	if one.Identity() != again.Identity() || one.Identity() == other.Identity() {
		t.Error("the seed does not decide the identity")
	}
}

func TestRegistrationOfWhatsmeow(t *testing.T) {
	d := device()
	data := func() *waWa6.ClientPayload_DevicePairingRegistrationData {
		return d.GetClientPayload().GetDevicePairingData()
	}
	r, err := adv.ParseRegistration(data())
	if err != nil {
		t.Fatal(err)
	}
	if r.ID != d.RegistrationID || r.Identity != *d.IdentityKey.Pub || r.PreKey.ID != 0x010203 || r.PreKey.Key != *d.SignedPreKey.Pub ||
		r.Props.GetOs() != store.DeviceProps.GetOs() {
		t.Errorf("%+v", r)
	}
	for name, tc := range map[string]struct {
		change func(*waWa6.ClientPayload_DevicePairingRegistrationData)
		want   error
	}{
		"registration id": {func(p *waWa6.ClientPayload_DevicePairingRegistrationData) { p.ERegid = nil }, adv.ErrRegistration},
		"key type":        {func(p *waWa6.ClientPayload_DevicePairingRegistrationData) { p.EKeytype = []byte{4} }, adv.ErrRegistration},
		"identity":        {func(p *waWa6.ClientPayload_DevicePairingRegistrationData) { p.EIdent = p.EIdent[1:] }, adv.ErrRegistration},
		"prekey id":       {func(p *waWa6.ClientPayload_DevicePairingRegistrationData) { p.ESkeyID = nil }, adv.ErrRegistration},
		"prekey":          {func(p *waWa6.ClientPayload_DevicePairingRegistrationData) { p.ESkeyVal = nil }, adv.ErrRegistration},
		"build hash":      {func(p *waWa6.ClientPayload_DevicePairingRegistrationData) { p.BuildHash = nil }, adv.ErrRegistration},
		"properties":      {func(p *waWa6.ClientPayload_DevicePairingRegistrationData) { p.DeviceProps = []byte{0xff} }, adv.ErrRegistration},
		"signature":       {func(p *waWa6.ClientPayload_DevicePairingRegistrationData) { p.ESkeySig = make([]byte, 64) }, adv.ErrPreKey},
		"no signature":    {func(p *waWa6.ClientPayload_DevicePairingRegistrationData) { p.ESkeySig = nil }, adv.ErrPreKey},
	} {
		wrong := data()
		tc.change(wrong)
		if _, err := adv.ParseRegistration(wrong); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	if _, err := adv.ParseRegistration(nil); !errors.Is(err, adv.ErrRegistration) {
		t.Errorf("none: %v", err)
	}
}

func TestParseQROfWhatsmeow(t *testing.T) {
	d := device()
	//lint:ignore SA1019 the library's own text is what is wanted
	text := whatsmeow.NewClient(d, nil).DangerousInternals().MakeQRData([]byte("2@abc/d+e="), whatsmeow.PairClientChrome)
	want := adv.QR{Ref: "2@abc/d+e=", Noise: *d.NoiseKey.Pub, Identity: *d.IdentityKey.Pub, Secret: [32]byte(d.AdvSecretKey), ClientType: "1"}
	if !strings.HasPrefix(text, adv.LinkPrefix) {
		t.Error("whatsmeow's prefix is another")
	}
	bare := strings.TrimPrefix(text, adv.LinkPrefix)
	for _, text := range []string{text, bare} {
		if got, err := adv.ParseQR(text); err != nil || got != want {
			t.Errorf("%+v, %v", got, err)
		}
	}
	want.ClientType = ""
	if got, err := adv.ParseQR(strings.TrimSuffix(bare, ",1")); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for _, wrong := range []string{"", "hello", bare + ",1", "," + bare, strings.TrimPrefix(bare, "2@abc/d+e="), "https://example.org/#" + bare,
		strings.Replace(bare, ",", ",A", 1), strings.Replace(bare, base64.StdEncoding.EncodeToString(d.AdvSecretKey), "AAAA", 1)} {
		if got, err := adv.ParseQR(wrong); !errors.Is(err, adv.ErrQR) {
			t.Errorf("%q: %+v, %v", wrong, got, err)
		} else if len(wrong) > 20 && strings.Contains(err.Error(), wrong[10:20]) {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
}

func FuzzParseQR(f *testing.F) {
	key := base64.StdEncoding.EncodeToString(make([]byte, 32))
	f.Add(adv.LinkPrefix + "2@ref," + key + "," + key + "," + key + ",1")
	f.Add("2@ref," + key + "," + key + "," + key)
	f.Add("https://example.org/#2@ref," + key + "," + key + "," + key)
	f.Fuzz(func(t *testing.T, text string) {
		qr, err := adv.ParseQR(text)
		if err != nil {
			if !errors.Is(err, adv.ErrQR) {
				t.Errorf("%v", err)
			}
			return
		}
		rest := strings.TrimPrefix(text, adv.LinkPrefix)
		if !strings.HasPrefix(rest, qr.Ref+",") || !strings.HasSuffix(rest, qr.ClientType) {
			t.Errorf("%+v out of %q", qr, text)
		}
	})
}

func FuzzVerify(f *testing.F) {
	i, err := adv.NewAccount([32]byte{1}).Introduce([32]byte{2}, [32]byte{3}, 1, time.Unix(0, 0), adv.Fault{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(i.Container())
	f.Fuzz(func(t *testing.T, answer []byte) {
		if i.Verify(answer) == nil {
			t.Error("accepted without the device's key")
		}
	})
}

func FuzzParseRegistration(f *testing.F) {
	payload, err := proto.Marshal(device().GetClientPayload())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload)
	f.Fuzz(func(t *testing.T, in []byte) {
		var payload waWa6.ClientPayload
		if proto.Unmarshal(in, &payload) == nil {
			_, _ = adv.ParseRegistration(payload.GetDevicePairingData())
		}
	})
}
