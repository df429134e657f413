package simulated

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"time"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/simwire"
)

// passkeyLife is how long a challenge is good for.
const passkeyLife = time.Minute

// askPasskey sends a new challenge. The caller holds the mutex.
func (s *Server) askPasskey(ss *session) {
	random := make([]byte, 32)
	_, _ = rand.Read(random)
	ss.link.challenge = base64.RawURLEncoding.EncodeToString(random)
	ss.send(simwire.Frame{Type: simwire.TypePasskeyRequired, Passkey: passkeyOptions(ss.link.challenge), LifeMillis: passkeyLife.Milliseconds()})
}

// passkeyOptions is a PublicKeyCredentialRequestOptions as JSON.
func passkeyOptions(challenge string) string {
	options, _ := json.Marshal(map[string]any{
		"challenge": challenge, "rpId": "simulated.localhost", "timeout": passkeyLife.Milliseconds(), "userVerification": "required",
	})
	return string(options)
}

// takePasskey asks for the comparison when the response answers the challenge;
// otherwise the link is refused. The caller holds the mutex.
func (s *Server) takePasskey(ss *session, response string) {
	l := ss.link
	if !answers(response, l.challenge) {
		s.close(ss, instance.ReasonPairingRefused, "The passkey was not accepted.", time.Time{})
		return
	}
	l.stage, l.confirmation = forComparison, newTypedCode()
	ss.send(simwire.Frame{Type: simwire.TypePasskeyRequired, Passkey: passkeyOptions(l.challenge), Text: l.confirmation, LifeMillis: passkeyLife.Milliseconds()})
}

// answers says whether the response is an assertion over the challenge. Emulated
// authenticators hold no key, so that its signature is not looked at.
func answers(response, challenge string) bool {
	var assertion struct {
		ID       string `json:"id"`
		Response struct {
			ClientDataJSON string `json:"clientDataJSON"`
		} `json:"response"`
	}
	if json.Unmarshal([]byte(response), &assertion) != nil || assertion.ID == "" {
		return false
	}
	raw, err := base64.RawURLEncoding.DecodeString(assertion.Response.ClientDataJSON)
	if err != nil {
		return false
	}
	var client struct {
		Type      string `json:"type"`
		Challenge string `json:"challenge"`
	}
	return json.Unmarshal(raw, &client) == nil && client.Type == "webauthn.get" && client.Challenge == challenge
}
