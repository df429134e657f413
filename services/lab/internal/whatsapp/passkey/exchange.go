// Package passkey is the server's and the phone's side of linking a device to a
// WhatsApp account that asks for a passkey: the challenge and the check of its
// answer, the agreement on a key with a comparison of codes, and an authenticator
// that answers as the account's owner would.
//
// It was written from what clients send and expect, whatsmeow's pair-passkey.go, which
// calls the agreement "shortcake".
package passkey

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"

	"go.mau.fi/whatsmeow/proto/waCompanionReg"
	"google.golang.org/protobuf/proto"
)

const (
	keySize     = 32
	nonceSize   = 32
	ivSize      = 12
	handoffInfo = "shortcake-passkey-handoff-v1"
	requestInfo = "Pairing Information Encryption Key"
	codeBytes   = 5
	codeHalf    = 4
)

var codeEncoding = base32.NewEncoding("123456789ABCDEFGHJKLMNPQRSTVWXYZ")

var (
	// ErrMessage is in the error for a message of the device that is malformed or comes
	// too early.
	ErrMessage = errors.New("passkey: the device's message is wrong")
	// ErrCommitment is the error of Reveal: the nonce is not the one that the device
	// committed itself to.
	ErrCommitment = errors.New("passkey: the device's nonce is not what it committed to")
	// ErrSealed is the error of Open: the request was not sealed with the agreed key.
	ErrSealed = errors.New("passkey: the pairing request does not decrypt")
)

// HandoffProven says whether proof, the content of pairing_handoff_proof, shows that the
// prologue's sender is the device whose code with this ADV secret was scanned. Then
// the comparison of codes may be skipped.
func HandoffProven(secret [32]byte, prologue, proof []byte) bool {
	key, err := hkdf.Key(sha256.New, secret[:], nil, handoffInfo, keySize)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(prologue)
	return hmac.Equal(mac.Sum(nil), proof)
}

// Exchange is one agreement on a key between a phone and the device that it links.
type Exchange struct {
	ephemeral  *ecdh.PrivateKey
	companion  *ecdh.PublicKey
	nonce      []byte
	identity   []byte
	commitment []byte
	deviceType waCompanionReg.DeviceProps_PlatformType
	ref        string
	revealed   bool
}

// Begin takes the content of prologue_payload. Errors wrap ErrMessage.
func Begin(prologue []byte) (*Exchange, error) {
	var payload waCompanionReg.ProloguePayload
	var companion waCompanionReg.CompanionEphemeralIdentity
	if proto.Unmarshal(prologue, &payload) != nil || proto.Unmarshal(payload.GetCompanionEphemeralIdentity(), &companion) != nil {
		return nil, fmt.Errorf("%w: not a prologue", ErrMessage)
	}
	e := &Exchange{identity: payload.GetCompanionEphemeralIdentity(), commitment: payload.GetCommitment().GetHash(),
		deviceType: companion.GetDeviceType(), ref: companion.GetRef(), nonce: make([]byte, nonceSize)}
	var err error
	switch e.companion, err = ecdh.X25519().NewPublicKey(companion.GetPublicKey()); {
	case err != nil:
		return nil, fmt.Errorf("%w: a key of %d bytes", ErrMessage, len(companion.GetPublicKey()))
	case len(e.commitment) != sha256.Size:
		return nil, fmt.Errorf("%w: a commitment of %d bytes", ErrMessage, len(e.commitment))
	case e.ref == "":
		return nil, fmt.Errorf("%w: no reference", ErrMessage)
	}
	if e.ephemeral, err = ecdh.X25519().GenerateKey(rand.Reader); err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	_, _ = rand.Read(e.nonce)
	return e, nil
}

// Ref returns the reference that the device named, which is to be the one that the server
// gave to its connection.
func (e *Exchange) Ref() string { return e.ref }

// Identity returns the content of primary_ephemeral_identity, for the device.
func (e *Exchange) Identity() ([]byte, error) {
	out, err := proto.Marshal(&waCompanionReg.PrimaryEphemeralIdentity{PublicKey: e.ephemeral.PublicKey().Bytes(), Nonce: e.nonce})
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	return out, nil
}

// Reveal takes the content of companion_nonce and returns the code, XXXX-XXXX, that phone
// and device show for comparison. Errors wrap ErrMessage or are ErrCommitment.
func (e *Exchange) Reveal(nonce []byte) (code string, err error) {
	if len(nonce) != nonceSize {
		return "", fmt.Errorf("%w: a nonce of %d bytes", ErrMessage, len(nonce))
	}
	committed := sha256.Sum256(slices.Concat(e.identity, nonce))
	if subtle.ConstantTimeCompare(committed[:], e.commitment) != 1 {
		return "", ErrCommitment
	}
	e.revealed = true
	digest := sha256.Sum256(slices.Concat(nonce, e.ephemeral.PublicKey().Bytes()))
	text := make([]byte, codeBytes)
	subtle.XORBytes(text, e.nonce[:codeBytes], digest[:codeBytes])
	code = codeEncoding.EncodeToString(text)
	return code[:codeHalf] + "-" + code[codeHalf:], nil
}

// Request is what the device tells the phone in the end: its keys and the ADV secret
// with which the phone is then to introduce it.
type Request struct{ Noise, Identity, Secret [32]byte }

// Open takes the content of encrypted_pairing_request. Errors wrap ErrMessage, as
// before Reveal, or are ErrSealed.
func (e *Exchange) Open(sealed []byte) (Request, error) {
	if !e.revealed {
		return Request{}, fmt.Errorf("%w: a pairing request before the nonce", ErrMessage)
	}
	var wrapped waCompanionReg.EncryptedPairingRequest
	if proto.Unmarshal(sealed, &wrapped) != nil || len(wrapped.GetIV()) != ivSize {
		return Request{}, fmt.Errorf("%w: not a sealed pairing request", ErrMessage)
	}
	shared, err := e.ephemeral.ECDH(e.companion)
	if err != nil {
		return Request{}, fmt.Errorf("%w: a key of low order", ErrMessage)
	}
	salt := fmt.Sprintf("Companion Pairing %d with ref %s", e.deviceType, e.ref)
	key, err := hkdf.Key(sha256.New, shared, []byte(salt), requestInfo, keySize)
	if err != nil {
		return Request{}, fmt.Errorf("passkey: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return Request{}, fmt.Errorf("passkey: %w", err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return Request{}, fmt.Errorf("passkey: %w", err)
	}
	plain, err := gcm.Open(nil, wrapped.GetIV(), wrapped.GetEncryptedPayload(), nil)
	if err != nil {
		return Request{}, ErrSealed
	}
	return parseRequest(plain)
}

func parseRequest(plain []byte) (r Request, err error) {
	var request waCompanionReg.PairingRequest
	if proto.Unmarshal(plain, &request) != nil {
		return r, fmt.Errorf("%w: not a pairing request", ErrMessage)
	}
	for _, key := range []struct {
		to   *[32]byte
		from []byte
	}{{&r.Noise, request.GetCompanionPublicKey()}, {&r.Identity, request.GetCompanionIdentityKey()}, {&r.Secret, request.GetAdvSecret()}} {
		if len(key.from) != keySize {
			return Request{}, fmt.Errorf("%w: a key of %d bytes", ErrMessage, len(key.from))
		}
		*key.to = [32]byte(key.from)
	}
	return r, nil
}
