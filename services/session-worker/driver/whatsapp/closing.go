package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/socket"
	"go.mau.fi/whatsmeow/types/events"

	"pairgate.dev/pkg/instance"
)

const (
	// unnamedBan is how long a ban counts whose end WhatsApp does not tell.
	unnamedBan = 24 * time.Hour
	// throttledFor is the least that is waited after WhatsApp said that it is asked too often.
	throttledFor = time.Minute
	// keepAliveFailures is how many unanswered pings in a row end a session. The
	// library pings every 20 to 30 s.
	keepAliveFailures = 2
)

var errDriverClosed = errors.New("the driver is closed")

// closed makes the end of a session.
func closed(r instance.Reason, detail string) *instance.Closed {
	return &instance.Closed{Reason: r, Detail: detail}
}

func connectionClosed() *instance.Closed {
	return closed(instance.ReasonConnectionClosed, "The connection to WhatsApp was lost.")
}

// terminal returns how a session ends on an event of the library; nil for events
// that do not end it. The table is in the package's comment.
func terminal(event any, now time.Time) *instance.Closed {
	switch e := event.(type) {
	case *events.LoggedOut:
		return loggedOut(e)
	case *events.StreamReplaced:
		return closed(instance.ReasonReplaced, "Another connection of the same device took over.")
	case *events.TemporaryBan:
		c := closed(instance.ReasonBanned, fmt.Sprintf("WhatsApp has blocked the account for a time (code %d).", int(e.Code)))
		c.Until = now.Add(unnamedBan)
		if e.Expire > 0 {
			// WhatsApp counts in whole seconds.
			c.Until = now.Add(e.Expire).Truncate(time.Second)
		}
		return c
	case *events.ClientOutdated:
		return outdated()
	case *events.ConnectFailure:
		if e.Reason == http.StatusTooManyRequests {
			return throttled(now)
		}
		return closed(instance.ReasonLoginRefused, fmt.Sprintf("WhatsApp refused the login (code %d).", int(e.Reason)))
	case *events.StreamError:
		return closed(instance.ReasonConnectionClosed, "WhatsApp ended the connection with an error.")
	case *events.KeepAliveTimeout:
		if e.ErrorCount >= keepAliveFailures {
			return closed(instance.ReasonKeepaliveTimeout, "WhatsApp does not answer any more.")
		}
	}
	return nil
}

// loggedOut tells the kinds of logout apart. WhatsApp Web calls 403 locked and
// 406 banned (comments in whatsmeow's events.go).
func loggedOut(e *events.LoggedOut) *instance.Closed {
	switch {
	case e.Reason == events.ConnectFailureUnknownLogout:
		return closed(instance.ReasonBanned, "WhatsApp has banned the account.")
	case e.Reason == events.ConnectFailureMainDeviceGone:
		return closed(instance.ReasonLoggedOutOnPhone, "The account's phone was logged out, or the account is locked.")
	}
	return closed(instance.ReasonLoggedOutOnPhone, "The device was unlinked on the phone.")
}

func outdated() *instance.Closed {
	return closed(instance.ReasonClientOutdated, "WhatsApp refuses our client version. Set a newer one.")
}

func throttled(now time.Time) *instance.Closed {
	c := closed(instance.ReasonThrottled, "WhatsApp says that it is asked too often.")
	c.Until = now.Add(throttledFor)
	return c
}

// dialFailure returns how a session ends that could not connect; nil for no error.
func dialFailure(err error) *instance.Closed {
	if err == nil {
		return nil
	}
	status, _ := errors.AsType[socket.ErrWithStatusCode](err)
	switch {
	case errors.Is(err, errDriverClosed):
		return closed(instance.ReasonConnectionClosed, "The worker is stopping.")
	case errors.Is(err, context.Canceled):
		return cancelled()
	case errors.Is(err, errProxyLogin):
		return closed(instance.ReasonUnreachable, "The proxy refuses its user name or password.")
	case errors.Is(err, errProxy):
		return closed(instance.ReasonUnreachable, "WhatsApp cannot be reached through the proxy.")
	case status.StatusCode == http.StatusTooManyRequests:
		return throttled(time.Now())
	case status.StatusCode != 0:
		return closed(instance.ReasonUnreachable, fmt.Sprintf("WhatsApp refused the connection (HTTP %d).", status.StatusCode))
	case errors.Is(err, socket.ErrDialFailed):
		return closed(instance.ReasonUnreachable, "WhatsApp cannot be reached.")
	}
	return closed(instance.ReasonUnreachable, "WhatsApp was reached, but the connection could not be secured.")
}

func cancelled() *instance.Closed {
	return closed(instance.ReasonConnectionClosed, "The session was cancelled.")
}

// pairFailure returns how a session ends when what the phone accepted could not be finished here.
func pairFailure(err error) *instance.Closed {
	if _, ok := errors.AsType[*whatsmeow.PairDatabaseError](err); ok {
		return closed(instance.ReasonInternal, "The keys of the new device could not be stored; it was not linked.")
	}
	return closed(instance.ReasonPairingRefused, "What the phone sent to link the device was not valid.")
}

// codeFailure returns how a session ends when WhatsApp gives no pairing code; nil
// when the end of the connection will tell more.
func codeFailure(err error, now time.Time) *instance.Closed {
	iq, _ := errors.AsType[*whatsmeow.IQError](err)
	switch {
	case errors.Is(err, whatsmeow.ErrPhoneNumberTooShort), errors.Is(err, whatsmeow.ErrPhoneNumberIsNotInternational):
		return badPhone()
	case iq != nil && iq.Code == http.StatusTooManyRequests:
		c := throttled(now)
		c.Detail = "WhatsApp gives no more pairing codes to this number for now. Wait, or scan the QR code."
		return c
	case iq != nil && iq.Code >= 400 && iq.Code < 500:
		return closed(instance.ReasonPairingRefused,
			fmt.Sprintf("WhatsApp gives no pairing code to this number (code %d). Check that it is a WhatsApp account, or scan the QR code.", iq.Code))
	case iq != nil && iq.Code >= 500:
		return closed(instance.ReasonUnreachable, "WhatsApp could not make a pairing code.")
	case errors.Is(err, whatsmeow.ErrIQTimedOut), errors.Is(err, context.DeadlineExceeded):
		return closed(instance.ReasonUnreachable, "WhatsApp did not answer when it was asked for a pairing code.")
	}
	return nil
}

func badPhone() *instance.Closed {
	return closed(instance.ReasonPairingRefused,
		"A pairing code needs the account's phone number: 7 to 15 digits with the country code, without a leading zero.")
}
