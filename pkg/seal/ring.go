package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// KeySize is the length of a master key in bytes.
const KeySize = 32

const (
	version    = 1
	keyIDSize  = 8
	nonceSize  = 12
	tagSize    = 16
	headerSize = 1 + keyIDSize

	// Overhead is how much longer, in bytes, a sealed blob is than its plain text.
	Overhead = headerSize + nonceSize + tagSize
)

var (
	// ErrNoKey: the list of keys is empty.
	ErrNoKey = errors.New("seal: no key given")
	// ErrNoContext: the additional data is the zero [AAD]; make it with [For].
	ErrNoContext = errors.New("seal: purpose and owner are required")
	// ErrMalformed: the bytes are not a blob of a version this program knows.
	ErrMalformed = errors.New("seal: not a sealed blob of a known version")
	// ErrUnknownKey: the blob was sealed with a key that is not in the ring.
	ErrUnknownKey = errors.New("seal: sealed with a key that is not in the ring")
	// ErrRefused: the blob was changed, or it was sealed for another purpose or owner.
	ErrRefused = errors.New("seal: blob was changed or belongs to another purpose or owner")
)

// KeyError says which key of a list is not usable, and why. It never holds the key.
type KeyError struct {
	// Position of the key in the list, from 1.
	Position int
	Reason   string
}

// Error names the position and the reason.
func (e *KeyError) Error() string { return fmt.Sprintf("seal: key %d %s", e.Position, e.Reason) }

type keyID [keyIDSize]byte

type ringKey struct {
	id   keyID
	aead cipher.AEAD
}

// Ring seals and opens blobs. It is made by [ParseRing], never changes, and is
// safe for concurrent use.
type Ring struct {
	keys []ringKey // keys[0] seals
}

// NewMasterKey returns a new random key in the form that [ParseRing] reads.
func NewMasterKey() Secret {
	key := make([]byte, KeySize)
	rand.Read(key)
	return Secret(base64.StdEncoding.EncodeToString(key))
}

// ParseRing reads a comma-separated list of base64 keys of [KeySize] bytes each:
// the first seals, all open. Standard and URL alphabets are read, with or
// without padding. Errors: [ErrNoKey], or a *[KeyError] for the first key that
// is not base64, has the wrong length, or stands in the list twice.
func ParseRing(keys Secret) (*Ring, error) {
	if strings.TrimSpace(keys.Reveal()) == "" {
		return nil, ErrNoKey
	}
	ring := &Ring{}
	for i, text := range strings.Split(keys.Reveal(), ",") {
		key, err := decodeKey(text)
		if err != nil {
			return nil, &KeyError{Position: i + 1, Reason: err.Error()}
		}
		k, err := newRingKey(key)
		if err != nil {
			return nil, &KeyError{Position: i + 1, Reason: err.Error()}
		}
		if _, known := ring.find(k.id); known {
			return nil, &KeyError{Position: i + 1, Reason: "is in the list already"}
		}
		ring.keys = append(ring.keys, k)
	}
	return ring, nil
}

var toStandardAlphabet = strings.NewReplacer("-", "+", "_", "/")

// decodeKey's errors carry no part of the text, unlike those of encoding/base64.
func decodeKey(text string) ([]byte, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	if text == "" {
		return nil, errors.New("is empty")
	}
	key, err := base64.RawStdEncoding.Strict().DecodeString(toStandardAlphabet.Replace(text))
	if err != nil {
		return nil, errors.New("is not base64")
	}
	if len(key) != KeySize {
		return nil, fmt.Errorf("has %d bytes, want %d", len(key), KeySize)
	}
	return key, nil
}

func newRingKey(key []byte) (ringKey, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return ringKey{}, errors.New("is not an AES key")
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return ringKey{}, errors.New("cannot be used with GCM")
	}
	// The id is public (it stands in every blob), so it is a hash under a prefix
	// of its own, which nothing else hashes keys with.
	sum := sha256.Sum256(append([]byte("pairgate.seal.key-id.v1\x00"), key...))
	return ringKey{id: keyID(sum[:keyIDSize]), aead: aead}, nil
}

func (r *Ring) find(id keyID) (cipher.AEAD, bool) {
	for _, k := range r.keys {
		if k.id == id {
			return k.aead, true
		}
	}
	return nil, false
}

// Seal returns plain sealed by the ring's first key for the purpose and owner
// of aad. The result is [Overhead] bytes longer than plain, and another one at
// every call. The only error is [ErrNoContext].
func (r *Ring) Seal(plain []byte, aad AAD) ([]byte, error) {
	if aad.data == "" {
		return nil, ErrNoContext
	}
	k := r.keys[0]
	sealed := make([]byte, 0, Overhead+len(plain))
	sealed = append(sealed, version)
	sealed = append(sealed, k.id[:]...)
	return k.aead.Seal(sealed, nil, plain, aad.bind(sealed)), nil
}

// Open returns the plain text of a blob that [Ring.Seal] made for the same
// purpose and owner. Errors: [ErrNoContext], [ErrMalformed], [ErrUnknownKey]
// (a key was removed from the ring too early) and [ErrRefused].
func (r *Ring) Open(sealed []byte, aad AAD) ([]byte, error) {
	if aad.data == "" {
		return nil, ErrNoContext
	}
	id, ok := keyOf(sealed)
	if !ok {
		return nil, ErrMalformed
	}
	aead, ok := r.find(id)
	if !ok {
		return nil, ErrUnknownKey
	}
	plain, err := aead.Open(nil, nil, sealed[headerSize:], aad.bind(sealed[:headerSize]))
	if err != nil {
		return nil, ErrRefused
	}
	return plain, nil
}

// Stale reports whether the blob should be opened and sealed again because a
// key other than the first of the ring sealed it. It is false for bytes that
// are no blob.
func (r *Ring) Stale(sealed []byte) bool {
	id, ok := keyOf(sealed)
	return ok && id != r.keys[0].id
}

func keyOf(sealed []byte) (keyID, bool) {
	if len(sealed) < Overhead || sealed[0] != version {
		return keyID{}, false
	}
	return keyID(sealed[1:headerSize]), true
}
