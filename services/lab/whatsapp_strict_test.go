package lab_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"go.mau.fi/whatsmeow/util/keys"
	"google.golang.org/protobuf/proto"

	"pairgate.dev/services/lab"
	"pairgate.dev/services/lab/labapi"
)

// Decision: the lab refuses what the real server would, so that a driver which passes
// here is not merely one that nobody looked at.
func TestWhatsAppRefusesMalformedRegistrations(t *testing.T) {
	l, _ := startLab(t, lab.Config{}, lab.Deps{})
	other := keys.NewKeyPair()
	for name, change := range map[string]func(*waWa6.ClientPayload){
		"a build hash of another version":    func(p *waWa6.ClientPayload) { p.UserAgent.AppVersion.Tertiary = proto.Uint32(1) },
		"a short build hash":                 func(p *waWa6.ClientPayload) { p.DevicePairingData.BuildHash = []byte{1} },
		"no version":                         func(p *waWa6.ClientPayload) { p.UserAgent = nil },
		"a prekey that somebody else signed": func(p *waWa6.ClientPayload) { p.DevicePairingData.ESkeySig = other.CreateSignedPreKey(1).Signature[:] },
		"another identity":                   func(p *waWa6.ClientPayload) { p.DevicePairingData.EIdent = other.Pub[:] },
		"a short registration id":            func(p *waWa6.ClientPayload) { p.DevicePairingData.ERegid = []byte{1, 2} },
		"a long prekey id":                   func(p *waWa6.ClientPayload) { p.DevicePairingData.ESkeyID = []byte{1, 2, 3, 4} },
		"another key type":                   func(p *waWa6.ClientPayload) { p.DevicePairingData.EKeytype = []byte{6} },
		"properties that are none":           func(p *waWa6.ClientPayload) { p.DevicePairingData.DeviceProps = []byte{0xff} },
		"a login besides":                    func(p *waWa6.ClientPayload) { p.Username = proto.Uint64(79001234567) },
		"a passive registration":             func(p *waWa6.ClientPayload) { p.Passive = proto.Bool(true) },
		"neither one nor the other":          func(p *waWa6.ClientPayload) { p.DevicePairingData = nil },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWADevice(t, l.Addrs())
			w.payload = change
			w.connect()
			if f := awaitWA[*events.ConnectFailure](w); f.Reason != 400 {
				t.Errorf("refused with %+v", f)
			}
		})
	}
}

func TestWhatsAppRefusesAnotherNoiseKey(t *testing.T) {
	_, c, w := linkedWADevice(t, labapi.Faults{})
	w.device.NoiseKey = keys.NewKeyPair()
	w.connect()
	if told := awaitWA[*events.LoggedOut](w); !told.OnConnect || told.Reason != 401 {
		t.Errorf("it was told %+v", told)
	}
	if got := devices(t, c, waPhone); len(got) != 1 || got[0].MostConnections != 1 {
		t.Errorf("the phone shows %+v", got)
	}
}

func TestWhatsAppRefusesAnUnknownDevice(t *testing.T) {
	_, _, w := linkedWADevice(t, labapi.Faults{})
	w.payload = func(p *waWa6.ClientPayload) { p.Device = proto.Uint32(p.GetDevice() + 1) }
	w.connect()
	awaitWA[*events.LoggedOut](w)
}

func TestWhatsAppRefusesAWrongDeviceSignature(t *testing.T) {
	l, c := startLab(t, lab.Config{}, lab.Deps{})
	addWhatsApp(t, c, waPhone)
	w := newWADevice(t, l.Addrs())
	// It says who it is, but does not hold the key.
	w.device.IdentityKey = &keys.KeyPair{Pub: w.device.IdentityKey.Pub, Priv: keys.NewKeyPair().Priv}
	w.connect()
	if got := reason(c.ScanCode(t.Context(), waPhone, awaitWA[*events.QR](w).Codes[0])); got != labapi.ReasonDeviceRefused {
		t.Errorf("the scan ends with %s", got)
	}
	if got := devices(t, c, waPhone); len(got) != 0 {
		t.Errorf("the phone shows %+v", got)
	}
}

func TestWhatsAppRefusesStaleAndForeignReferences(t *testing.T) {
	c, w, codes := waitingWADevice(t, labapi.Faults{})
	if got := reason(c.ScanCode(t.Context(), waPhone, "2@unknown")); got != labapi.ReasonUnknownCode {
		t.Errorf("what is no code: %s", got)
	}
	other := newWADevice(t, w.addrs)
	other.connect()
	theirs := awaitWA[*events.QR](other).Codes[0]
	if got := reason(c.ScanCode(t.Context(), waPhone, swapReference(t, codes[0], theirs))); got != labapi.ReasonUnknownCode {
		t.Errorf("the reference of one device with the keys of another: %s", got)
	}
	w.disconnect()
	waitFor(t, "the code to be over", func() bool {
		return reason(c.ScanCode(t.Context(), waPhone, codes[0])) == labapi.ReasonExpiredCode
	})
}

// swapReference is a code with the reference of another one.
func swapReference(t *testing.T, code, other string) string {
	t.Helper()
	_, rest, ok := strings.Cut(code, ",")
	ref, _, also := strings.Cut(other, ",")
	if !ok || !also {
		t.Fatal("a code without commas")
	}
	return ref + "," + rest
}

