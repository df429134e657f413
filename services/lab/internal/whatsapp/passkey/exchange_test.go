package passkey_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"testing"

	"go.mau.fi/whatsmeow/proto/waCompanionReg"
	"go.mau.fi/whatsmeow/util/gcmutil"
	"go.mau.fi/whatsmeow/util/hkdfutil"
	"google.golang.org/protobuf/proto"

	"pairgate.dev/services/lab/internal/whatsapp/passkey"
)

// companion is the device, in the steps of whatsmeow's pair-passkey.go.
type companion struct {
	key   *ecdh.PrivateKey
	nonce []byte
	ident []byte
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	out, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func newCompanion(t testing.TB) companion {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return companion{key, bytes.Repeat([]byte{4}, 32), marshal(t, &waCompanionReg.CompanionEphemeralIdentity{
		PublicKey: key.PublicKey().Bytes(), DeviceType: waCompanionReg.DeviceProps_CHROME.Enum(), Ref: new("2@ref")})}
}

func (c companion) prologue(t testing.TB) []byte {
	hash := sha256.Sum256(slices.Concat(c.ident, c.nonce))
	return marshal(t, &waCompanionReg.ProloguePayload{CompanionEphemeralIdentity: c.ident,
		Commitment: &waCompanionReg.CompanionCommitment{Hash: hash[:]}})
}

// confirm returns the code that the device shows, and its sealed request.
func (c companion) confirm(t testing.TB, identity []byte, request *waCompanionReg.PairingRequest) (code string, sealed []byte) {
	t.Helper()
	var primary waCompanionReg.PrimaryEphemeralIdentity
	if err := proto.Unmarshal(identity, &primary); err != nil {
		t.Fatal(err)
	}
	public, err := ecdh.X25519().NewPublicKey(primary.GetPublicKey())
	if err != nil {
		t.Fatal(err)
	}
	shared, err := c.key.ECDH(public)
	if err != nil {
		t.Fatal(err)
	}
	salt := fmt.Sprintf("Companion Pairing %d with ref %s", waCompanionReg.DeviceProps_CHROME, "2@ref")
	key := hkdfutil.SHA256(shared, []byte(salt), []byte("Pairing Information Encryption Key"), 32)
	digest := sha256.Sum256(slices.Concat(c.nonce, primary.GetPublicKey()))
	text := make([]byte, 5)
	for i := range text {
		text[i] = primary.GetNonce()[i] ^ digest[i]
	}
	code = base32.NewEncoding("123456789ABCDEFGHJKLMNPQRSTVWXYZ").EncodeToString(text)
	iv := make([]byte, 12)
	payload, err := gcmutil.Encrypt(key, iv, marshal(t, request), nil)
	if err != nil {
		t.Fatal(err)
	}
	return code[:4] + "-" + code[4:], marshal(t, &waCompanionReg.EncryptedPairingRequest{EncryptedPayload: payload, IV: iv})
}

func request() *waCompanionReg.PairingRequest {
	return &waCompanionReg.PairingRequest{CompanionPublicKey: bytes.Repeat([]byte{1}, 32),
		CompanionIdentityKey: bytes.Repeat([]byte{2}, 32), AdvSecret: bytes.Repeat([]byte{3}, 32)}
}

func begin(t testing.TB, c companion) (*passkey.Exchange, []byte) {
	t.Helper()
	e, err := passkey.Begin(c.prologue(t))
	if err != nil {
		t.Fatal(err)
	}
	identity, err := e.Identity()
	if err != nil {
		t.Fatal(err)
	}
	return e, identity
}

func TestBothSidesShowOneCodeAndAgree(t *testing.T) {
	c := newCompanion(t)
	e, identity := begin(t, c)
	if e.Ref() != "2@ref" {
		t.Errorf("ref %q", e.Ref())
	}
	want, sealed := c.confirm(t, identity, request())
	if _, err := e.Open(sealed); !errors.Is(err, passkey.ErrMessage) {
		t.Errorf("a request before the nonce: %v", err)
	}
	if code, err := e.Reveal(c.nonce); err != nil || code != want {
		t.Errorf("codes %q and %q, %v", code, want, err)
	}
	got, err := e.Open(sealed)
	if err != nil || got != (passkey.Request{Noise: [32]byte(bytes.Repeat([]byte{1}, 32)),
		Identity: [32]byte(bytes.Repeat([]byte{2}, 32)), Secret: [32]byte(bytes.Repeat([]byte{3}, 32))}) {
		t.Errorf("%+v, %v", got, err)
	}
	short := request()
	short.AdvSecret = short.AdvSecret[1:]
	_, wrong := c.confirm(t, identity, short)
	_, otherIdentity := begin(t, c)
	_, other := c.confirm(t, otherIdentity, request())
	for name, tc := range map[string]struct {
		sealed []byte
		want   error
	}{
		"another key":    {other, passkey.ErrSealed},
		"a short secret": {wrong, passkey.ErrMessage},
		"garbage":        {[]byte{0xff}, passkey.ErrMessage},
		"no vector":      {nil, passkey.ErrMessage},
	} {
		if _, err := e.Open(tc.sealed); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

func TestTheDeviceIsHeldToItsCommitment(t *testing.T) {
	c := newCompanion(t)
	e, _ := begin(t, c)
	if _, err := e.Reveal(bytes.Repeat([]byte{5}, 32)); !errors.Is(err, passkey.ErrCommitment) {
		t.Errorf("another nonce: %v", err)
	}
	if _, err := e.Reveal(nil); !errors.Is(err, passkey.ErrMessage) {
		t.Errorf("no nonce: %v", err)
	}
}

func TestBeginRefuses(t *testing.T) {
	key, hash := make([]byte, 32), make([]byte, 32)
	prologue := func(key, hash []byte, ref *string) []byte {
		return marshal(t, &waCompanionReg.ProloguePayload{Commitment: &waCompanionReg.CompanionCommitment{Hash: hash},
			CompanionEphemeralIdentity: marshal(t, &waCompanionReg.CompanionEphemeralIdentity{PublicKey: key, Ref: ref})})
	}
	for name, wrong := range map[string][]byte{
		"garbage": {0xff}, "nothing": nil, "a short key": prologue(key[1:], hash, new("r")),
		"a short hash": prologue(key, hash[1:], new("r")), "no ref": prologue(key, hash, nil),
	} {
		if _, err := passkey.Begin(wrong); !errors.Is(err, passkey.ErrMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHandoffIsProvenByTheScannedSecret(t *testing.T) {
	secret, prologue := [32]byte{1}, []byte("prologue")
	mac := hmac.New(sha256.New, hkdfutil.SHA256(secret[:], nil, []byte("shortcake-passkey-handoff-v1"), 32))
	mac.Write(prologue)
	if !passkey.HandoffProven(secret, prologue, mac.Sum(nil)) {
		t.Error("a right proof was not taken")
	}
	if passkey.HandoffProven([32]byte{2}, prologue, mac.Sum(nil)) || passkey.HandoffProven(secret, prologue, nil) {
		t.Error("a wrong proof was taken")
	}
}

func FuzzExchange(f *testing.F) {
	c := newCompanion(f)
	f.Add(c.prologue(f), c.nonce, []byte{})
	f.Add([]byte{}, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, prologue, nonce, sealed []byte) {
		e, err := passkey.Begin(prologue)
		if err != nil {
			return
		}
		if _, err := e.Reveal(nonce); err != nil {
			return
		}
		if _, err := e.Open(sealed); err == nil {
			t.Error("accepted without the device's key")
		}
	})
}
