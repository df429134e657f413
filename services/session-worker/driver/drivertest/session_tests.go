package drivertest

import (
	"context"
	"testing"
	"time"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/session-worker/driver"
)

func testLoginAfterRestart(t *testing.T, s *suite) {
	phone := s.phone(Account{})
	id, o := s.link(phone)
	before, _, _ := s.d.Account(t.Context(), id)
	o.end()
	s.restart()
	after, ok, err := s.d.Account(t.Context(), id)
	if err != nil || !ok || after != before {
		t.Fatalf("after a restart the account is %v (found %v, %v), want %v", after, ok, err, before)
	}
	again := s.login(id)
	s.sameAccount("Connected", await[instance.Connected](again.recorder).Account, phone)
	s.devices(phone, 1)
}

func testKeysMissing(t *testing.T, s *suite) {
	s.closedWith(s.login(NewID()), instance.ReasonKeysMissing)
}

func testLogout(t *testing.T, s *suite) {
	phone := s.phone(Account{})
	id, o := s.link(phone)
	s.must(o.Logout(t.Context()))
	await[instance.Closed](o.recorder)
	s.devices(phone, 0)
	if _, ok, err := s.d.Account(t.Context(), id); !ok || err != nil {
		t.Fatalf("the keys went with the logout: %v, %v; they stay until Forget", ok, err)
	}
	s.closedWith(s.login(id), instance.ReasonLoggedOutOnPhone)
}

func testForget(t *testing.T, s *suite) {
	phone := s.phone(Account{})
	id, o := s.link(phone)
	o.end()
	s.must(s.d.Forget(t.Context(), id))
	s.must(s.d.Forget(t.Context(), id))
	if _, ok, err := s.d.Account(t.Context(), id); ok || err != nil {
		t.Fatalf("still there after Forget: %v, %v", ok, err)
	}
	s.closedWith(s.login(id), instance.ReasonKeysMissing)
	s.restart()
	if _, ok, err := s.d.Account(t.Context(), id); ok || err != nil {
		t.Fatalf("back after a restart: %v, %v", ok, err)
	}
}

// Whenever Close returns, nothing comes after it: the recorder fails the test if it does.
func testCloseAtOnce(t *testing.T, s *suite) {
	for range 50 {
		o := s.pair(driver.PairParams{Common: driver.Common{Instance: NewID()}})
		o.end()
		o.Session.Close()
	}
	// What comes late comes before this session is through.
	phone := s.phone(Account{})
	s.link(phone)
}

func testCloseWhilePairing(t *testing.T, s *suite) {
	phone := s.phone(Account{})
	o := s.pair(driver.PairParams{Common: driver.Common{Instance: NewID()}})
	code := await[instance.CodeIssued](o.recorder)
	o.end()
	s.eventually("the code to be dead", func() error {
		if s.Messenger.Scan(t.Context(), phone, code.Text) == nil {
			t.Fatal("a phone could link a session that was closed")
		}
		return nil
	})
	s.devices(phone, 0)
}

func testCloseWhenOnline(t *testing.T, s *suite) {
	phone := s.phone(Account{})
	id, o := s.link(phone)
	n := o.count()
	o.end()
	if o.count() != n {
		t.Errorf("Close told the sink: %s", o.names())
	}
	s.devices(phone, 1)
	await[instance.Connected](s.login(id).recorder)
}

func testCloseAfterClosed(t *testing.T, s *suite) {
	o := s.login(NewID())
	s.closedWith(o, instance.ReasonKeysMissing)
	o.end()
	o.Session.Close()
	if err := o.Logout(t.Context()); err == nil {
		t.Error("a session that is over confirmed a logout")
	}
}

func testCancelledContext(t *testing.T, s *suite) {
	pairing := s.pair(driver.PairParams{Common: driver.Common{Instance: NewID()}})
	await[instance.CodeIssued](pairing.recorder)
	pairing.cancel()
	await[instance.Closed](pairing.recorder, codes...)

	phone := s.phone(Account{})
	id, o := s.link(phone)
	o.cancel()
	await[instance.Closed](o.recorder)
	s.devices(phone, 1)
	await[instance.Connected](s.login(id).recorder)
}

func testCancelledBefore(t *testing.T, s *suite) {
	d := s.driver()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := newRecorder(t)
	session := d.Pair(ctx, driver.PairParams{Common: driver.Common{Instance: NewID()}, Method: instance.MethodQR}, r.sink)
	await[instance.Closed](r)
	session.Close()
	r.closeReturned()
}

