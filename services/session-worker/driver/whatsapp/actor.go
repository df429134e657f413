package whatsapp

import (
	"time"

	"go.mau.fi/whatsmeow/types/events"

	"pairgate.dev/pkg/instance"
)

// take handles one piece of mail.
func (s *session) take(m mail) *instance.Closed {
	if m.from != nil && m.from != s.link {
		return nil // Of a connection that was given up.
	}
	switch e := m.event.(type) {
	case dialled:
		if e.err != nil {
			return s.fail(dialFailure(e.err))
		}
		if s.stage == opening || s.stage == entering {
			s.watchdog.Reset(answerTimeout)
		}
	case socketEnded, *events.Disconnected:
		return s.ended()
	case *events.Connected:
		s.enters()
	case *events.ManualLoginReconnect:
		return s.restarted()
	case *events.PushNameSetting:
		s.renamed(e.Action.GetName())
	case loggedOutByUs:
		return closed(instance.ReasonConnectionClosed, "Logged out.")
	case *events.ClientOutdated:
		s.d.versions.verdict(s.link.version, true, time.Now())
		return outdated()
	default:
		if end := terminal(e, time.Now()); end != nil {
			return s.over(end)
		}
		if s.pair != nil && s.stage < finishing {
			return s.takePairing(e)
		}
	}
	return nil
}

// over takes an event that ends a session.
func (s *session) over(end *instance.Closed) *instance.Closed {
	if end.Reason == instance.ReasonLoggedOutOnPhone && s.isLeaving() {
		s.confirm()
		return closed(instance.ReasonConnectionClosed, "Logged out.")
	}
	return s.fail(end)
}

// ended takes the end of the socket. What explains it may be on its way.
func (s *session) ended() *instance.Closed {
	switch s.stage {
	case accepted:
		s.socketGone = true // The library tells for certain how that ends.
	case finishing:
		return s.enter()
	default:
		s.grace.Reset(explanation)
	}
	return nil
}

// gone is the end of the socket without an explanation.
func (s *session) gone() *instance.Closed {
	if s.stage == showing && s.clock.index == len(s.clock.codes)-1 {
		return codesUsedUp() // The server ends the connection with the last code.
	}
	return s.fail(connectionClosed())
}

// late takes what did not come in time.
func (s *session) late() *instance.Closed {
	switch s.stage {
	case opening, entering:
		return s.fail(closed(instance.ReasonUnreachable, "WhatsApp did not answer in time."))
	case asking:
		return closed(instance.ReasonQRTimeout, "The passkey was not given in time.")
	case accepted:
		return s.linkedAfterAll()
	case finishing:
		return s.enter()
	}
	return nil
}
