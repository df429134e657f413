// Package linkcode is the phone's side of linking a device with a code that the
// device shows and its owner types on the phone.
//
// The code is the password of a key agreement: both sides hide their ephemeral keys
// with it, so that who does not know it agrees on another secret. It was written from
// what clients send and expect, whatsmeow's pair-code.go above all. Answer is
// costly, by design of the protocol.
package linkcode

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	// Alphabet is what codes are made of: no 0, I, O or U, which are mistaken for others.
	Alphabet = "123456789ABCDEFGHJKLMNPQRSTVWXYZ"
	// Length is the number of a code's characters.
	Length = 8
	// WrappedSize is the length of a hidden ephemeral key in bytes.
	WrappedSize = saltSize + aes.BlockSize + keySize

	keySize    = 32
	saltSize   = 32
	nonceSize  = 12
	iterations = 2 << 16
	bundleInfo = "link_code_pairing_key_bundle_encryption_key"
	secretInfo = "adv_secret"
)

var (
	// ErrCode is the error for what cannot be a code, whatever the device shows.
	ErrCode = errors.New("linkcode: not a code of 8 characters")
	// ErrWrongCode is the error for a code that is not the one that the device shows.
	ErrWrongCode = errors.New("linkcode: the device shows another code")
	// ErrMessage is in the error for a message of the device that is malformed or
	// contradicts another one.
	ErrMessage = errors.New("linkcode: the device's message is wrong")
)

// Normalize returns the code as both sides use it: without dash and spaces, in capital
// letters. The error is ErrCode.
func Normalize(typed string) (string, error) {
	code := strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(typed))
	if len(code) != Length || strings.Trim(code, Alphabet) != "" {
		return "", ErrCode
	}
	return code, nil
}

// Attempt is one try of a phone to link the device whose code was typed.
type Attempt struct {
	identity  *ecdh.PrivateKey
	ephemeral *ecdh.PrivateKey
	companion *ecdh.PublicKey
	wrapped   []byte
}

// Answer begins an attempt. Typed is what was typed, wrapped what the device sent as
// link_code_pairing_wrapped_companion_ephemeral_pub, identity the account's.
//
// Errors are ErrCode, or wrap ErrMessage. That a code is wrong shows later, in Finish.
// Answer takes some tenths of a second of a processor: hold no lock meanwhile.
func Answer(typed string, wrapped []byte, identity *ecdh.PrivateKey) (*Attempt, error) {
	code, err := Normalize(typed)
	if err != nil {
		return nil, err
	}
	if len(wrapped) != WrappedSize {
		return nil, fmt.Errorf("%w: a hidden key of %d bytes", ErrMessage, len(wrapped))
	}
	public, err := hide(code, wrapped[:saltSize], wrapped[saltSize:saltSize+aes.BlockSize], wrapped[saltSize+aes.BlockSize:])
	if err != nil {
		return nil, err
	}
	a := &Attempt{identity: identity}
	if a.companion, err = ecdh.X25519().NewPublicKey(public); err != nil {
		return nil, fmt.Errorf("linkcode: %w", err)
	}
	if a.ephemeral, err = ecdh.X25519().GenerateKey(rand.Reader); err != nil {
		return nil, fmt.Errorf("linkcode: %w", err)
	}
	head := make([]byte, saltSize+aes.BlockSize)
	_, _ = rand.Read(head)
	hidden, err := hide(code, head[:saltSize], head[saltSize:], a.ephemeral.PublicKey().Bytes())
	a.wrapped = append(head, hidden...)
	return a, err
}

// hide hides a key with the code, or shows one that was hidden.
func hide(code string, salt, iv, key []byte) ([]byte, error) {
	secret, err := pbkdf2.Key(sha256.New, code, salt, iterations, keySize)
	if err != nil {
		return nil, fmt.Errorf("linkcode: %w", err)
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, fmt.Errorf("linkcode: %w", err)
	}
	out := make([]byte, len(key))
	cipher.NewCTR(block, iv).XORKeyStream(out, key)
	return out, nil
}

// WrappedEphemeral returns what the device is to get as
// link_code_pairing_wrapped_primary_ephemeral_pub. The caller must not change it.
func (a *Attempt) WrappedEphemeral() []byte { return a.wrapped }

// Identity returns what the device is to get as primary_identity_pub.
func (a *Attempt) Identity() []byte { return a.identity.PublicKey().Bytes() }

// Finish takes what the device sent as link_code_pairing_wrapped_key_bundle and
// companion_identity_public, and returns the ADV secret with which the phone is then
// to introduce the device.
//
// The error is ErrWrongCode when the code was wrong, and another attempt may follow;
// others wrap ErrMessage.
func (a *Attempt) Finish(bundle, companionIdentity []byte) (secret [32]byte, err error) {
	if len(bundle) < saltSize+nonceSize {
		return secret, fmt.Errorf("%w: a bundle of %d bytes", ErrMessage, len(bundle))
	}
	companion, err := ecdh.X25519().NewPublicKey(companionIdentity)
	if err != nil {
		return secret, fmt.Errorf("%w: an identity key of %d bytes", ErrMessage, len(companionIdentity))
	}
	// A key of low order is what a wrong code may make of any key.
	ephemeral, err := a.ephemeral.ECDH(a.companion)
	if err != nil {
		return secret, ErrWrongCode
	}
	plain, err := open(bundle, ephemeral)
	if err != nil {
		return secret, err
	}
	if len(plain) != 3*keySize {
		return secret, fmt.Errorf("%w: a bundle that holds %d bytes", ErrMessage, len(plain))
	}
	if subtle.ConstantTimeCompare(plain[:2*keySize], slices.Concat(companionIdentity, a.Identity())) != 1 {
		return secret, fmt.Errorf("%w: the bundle is of other identities", ErrMessage)
	}
	identities, err := a.identity.ECDH(companion)
	if err != nil {
		return secret, fmt.Errorf("%w: an identity key of low order", ErrMessage)
	}
	raw, err := hkdf.Key(sha256.New, slices.Concat(ephemeral, identities, plain[2*keySize:]), nil, secretInfo, keySize)
	if err != nil {
		return secret, fmt.Errorf("linkcode: %w", err)
	}
	return [32]byte(raw), nil
}

func open(bundle, shared []byte) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, shared, bundle[:saltSize], bundleInfo, keySize)
	if err != nil {
		return nil, fmt.Errorf("linkcode: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("linkcode: %w", err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("linkcode: %w", err)
	}
	plain, err := gcm.Open(nil, bundle[saltSize:saltSize+nonceSize], bundle[saltSize+nonceSize:], nil)
	if err != nil {
		return nil, ErrWrongCode
	}
	return plain, nil
}
