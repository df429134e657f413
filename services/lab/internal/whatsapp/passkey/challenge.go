package passkey

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.mau.fi/whatsmeow/types"
)

const (
	// RelyingParty is the site that the passkeys of WhatsApp accounts are of.
	RelyingParty = "whatsapp.com"
	// Origin is where a browser answers for RelyingParty.
	Origin = "https://web.whatsapp.com"

	credentialType = "public-key"
)

// ErrAssertion is in the error of Verify.
var ErrAssertion = errors.New("passkey: the assertion is not accepted")

// Challenge is what a device is asked to have answered before it is linked.
type Challenge struct {
	credential Credential
	random     []byte
	life       time.Duration
}

// NewChallenge makes a challenge for the holder of the credential. Life is what the
// browser is told about the time it has; the server has to keep the time itself.
func NewChallenge(credential Credential, life time.Duration) *Challenge {
	random := make([]byte, 32)
	_, _ = rand.Read(random)
	return &Challenge{credential: credential, random: random, life: life}
}

// Options returns the content of passkey_request_options, JSON.
func (c *Challenge) Options() ([]byte, error) {
	options, err := json.Marshal(types.WebAuthnPublicKey{
		Challenge: c.random, Timeout: int(c.life.Milliseconds()), RelyingPartID: RelyingParty,
		AllowCredentials: []types.AllowedCredential{{ID: c.credential.ID, Type: credentialType, Transports: []string{"internal", "hybrid"}}},
		UserVerification: "required", Extensions: map[string]any{},
	})
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	return options, nil
}

// Verify checks the content of webauthn_assertion in the steps of WebAuthn (section
// 7.2): credential, kind, challenge, origin, site, that the user was present and
// verified, and the signature. The error wraps ErrAssertion and says which is wrong.
func (c *Challenge) Verify(assertion []byte) error {
	var response types.WebAuthnResponse
	if json.Unmarshal(assertion, &response) != nil {
		return fmt.Errorf("%w: malformed", ErrAssertion)
	}
	var client clientData
	if json.Unmarshal(response.Response.ClientDataJSON, &client) != nil {
		return fmt.Errorf("%w: its client data is malformed", ErrAssertion)
	}
	data := []byte(response.Response.AuthenticatorData)
	party := sha256.Sum256([]byte(RelyingParty))
	const both = userPresent | userVerified
	for _, check := range []struct {
		good bool
		what string
	}{
		{response.Type == credentialType, "another type of credential"},
		{bytes.Equal(response.RawID, c.credential.ID) && response.ID == encode(c.credential.ID), "another credential"},
		{client.Type == assertionType, "another kind of ceremony"},
		{client.Challenge == encode(c.random), "another challenge"},
		{client.Origin == Origin && !client.CrossOrigin, "another origin"},
		{len(data) >= 37 && bytes.Equal(data[:32], party[:]), "another site"},
		{len(data) >= 37 && data[32]&both == both, "nobody was verified"},
		{ecdsa.VerifyASN1(c.credential.Key, signed(data, response.Response.ClientDataJSON), response.Response.Signature), "its signature does not verify"},
	} {
		if !check.good {
			return fmt.Errorf("%w: %s", ErrAssertion, check.what)
		}
	}
	return nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
