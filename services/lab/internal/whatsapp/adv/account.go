// Package adv is the phone's side of linking a device to a WhatsApp account: what
// the device shows as a QR code, what the phone signs for it, and what the device
// signs in return.
//
// It was written from what clients check and send, whatsmeow's pair.go above all.
// ADV is WhatsApp's name for it, of the messages' names; what it abbreviates is not said.
package adv

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waAdv"
	"google.golang.org/protobuf/proto"
)

const keySize = 32

// ErrAnswer is in the error of Verify: what the device answered is not what a device
// that holds its identity key answers.
var ErrAnswer = errors.New("adv: the device's answer is wrong")

// Account is the identity of a phone's account, which all its devices know.
type Account struct {
	key   *ecdh.PrivateKey
	rawID uint32
}

// NewAccount makes the identity of an account; the same seed makes the same one. The
// seed is a secret.
func NewAccount(seed [32]byte) *Account {
	key, err := ecdh.X25519().NewPrivateKey(derive(seed, "pairgate lab account identity"))
	if err != nil {
		panic(err) // for other lengths than 32 only
	}
	return &Account{key: key, rawID: binary.BigEndian.Uint32(derive(seed, "pairgate lab account id"))}
}

// derive panics when asked for too much, which 32 bytes are not.
func derive(seed [32]byte, info string) []byte {
	out, err := hkdf.Key(sha256.New, seed[:], nil, info, keySize)
	if err != nil {
		panic(err)
	}
	return out
}

// Identity returns the public identity key.
func (a *Account) Identity() [32]byte { return [32]byte(a.key.PublicKey().Bytes()) }

// Key returns the private identity key, for a key agreement.
func (a *Account) Key() *ecdh.PrivateKey { return a.key }

// Fault is something to get wrong on purpose. The zero Fault is none.
type Fault struct {
	// HMAC makes the device refuse with hmac-mismatch.
	HMAC bool
	// Signature makes the device refuse with signature-mismatch.
	Signature bool
}

// Introduction is what a phone hands to the device that it links.
type Introduction struct {
	account   [32]byte
	device    [32]byte
	details   []byte
	signature []byte
	container []byte
	keyIndex  uint32
}

// Introduce signs for a device. The device is told by its public identity key; secret
// is the ADV secret that it showed the phone, keyIndex the number that it gets in the
// account, 1 and up, a new one for each linking.
func (a *Account) Introduce(device, secret [32]byte, keyIndex uint32, now time.Time, fault Fault) (*Introduction, error) {
	details, err := proto.Marshal(&waAdv.ADVDeviceIdentity{
		RawID: &a.rawID, Timestamp: new(uint64(now.Unix())), KeyIndex: &keyIndex,
		AccountType: waAdv.ADVEncryptionType_E2EE.Enum(), DeviceType: waAdv.ADVEncryptionType_E2EE.Enum(),
	})
	if err != nil {
		return nil, fmt.Errorf("adv: %w", err)
	}
	signature := ecc.CalculateSignature(ecc.NewDjbECPrivateKey([32]byte(a.key.Bytes())),
		slices.Concat(whatsmeow.AdvAccountSignaturePrefix, details, device[:]))
	identity := a.Identity()
	signed, err := proto.Marshal(&waAdv.ADVSignedDeviceIdentity{
		Details: details, AccountSignatureKey: identity[:], AccountSignature: spoil(signature[:], fault.Signature)})
	if err != nil {
		return nil, fmt.Errorf("adv: %w", err)
	}
	mac := hmac.New(sha256.New, secret[:])
	mac.Write(signed)
	// The account type of the container is left out as the real one leaves it out:
	// devices take it into the HMAC only when it says "hosted".
	container, err := proto.Marshal(&waAdv.ADVSignedDeviceIdentityHMAC{Details: signed, HMAC: spoil(mac.Sum(nil), fault.HMAC)})
	if err != nil {
		return nil, fmt.Errorf("adv: %w", err)
	}
	return &Introduction{account: identity, device: device, details: details, signature: signature[:],
		container: container, keyIndex: keyIndex}, nil
}

// spoil flips a bit when told to.
func spoil(b []byte, wrong bool) []byte {
	if wrong {
		b = slices.Clone(b)
		b[0] ^= 1
	}
	return b
}

// Container returns the content of the device-identity of a pair-success, a
// serialized ADVSignedDeviceIdentityHMAC. The caller must not change it.
func (i *Introduction) Container() []byte { return i.container }

// KeyIndex returns the number that was given to Introduce.
func (i *Introduction) KeyIndex() uint32 { return i.keyIndex }

// Verify checks the content of the device-identity of the device's pair-device-sign: an
// ADVSignedDeviceIdentity with our details and signature, our key left out, and the
// device's signature. The error wraps ErrAnswer and says which of these is wrong.
func (i *Introduction) Verify(answer []byte) error {
	var signed waAdv.ADVSignedDeviceIdentity
	if err := proto.Unmarshal(answer, &signed); err != nil {
		return fmt.Errorf("%w: not a signed device identity", ErrAnswer)
	}
	message := slices.Concat(whatsmeow.AdvDeviceSignaturePrefix, i.details, i.device[:], i.account[:])
	switch {
	case !slices.Equal(signed.GetDetails(), i.details):
		return fmt.Errorf("%w: other details than ours", ErrAnswer)
	case !slices.Equal(signed.GetAccountSignature(), i.signature):
		return fmt.Errorf("%w: another account signature than ours", ErrAnswer)
	case signed.AccountSignatureKey != nil:
		return fmt.Errorf("%w: the account's key is to be left out", ErrAnswer)
	case !verify(i.device, message, signed.GetDeviceSignature()):
		return fmt.Errorf("%w: the device signature does not verify", ErrAnswer)
	}
	return nil
}

func verify(key [32]byte, message, signature []byte) bool {
	return len(signature) == 64 && ecc.VerifySignature(ecc.NewDjbECPublicKey(key), message, [64]byte(signature))
}
