package whatsapp

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/session-worker/driver"
)

// codeTimeout bounds how long WhatsApp may take for a pairing code.
const codeTimeout = 20 * time.Second

// What a linking session puts into its own mailbox.
type (
	// pairingCode is a pairing code, or why there is none.
	pairingCode struct {
		code string
		err  error
	}
	// consent says that a phone has linked us as jid, and that this was noted.
	consent struct{ jid types.JID }
)

// checkPair returns how a session ends that cannot begin.
func checkPair(p *driver.PairParams) *instance.Closed {
	if p.Method != instance.MethodCode {
		return nil
	}
	if n := len(p.Phone); n < 7 || n > 15 || strings.HasPrefix(p.Phone, "0") || strings.Trim(p.Phone, "0123456789") != "" {
		return badPhone()
	}
	return nil
}

// accept is asked by the library when a phone has accepted a code, before the
// keys are stored. It notes whose they will be, so that a crash right after
// leaves nothing unexplained.
func (s *session) accept(ctx context.Context, jid types.JID) bool {
	var refusal *instance.Closed
	if expect := s.pair.ExpectPhone; expect != "" && jid.User != expect {
		refusal = closed(instance.ReasonWrongPhone, "Another number than the expected one scanned the code; it was not linked.")
	} else if err := s.d.opts.Keys.Note(ctx, s.common.Instance, jid); err != nil {
		refusal = closed(instance.ReasonInternal, "The key store does not answer; the device was not linked.")
	}
	if refusal != nil {
		s.mu.Lock()
		s.refusal = refusal
		s.mu.Unlock()
		return false
	}
	s.box.put(mail{event: consent{jid}})
	return true
}

// takePairing handles what only a linking session hears, before it is linked.
func (s *session) takePairing(event any) *instance.Closed {
	now := time.Now()
	switch e := event.(type) {
	case *events.QR:
		if s.stage > showing {
			return nil
		}
		s.watchdog.Stop()
		s.d.versions.verdict(s.link.version, false, now)
		s.stage = showing
		s.clock = newQRClock(e.Codes, now, s.d.codeLife)
		s.issue(now)
		s.askForCode()
		return s.show(now)
	case *events.RotateADVSecret:
		if s.stage == showing {
			s.clock.redraw(e.OldSecret, e.NewSecret)
			s.issue(now)
		}
	case pairingCode:
		return s.takeCode(e, now)
	case *events.PairPasskeyRequest, *events.PairPasskeyConfirmation, *events.PairPasskeyError:
		return s.takePasskey(e, now)
	case consent:
		s.stage, s.jid, s.noCode = accepted, e.jid, nil
		s.again.Stop()
		s.tick.Stop()
		s.grace.Stop()
		s.watchdog.Reset(finishTimeout)
	case *events.PairSuccess:
		return s.linked()
	case *events.PairError:
		return s.pairError(e)
	}
	return nil
}

// issue tells the code of this moment.
func (s *session) issue(now time.Time) {
	if code, ok := s.clock.at(now); ok {
		s.tell(instance.CodeIssued{Text: code, Issued: now, Expires: s.clock.ends})
	}
}

// show tells the next code when its time has come, and closes the session when there is none.
func (s *session) show(now time.Time) *instance.Closed {
	if s.stage != showing {
		return nil
	}
	before := s.clock.index
	if _, ok := s.clock.at(now); !ok {
		return codesUsedUp()
	}
	if s.clock.index != before {
		s.issue(now)
	}
	s.tick.Reset(s.clock.ends.Sub(now))
	return nil
}

func codesUsedUp() *instance.Closed {
	return closed(instance.ReasonQRTimeout, "The codes of this connection are used up.")
}

// askForCode asks for a pairing code, once for the connection: WhatsApp forgets
// the one before when it is asked again.
func (s *session) askForCode() {
	if s.pair.Method != instance.MethodCode || s.codeSent {
		return
	}
	s.codeSent = true
	link := s.link
	s.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, codeTimeout)
		defer cancel()
		code, err := link.client.PairPhone(ctx, s.pair.Phone, true, s.d.platform.qr, s.d.platform.display)
		s.box.put(mail{from: link, event: pairingCode{code, err}})
	})
}

