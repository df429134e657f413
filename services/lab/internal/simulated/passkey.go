package simulated

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"time"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/simwire"
	"pairgate.dev/services/lab/internal/refusal"
	"pairgate.dev/services/lab/labapi"
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
	s.compared[l.account.Phone] = l.confirmation
	ss.send(simwire.Frame{Type: simwire.TypePasskeyRequired, Passkey: passkeyOptions(l.challenge), Text: l.confirmation, LifeMillis: passkeyLife.Milliseconds()})
}

// PasskeyCode is the code that the phone shows for comparison, empty when it has shown none.
func (s *Server) PasskeyCode(phone string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.compared[phone]
}

// AnswerPasskey answers a challenge as the account's owner would. It fails with
// passkey_refused for options without one.
func (s *Server) AnswerPasskey(_ string, options []byte) ([]byte, error) {
	var asked struct {
		Challenge string `json:"challenge"`
	}
	if json.Unmarshal(options, &asked) != nil || asked.Challenge == "" {
		return nil, refusal.Conflict(labapi.ReasonPasskeyRefused, "The options have no challenge.")
	}
	client, err := json.Marshal(map[string]string{"type": "webauthn.get", "challenge": asked.Challenge, "origin": "https://simulated.localhost"})
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"id": "simulated", "rawId": "simulated", "type": "public-key",
		"response": map[string]string{"clientDataJSON": base64.RawURLEncoding.EncodeToString(client), "authenticatorData": "", "signature": ""}})
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
