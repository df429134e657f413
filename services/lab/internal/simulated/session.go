package simulated

import (
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/simwire"
	"pairgate.dev/services/lab/internal/accounts"
	"pairgate.dev/services/lab/labapi"
)

// session is one session of a driver. The server's mutex guards it.
type session struct {
	conn *conn
	id   uint64
	over bool

	// pairing is what a linking session has until its device is online; nil for others.
	pairing *pairing
	// link is the link under way, once a phone has accepted a code.
	link *link
	// device is the linked device, once logged in; since is when that was.
	device string
	since  time.Time
}

// send sends a frame of the session, if it is not over. The caller holds the mutex.
func (ss *session) send(f simwire.Frame) {
	if !ss.over {
		f.Session = ss.id
		ss.conn.send(f)
	}
}

// openSession takes open-pair and open-login. The caller holds the mutex.
func (s *Server) openSession(c *conn, f simwire.Frame) {
	if c.sessions[f.Session] != nil {
		return // a number is never used twice
	}
	ss := &session{conn: c, id: f.Session}
	if len(c.sessions) >= maxSessions {
		s.close(ss, instance.ReasonThrottled, "Too many sessions.", time.Time{})
		return
	}
	c.sessions[f.Session] = ss
	faults := s.faults.Now()
	if minimum, err := labapi.ParseVersion(faults.MinimumClientVersion); err == nil && c.version.Less(minimum) {
		s.close(ss, instance.ReasonClientOutdated, "The messenger asks for client version "+faults.MinimumClientVersion+" or later.", time.Time{})
		return
	}
	if f.Type == simwire.TypeOpenPair {
		s.startPairing(ss, f)
		return
	}
	s.login(ss, f)
}

func (s *Server) login(ss *session, f simwire.Frame) {
	if s.faults.Take(func(f *labapi.Faults) *int { return &f.RefusedLogins }) {
		s.close(ss, instance.ReasonLoginRefused, "The messenger refused the login.", time.Time{})
		return
	}
	if s.faults.Take(func(f *labapi.Faults) *int { return &f.ThrottledLogins }) {
		var until time.Time
		if seconds := s.faults.Now().ThrottleSeconds; seconds > 0 {
			until = time.Now().Add(time.Duration(seconds) * time.Second)
		}
		s.close(ss, instance.ReasonThrottled, "Too many logins.", until)
		return
	}
	device, account, ok := s.book.Device(f.Device)
	if !ok || !device.KeyIs(f.Key) {
		s.close(ss, instance.ReasonLoggedOutOnPhone, "The device is not linked any more.", time.Time{})
		return
	}
	if account.Banned.Holds(time.Now()) {
		s.close(ss, instance.ReasonBanned, "The account is banned.", account.Banned.Until)
		return
	}
	s.goOnline(ss, device, account)
}

// goOnline logs the session in. An earlier one of the same device is replaced.
func (s *Server) goOnline(ss *session, d accounts.Device, a accounts.Account) {
	s.tally.Open(d.ID)
	if before := s.online[d.ID]; before != nil {
		s.close(before, instance.ReasonReplaced, "Another connection of the same device took over.", time.Time{})
	}
	ss.pairing, ss.link = nil, nil
	ss.device, ss.since = d.ID, time.Now()
	s.online[d.ID] = ss
	account := wireAccount(d, a)
	ss.send(simwire.Frame{Type: simwire.TypeOnline, Account: &account})
	if a.Suspended.Holds(time.Now()) {
		ss.send(suspended(a))
	}
}

func wireAccount(d accounts.Device, a accounts.Account) simwire.Account {
	return simwire.Account{ID: a.Phone + ":" + d.ID, Phone: a.Phone, Name: a.Name}
}

func suspended(a accounts.Account) simwire.Frame {
	return simwire.Frame{Type: simwire.TypeSuspended, Detail: "The messenger restricts the account.", UntilMillis: simwire.UntilMillis(a.Suspended.Until)}
}

// close tells the driver why the session is over, and ends it. The caller holds the mutex.
func (s *Server) close(ss *session, why instance.Reason, detail string, until time.Time) {
	ss.send(simwire.Frame{Type: simwire.TypeClosed, Reason: string(why), Detail: detail, UntilMillis: simwire.UntilMillis(until)})
	s.end(ss)
}

// end ends the session without a word. The caller holds the mutex.
func (s *Server) end(ss *session) {
	if ss.over {
		return
	}
	ss.over = true
	delete(ss.conn.sessions, ss.id)
	if s.online[ss.device] == ss {
		delete(s.online, ss.device)
	}
	s.tally.Close(ss.device)
	s.stopPairing(ss)
	if ss.link != nil {
		ss.link.fail(labapi.ReasonDeviceGone, "The device went away before it was linked.")
	}
}

// logout unlinks the session's device and confirms it once that is on disk. The caller holds the mutex.
func (s *Server) logout(ss *session) {
	if ss.device == "" || s.closed {
		return
	}
	pending := s.book.Unlink(ss.device)
	s.wg.Go(func() {
		err := pending.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil {
			s.log.Error("an unlinked device could not be written", zap.Error(err))
			s.close(ss, instance.ReasonInternal, "The lab could not write to its disk.", time.Time{})
			return
		}
		s.sent.Forget(ss.device)
		s.tally.Forget(ss.device)
		ss.send(simwire.Frame{Type: simwire.TypeLoggedOut})
		s.end(ss)
	})
}

func (s *Server) presence(ss *session, available bool) {
	if ss.device == "" {
		return
	}
	text := "unavailable"
	if available {
		text = "available"
	}
	s.sent.Presence(ss.device, text)
}

// Connection says since when the device has an open session; ok is false when it has none.
func (s *Server) Connection(device string) (since time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss := s.online[device]
	if ss == nil {
		return time.Time{}, false
	}
	return ss.since, true
}

// Connections says how many sessions the device has, and the most that it had at once.
func (s *Server) Connections(device string) (now, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tally.Of(device)
}

// Sent returns what the device has sent, oldest first.
func (s *Server) Sent(device string) []labapi.Sent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent.Of(device)
}