func testUnlinked(t *testing.T, s *suite) {
	phone := s.phone(Account{})
	id, o := s.link(phone)
	s.must(s.Messenger.Unlink(t.Context(), phone))
	s.closedWith(o, instance.ReasonLoggedOutOnPhone)
	s.devices(phone, 0)
	s.closedWith(s.login(id), instance.ReasonLoggedOutOnPhone)
}

func testUnlinkedWhileAway(t *testing.T, s *suite) {
	phone := s.phone(Account{})
	id, o := s.link(phone)
	o.end()
	s.must(s.Messenger.Unlink(t.Context(), phone))
	s.closedWith(s.login(id), instance.ReasonLoggedOutOnPhone)
}

func testReplaced(t *testing.T, s *suite) {
	phone := s.phone(Account{})
	id, o := s.link(phone)
	s.must(s.Messenger.Replace(t.Context(), phone))
	s.closedWith(o, instance.ReasonReplaced)
	await[instance.Connected](s.login(id).recorder)
}

func testDropped(t *testing.T, s *suite) {
	phone := s.phone(Account{})
	id, o := s.link(phone)
	s.must(s.Messenger.Drop(t.Context(), phone))
	s.closedWith(o, instance.ReasonConnectionClosed)
	s.devices(phone, 1)
	await[instance.Connected](s.login(id).recorder)
}

func testBanned(t *testing.T, s *suite) {
	phone := s.phone(Account{})
	id, o := s.link(phone)
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	s.must(s.Messenger.Ban(t.Context(), phone, until))
	if s.Features.BanAtLogin {
		s.closedWith(o, instance.ReasonConnectionClosed)
	} else if c := s.closedWith(o, instance.ReasonBanned); !c.Until.Equal(until) {
		t.Errorf("banned until %v, want %v", c.Until, until)
	}
	if c := s.closedWith(s.login(id), instance.ReasonBanned); !c.Until.Equal(until) {
		t.Errorf("at login banned until %v, want %v", c.Until, until)
	}
	s.must(s.Messenger.Ban(t.Context(), phone, time.Time{}))
	if c := s.closedWith(s.login(id), instance.ReasonBanned); !c.Until.IsZero() {
		t.Errorf("banned for good until %v", c.Until)
	}
}

func testSuspended(t *testing.T, s *suite) {
	phone := s.phone(Account{})
	id, o := s.link(phone)
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	s.must(s.Messenger.Suspend(t.Context(), phone, until))
	if r := await[instance.Restricted](o.recorder); !r.Until.Equal(until) {
		t.Errorf("restricted until %v, want %v", r.Until, until)
	}
	o.end()
	again := s.login(id)
	await[instance.Connected](again.recorder)
	await[instance.Restricted](again.recorder)
	s.must(s.Messenger.Unsuspend(t.Context(), phone))
	await[instance.Unrestricted](again.recorder)
}

func testOutdated(t *testing.T, s *suite) {
	phone := s.phone(Account{})
	id, o := s.link(phone)
	o.end()
	s.must(s.Messenger.Outdated(t.Context(), true))
	defer func() { s.must(s.Messenger.Outdated(t.Context(), false)) }()
	s.closedWith(s.login(id), instance.ReasonClientOutdated)
	s.closedWith(s.pair(driver.PairParams{Common: driver.Common{Instance: NewID()}}), instance.ReasonClientOutdated)
	s.must(s.Messenger.Outdated(t.Context(), false))
	await[instance.Connected](s.login(id).recorder)
}

func testUnreachable(t *testing.T, s *suite) {
	s.d = s.OpenUnreachable(t, s.store)
	t.Cleanup(s.closeDriver)
	o := s.pair(driver.PairParams{Common: driver.Common{Instance: NewID()}})
	s.closedWith(o, instance.ReasonUnreachable)
	s.closedWith(s.pair(driver.PairParams{Common: driver.Common{Instance: NewID()}}), instance.ReasonUnreachable)
}

func testPresence(t *testing.T, s *suite) {
	phone := s.phone(Account{})
	_, o := s.link(phone)
	setter, ok := o.Session.(driver.PresenceSetter)
	if !ok {
		t.Fatal("the session is no driver.PresenceSetter")
	}
	s.must(setter.SetPresence(t.Context(), true))
	s.must(setter.SetPresence(t.Context(), false))
	o.end()
	if err := setter.SetPresence(t.Context(), true); err == nil {
		t.Error("presence was set on a session that is over")
	}
}
