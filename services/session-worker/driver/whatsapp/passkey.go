package whatsapp

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/session-worker/driver"
)

// challengeLife is how long a passkey is waited for when WhatsApp names no time,
// and the most in any case: the proof that hands the link over to it is good for
// five minutes (passkeyHandoffKey.Valid in whatsmeow).
const challengeLife = 5 * time.Minute

// maxPasskeyAnswer bounds an authenticator's answer, in bytes.
const maxPasskeyAnswer = 64 << 10

// question is what the messenger waits for.
type question int

const (
	nothing question = iota
	// assertion is the answer of an authenticator.
	assertion
	// comparison is that the user has compared the code on both screens.
	comparison
)

// takePasskey handles the messenger's wish for a passkey.
func (s *session) takePasskey(event any, now time.Time) *instance.Closed {
	if s.stage != showing && s.stage != asking {
		return nil
	}
	var ask question
	confirmation := ""
	switch e := event.(type) {
	case *events.PairPasskeyRequest:
		options, err := json.Marshal(e.PublicKey)
		if err != nil {
			return closed(instance.ReasonPairingRefused, "WhatsApp's question for a passkey cannot be read.")
		}
		life := challengeLife
		if t := time.Duration(e.PublicKey.Timeout) * time.Millisecond; t > 0 {
			life = min(life, t)
		}
		s.options, s.expires, ask = string(options), now.Add(life), assertion
		s.tick.Stop()
		s.watchdog.Reset(life)
	case *events.PairPasskeyConfirmation:
		confirmation, ask = e.Code, comparison
	case *events.PairPasskeyError:
		return closed(instance.ReasonPairingRefused, "WhatsApp did not accept the passkey.")
	}
	s.stage, s.noCode = asking, nil
	s.again.Stop()
	s.mu.Lock()
	s.live, s.asked = s.link, ask
	s.mu.Unlock()
	s.tell(instance.PasskeyNeeded{Challenge: instance.Passkey{Options: s.options, Confirmation: confirmation, Expires: s.expires}})
	return nil
}

// SubmitPasskey implements driver.PasskeyTaker.
func (s *session) SubmitPasskey(ctx context.Context, response string) error {
	link, err := s.askedFor(assertion)
	if err != nil {
		return err
	}
	answer, err := parsePasskeyAnswer(response)
	if err != nil {
		return err
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	if err := link.client.SendPasskeyResponse(ctx, answer); err != nil {
		// What the library's error holds may be a stanza.
		return errors.New("whatsapp: the passkey's answer was not taken")
	}
	return nil
}

// ConfirmPasskey implements driver.PasskeyTaker.
func (s *session) ConfirmPasskey(ctx context.Context) error {
	link, err := s.askedFor(comparison)
	if err != nil {
		return err
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	if err := link.client.SendPasskeyConfirmation(ctx); err != nil {
		return errors.New("whatsapp: the confirmation was not taken")
	}
	return nil
}

// askedFor returns the connection over which the messenger waits for q.
func (s *session) askedFor(q question) (*link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked != q || s.live == nil {
		return nil, driver.ErrNotAsked
	}
	return s.live, nil
}

// within returns a context that ends with the session too.
func (s *session) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	stop := context.AfterFunc(s.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// parsePasskeyAnswer reads an authenticator's answer: the JSON form of a
// PublicKeyCredential with an AuthenticatorAssertionResponse.
func parsePasskeyAnswer(response string) (*types.WebAuthnResponse, error) {
	if len(response) > maxPasskeyAnswer {
		return nil, errors.New("whatsapp: the passkey's answer is too long")
	}
	var answer types.WebAuthnResponse
	if err := json.Unmarshal([]byte(response), &answer); err != nil {
		return nil, errors.New("whatsapp: the passkey's answer is not the JSON of a PublicKeyCredential")
	}
	if len(answer.RawID) == 0 || len(answer.Response.ClientDataJSON) == 0 || len(answer.Response.AuthenticatorData) == 0 || len(answer.Response.Signature) == 0 {
		return nil, errors.New("whatsapp: the passkey's answer lacks rawId, clientDataJSON, authenticatorData or signature")
	}
	return &answer, nil
}
