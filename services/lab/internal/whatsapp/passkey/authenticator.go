package passkey

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.mau.fi/whatsmeow/types"
)

var (
	// ErrOptions is in the error of Answer for options that are none.
	ErrOptions = errors.New("passkey: not the options of a WebAuthn request")
	// ErrRelyingParty is the error of Answer for options of another site: a browser would
	// not let an authenticator answer them.
	ErrRelyingParty = errors.New("passkey: the options are of another site than " + RelyingParty)
	// ErrCredential is the error of Answer for options that allow other credentials only.
	ErrCredential = errors.New("passkey: the options do not allow this credential")
)

// Credential is what a site keeps of a passkey.
type Credential struct {
	ID  []byte
	Key *ecdsa.PublicKey
}

// Authenticator holds the passkey of an account, as the owner's computer or key would.
type Authenticator struct {
	key *ecdsa.PrivateKey
	id  []byte
}

// NewAuthenticator makes an authenticator; the same seed makes the same passkey. The
// seed is a secret.
func NewAuthenticator(seed [32]byte) (*Authenticator, error) {
	material, err := hkdf.Key(sha256.New, seed[:], nil, "pairgate lab passkey", 32+16)
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), material[:32])
	if err != nil {
		// One seed in four thousand million: its number is above the curve's order.
		material[0] = 0
		if key, err = ecdsa.ParseRawPrivateKey(elliptic.P256(), material[:32]); err != nil {
			return nil, fmt.Errorf("passkey: %w", err)
		}
	}
	return &Authenticator{key: key, id: material[32:]}, nil
}

// Credential returns what the site is to keep.
func (a *Authenticator) Credential() Credential { return Credential{ID: a.id, Key: &a.key.PublicKey} }

// flags of authenticator data: the user was present and was verified.
const (
	userPresent  = 1 << 0
	userVerified = 1 << 2
)

// clientData is what the browser adds to the challenge and the authenticator signs.
type clientData struct {
	Type        string `json:"type"`
	Challenge   string `json:"challenge"`
	Origin      string `json:"origin"`
	CrossOrigin bool   `json:"crossOrigin"`
}

const assertionType = "webauthn.get"

// Answer answers the options of a request, a PublicKeyCredentialRequestOptions as JSON
// with its bytes in unpadded base64url: it plays the browser at Origin, the
// authenticator, and the user who agrees. The answer is an AuthenticationResponse as JSON.
// Errors are ErrRelyingParty, ErrCredential, or wrap ErrOptions.
func (a *Authenticator) Answer(options []byte) ([]byte, error) {
	var asked types.WebAuthnPublicKey
	if json.Unmarshal(options, &asked) != nil || len(asked.Challenge) < 16 {
		return nil, fmt.Errorf("%w: malformed, or a challenge of less than 16 bytes", ErrOptions)
	}
	if asked.RelyingPartID != RelyingParty {
		return nil, ErrRelyingParty
	}
	if len(asked.AllowCredentials) > 0 && !slices.ContainsFunc(asked.AllowCredentials,
		func(c types.AllowedCredential) bool { return slices.Equal(c.ID, a.id) }) {
		return nil, ErrCredential
	}
	client, err := json.Marshal(clientData{Type: assertionType, Challenge: encode(asked.Challenge), Origin: Origin})
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	// The counter stays at zero, as that of passkeys that are synchronized does.
	party := sha256.Sum256([]byte(RelyingParty))
	data := append(party[:], userPresent|userVerified, 0, 0, 0, 0)
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, signed(data, client))
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	return json.Marshal(types.WebAuthnResponse{ID: encode(a.id), RawID: a.id, Type: credentialType,
		Response: types.WebAuthnResponseData{ClientDataJSON: client, AuthenticatorData: data, Signature: signature}})
}

// signed is the digest that an assertion's signature is of.
func signed(data, client []byte) []byte {
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(slices.Concat(data, hash[:]))
	return digest[:]
}