// upload uploads one prekey as the library would, but for change.
func upload(t *testing.T, w *waDevice, change func(*binary.Node)) error {
	t.Helper()
	key := func(tag string, k *keys.PreKey) binary.Node {
		n := binary.Node{Tag: tag, Content: []binary.Node{
			{Tag: "id", Content: []byte{byte(k.KeyID >> 16), byte(k.KeyID >> 8), byte(k.KeyID)}}, {Tag: "value", Content: k.Pub[:]}}}
		if k.Signature != nil {
			n.Content = append(n.GetChildren(), binary.Node{Tag: "signature", Content: k.Signature[:]})
		}
		return n
	}
	whole := binary.Node{Content: []binary.Node{
		{Tag: "registration", Content: []byte{0, 0, 0, 77}}, {Tag: "type", Content: []byte{5}},
		{Tag: "identity", Content: w.device.IdentityKey.Pub[:]},
		{Tag: "list", Content: []binary.Node{key("key", keys.NewPreKey(5000)), key("key", keys.NewPreKey(5001))}},
		key("skey", w.device.SignedPreKey)}}
	change(&whole)
	return w.ask(t.Context(), "encrypt", "set", whole.Content)
}

func TestWhatsAppRefusesPreKeysThatAreReused(t *testing.T) {
	_, _, w := linkedWADevice(t, labapi.Faults{})
	var first binary.Node
	if err := upload(t, w, func(n *binary.Node) { first = *n }); err != nil {
		t.Fatal(err)
	}
	if err := upload(t, w, func(n *binary.Node) { n.Content = first.Content }); err != nil {
		t.Errorf("the same keys once more, as after a lost answer: %v", err)
	}
	for name, change := range map[string]func(*binary.Node){
		"other keys of the same ids": func(*binary.Node) {},
		"one id twice": func(n *binary.Node) {
			list := child(n, "list")
			list.Content = append(list.GetChildren(), list.GetChildren()[0])
		},
		"no keys": func(n *binary.Node) { child(n, "list").Content = []binary.Node{} },
		"a short key": func(n *binary.Node) {
			child(child(n, "list"), "key").Content = []binary.Node{{Tag: "id", Content: []byte{0, 9, 9}}}
		},
		"another identity":        func(n *binary.Node) { child(n, "identity").Content = keys.NewKeyPair().Pub[:] },
		"another registration id": func(n *binary.Node) { child(n, "registration").Content = []byte{0, 0, 0, 78} },
		"a signed key without its signature": func(n *binary.Node) {
			skey := child(n, "skey")
			skey.Content = skey.GetChildren()[:2]
		},
	} {
		if err := upload(t, w, change); !errors.Is(err, whatsmeow.ErrIQNotAcceptable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// child is the first child with this tag, in place.
func child(n *binary.Node, tag string) *binary.Node {
	children := n.GetChildren()
	for i := range children {
		if children[i].Tag == tag {
			return &children[i]
		}
	}
	return &binary.Node{}
}

func TestWhatsAppRefusesToRemoveAnotherDevice(t *testing.T) {
	_, c, w := linkedWADevice(t, labapi.Faults{})
	err := w.ask(t.Context(), "md", "set", []binary.Node{{Tag: "remove-companion-device", Attrs: binary.Attrs{"jid": types.NewADJID("79990000000", 0, 1), "reason": "user_initiated"}}})
	if !errors.Is(err, whatsmeow.ErrIQForbidden) {
		t.Errorf("it was told %v", err)
	}
	if got := devices(t, c, waPhone); len(got) != 1 {
		t.Errorf("the phone shows %+v", got)
	}
}

func TestWhatsAppRefusesAWrongPasskey(t *testing.T) {
	l, c := startLab(t, lab.Config{}, lab.Deps{})
	const other = "79001234568"
	for _, phone := range []string{waPhone, other} {
		if _, err := c.AddAccount(t.Context(), labapi.NewAccount{Provider: "whatsapp", Phone: phone, Passkey: true}); err != nil {
			t.Fatal(err)
		}
	}
	w := newWADevice(t, l.Addrs())
	w.connect()
	if err := c.ScanCode(t.Context(), waPhone, awaitWA[*events.QR](w).Codes[0]); err != nil {
		t.Fatal(err)
	}
	options, err := json.Marshal(awaitWA[*events.PairPasskeyRequest](w).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AnswerPasskey(t.Context(), other, string(options)); reason(err) != labapi.ReasonPasskeyRefused {
		t.Errorf("the passkey of another phone: %v", err)
	}
	if _, err := c.AnswerPasskey(t.Context(), waPhone, `{"rpId":"example.com"}`); reason(err) != labapi.ReasonPasskeyRefused {
		t.Errorf("a challenge of another site: %v", err)
	}
	answer, err := c.AnswerPasskey(t.Context(), waPhone, string(options))
	if err != nil {
		t.Fatal(err)
	}
	var response types.WebAuthnResponse
	if err := json.Unmarshal([]byte(answer), &response); err != nil {
		t.Fatal(err)
	}
	forged := response
	forged.Response.AuthenticatorData = append([]byte{}, response.Response.AuthenticatorData...)
	forged.Response.AuthenticatorData[len(forged.Response.AuthenticatorData)-1]++
	if err := w.client.SendPasskeyResponse(t.Context(), &forged); !errors.Is(err, whatsmeow.ErrIQNotAuthorized) {
		t.Errorf("an answer that was changed: %v", err)
	}
	if err := w.client.SendPasskeyConfirmation(t.Context()); err == nil {
		t.Error("confirmed without an answer")
	}
	if got := devices(t, c, waPhone); len(got) != 0 {
		t.Errorf("the phone shows %+v", got)
	}
}

func TestWhatsAppAddressIsChecked(t *testing.T) {
	if _, err := lab.Start(t.Context(), lab.Config{WhatsAppAddr: "0.0.0.0:0", DataDir: t.TempDir()}, lab.Deps{}); err == nil {
		t.Error("WhatsApp listens for the world")
	}
}