// takeCode tells a pairing code. It is good as long as its connection, which the
// server ends with the last QR code.
func (s *session) takeCode(c pairingCode, now time.Time) *instance.Closed {
	if s.stage != showing {
		return nil
	}
	if c.err != nil {
		// There is no code for a device whose QR code was just scanned, either.
		if s.noCode = codeFailure(c.err, now); s.noCode != nil {
			s.again.Reset(explanation)
		}
		return nil
	}
	s.tell(instance.PairingCodeIssued{Code: strings.ReplaceAll(c.code, "-", ""), Phone: s.pair.Phone,
		Issued: now, Expires: s.clock.last()})
	return nil
}

// pairError takes a link that failed after a phone had accepted it.
func (s *session) pairError(e *events.PairError) *instance.Closed {
	s.mu.Lock()
	refusal := s.refusal
	s.mu.Unlock()
	_, malformed := errors.AsType[*whatsmeow.PairProtoError](e.Error)
	_, unstored := errors.AsType[*whatsmeow.PairDatabaseError](e.Error)
	switch {
	case errors.Is(e.Error, whatsmeow.ErrPairRejectedLocally) && refusal != nil:
		return refusal
	case unstored:
		s.unstore()
		return pairFailure(e.Error)
	case malformed, errors.Is(e.Error, whatsmeow.ErrPairInvalidDeviceIdentityHMAC),
		errors.Is(e.Error, whatsmeow.ErrPairInvalidDeviceSignature), errors.Is(e.Error, whatsmeow.ErrPairRejectedLocally):
		return pairFailure(e.Error)
	}
	// The confirmation was not sent, for all the library knows. WhatsApp may have got it.
	return s.linkedAfterAll()
}

// unstore removes keys that the library could store in part only. WhatsApp was told that they are not taken.
func (s *session) unstore() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), storeTimeout)
	defer cancel()
	device, ok, err := s.d.opts.Keys.Device(ctx, s.common.Instance)
	if err == nil && ok && device.GetJID() == s.jid {
		// Should it fail, a login with these keys is told that the device is not linked.
		_ = s.d.opts.Keys.Drop(ctx, device)
	}
}

// linkedAfterAll goes on with the keys of a phone's consent if they are stored.
func (s *session) linkedAfterAll() *instance.Closed {
	ctx, cancel := context.WithTimeout(s.ctx, storeTimeout)
	defer cancel()
	device, ok, err := s.d.opts.Keys.Device(ctx, s.common.Instance)
	if err != nil {
		return s.storeFailure(err)
	}
	if !ok || device.GetJID() != s.jid {
		return connectionClosed()
	}
	if end := s.linked(); end != nil {
		return end
	}
	return s.enter()
}

// linked tells that the keys are stored, and awaits the messenger's 515.
func (s *session) linked() *instance.Closed {
	ctx, cancel := context.WithTimeout(s.ctx, storeTimeout)
	defer cancel()
	account, ok, err := s.d.opts.Keys.Account(ctx, s.common.Instance)
	if err != nil || !ok {
		// The keys are stored all the same; that is not to be kept from anybody.
		account = accountOf(s.jid, "")
	}
	s.tick.Stop()
	s.mu.Lock()
	s.live, s.asked = nil, nothing
	s.mu.Unlock()
	s.stage, s.account = finishing, account
	s.tell(instance.Scanned{})
	s.tell(instance.Linked{Account: account})
	s.d.supersede(s.common, s.before)
	if s.restart || s.socketGone {
		return s.enter()
	}
	s.watchdog.Reset(finishTimeout)
	return nil
}

// restarted takes the stream error 515, which may come before the word that the keys are stored.
func (s *session) restarted() *instance.Closed {
	switch s.stage {
	case finishing:
		return s.enter()
	case online, entering:
		return s.fail(connectionClosed())
	}
	s.restart = true
	return nil
}
