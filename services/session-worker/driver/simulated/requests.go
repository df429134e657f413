package simulated

import (
	"context"
	"errors"
	"fmt"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/simwire"
	"pairgate.dev/services/session-worker/driver"
)

var (
	errOver    = errors.New("simulated: the session is over")
	errTooLong = errors.New("simulated: longer than the messenger takes")
)

// Logout implements driver.Session. While the session is still logging in it waits for that.
func (s *session) Logout(ctx context.Context) error {
	select {
	case <-s.online:
		s.mu.Lock()
		if !s.over && s.ending == nil {
			s.send(simwire.Frame{Type: simwire.TypeLogout})
		}
		s.mu.Unlock()
	case <-s.done:
	case <-ctx.Done():
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		s.end(instance.Closed{Reason: instance.ReasonConnectionClosed, Detail: "The messenger did not confirm the logout."})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.confirmed:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("simulated: the logout was not confirmed: %w", ctx.Err())
	default:
		return errOver
	}
}

// SubmitPassword implements driver.PasswordTaker.
func (s *session) SubmitPassword(_ context.Context, secret string) error {
	return s.answer(password, simwire.Frame{Type: simwire.TypePassword, Password: secret})
}

// SubmitPasskey implements driver.PasskeyTaker.
func (s *session) SubmitPasskey(_ context.Context, response string) error {
	return s.answer(passkey, simwire.Frame{Type: simwire.TypePasskeyResponse, Passkey: response})
}

// ConfirmPasskey implements driver.PasskeyTaker.
func (s *session) ConfirmPasskey(context.Context) error {
	return s.answer(comparison, simwire.Frame{Type: simwire.TypePasskeyConfirm})
}

// answer gives the messenger what it asked for.
func (s *session) answer(to question, f simwire.Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.ending != nil || s.link == nil {
		return errOver
	}
	if s.asked != to {
		return driver.ErrNotAsked
	}
	if _, err := simwire.Encode(withSession(f)); err != nil {
		return errTooLong
	}
	s.asked = nothing
	s.send(f)
	s.expectAnswer()
	return nil
}

// SetPresence implements driver.PresenceSetter.
func (s *session) SetPresence(_ context.Context, available bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.ending != nil || !s.isOnline {
		return errOver
	}
	s.send(simwire.Frame{Type: simwire.TypePresence, Available: available})
	return nil
}
