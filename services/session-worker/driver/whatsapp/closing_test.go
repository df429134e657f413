package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/socket"
	"go.mau.fi/whatsmeow/types/events"

	"pairgate.dev/pkg/instance"
)

func TestTerminalEvents(t *testing.T) {
	now := time.Unix(1_000_000, 500)
	for _, tc := range []struct {
		event any
		want  instance.Reason
		until time.Time
	}{
		{&events.LoggedOut{Reason: 401}, instance.ReasonLoggedOutOnPhone, time.Time{}},
		{&events.LoggedOut{OnConnect: true, Reason: 401}, instance.ReasonLoggedOutOnPhone, time.Time{}},
		{&events.LoggedOut{OnConnect: true, Reason: 403}, instance.ReasonLoggedOutOnPhone, time.Time{}},
		{&events.LoggedOut{OnConnect: true, Reason: 406}, instance.ReasonBanned, time.Time{}},
		{&events.StreamReplaced{}, instance.ReasonReplaced, time.Time{}},
		{&events.TemporaryBan{Code: 101, Expire: time.Hour}, instance.ReasonBanned, time.Unix(1_003_600, 0)},
		{&events.TemporaryBan{Code: 101}, instance.ReasonBanned, now.Add(24 * time.Hour)},
		{&events.ClientOutdated{}, instance.ReasonClientOutdated, time.Time{}},
		{&events.ConnectFailure{Reason: 400}, instance.ReasonLoginRefused, time.Time{}},
		{&events.ConnectFailure{Reason: 418}, instance.ReasonLoginRefused, time.Time{}},
		{&events.ConnectFailure{Reason: 429}, instance.ReasonThrottled, now.Add(throttledFor)},
		{&events.StreamError{Code: "500"}, instance.ReasonConnectionClosed, time.Time{}},
		{&events.KeepAliveTimeout{ErrorCount: 1}, "", time.Time{}},
		{&events.KeepAliveTimeout{ErrorCount: 2}, instance.ReasonKeepaliveTimeout, time.Time{}},
		{&events.KeepAliveRestored{}, "", time.Time{}},
		{&events.Connected{}, "", time.Time{}},
	} {
		c := terminal(tc.event, now)
		if c == nil {
			c = &instance.Closed{}
		}
		if c.Reason != tc.want || !c.Until.Equal(tc.until) {
			t.Errorf("%#v closes with %q until %v, want %q until %v", tc.event, c.Reason, c.Until, tc.want, tc.until)
		}
		if tc.want != "" && c.Detail == "" {
			t.Errorf("%#v closes without a word for people", tc.event)
		}
	}
}

func TestDialFailures(t *testing.T) {
	dialling := func(err error) error { return fmt.Errorf("%w: %w", socket.ErrDialFailed, err) }
	status := func(code int) error { return dialling(socket.ErrWithStatusCode{StatusCode: code}) }
	for _, tc := range []struct {
		err  error
		want instance.Reason
	}{
		{dialling(errors.New("refused")), instance.ReasonUnreachable},
		{dialling(errProxy), instance.ReasonUnreachable},
		{dialling(errProxyLogin), instance.ReasonUnreachable},
		{status(403), instance.ReasonUnreachable},
		{status(503), instance.ReasonUnreachable},
		{status(429), instance.ReasonThrottled},
		{dialling(context.Canceled), instance.ReasonConnectionClosed},
		{errors.New("noise handshake failed"), instance.ReasonUnreachable},
	} {
		if c := dialFailure(tc.err); c == nil || c.Reason != tc.want {
			t.Errorf("%v closes with %v, want %s", tc.err, c, tc.want)
		}
	}
	if dialFailure(nil) != nil {
		t.Error("no error is a failure")
	}
}

func TestPairingCodeFailures(t *testing.T) {
	now := time.Now()
	for _, tc := range []struct {
		err  error
		want instance.Reason
	}{
		{whatsmeow.ErrPhoneNumberTooShort, instance.ReasonPairingRefused},
		{whatsmeow.ErrPhoneNumberIsNotInternational, instance.ReasonPairingRefused},
		{whatsmeow.ErrIQBadRequest, instance.ReasonPairingRefused},
		{whatsmeow.ErrIQNotFound, instance.ReasonPairingRefused},
		{whatsmeow.ErrIQRateOverLimit, instance.ReasonThrottled},
		{whatsmeow.ErrIQServiceUnavailable, instance.ReasonUnreachable},
		{whatsmeow.ErrIQTimedOut, instance.ReasonUnreachable},
		{whatsmeow.ErrIQDisconnected, ""},
	} {
		c := codeFailure(tc.err, now)
		if c == nil {
			c = &instance.Closed{}
		}
		if c.Reason != tc.want {
			t.Errorf("%v closes with %q, want %q", tc.err, c.Reason, tc.want)
		}
	}
}
