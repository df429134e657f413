package simulated

import (
	"time"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/simwire"
	"pairgate.dev/services/lab/internal/accounts"
	"pairgate.dev/services/lab/internal/refusal"
	"pairgate.dev/services/lab/labapi"
)

// Unlink removes the device from the phone, or every device when it is empty. It
// fails with not_linked when there is none.
func (s *Server) Unlink(phone, device string) error {
	s.mu.Lock()
	ids := s.devices(phone, device)
	if len(ids) == 0 {
		s.mu.Unlock()
		return refusal.Conflict(labapi.ReasonNotLinked, "The phone has no such linked device.")
	}
	pending := s.book.Unlink(ids...)
	s.mu.Unlock()
	if err := pending.Wait(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		s.unlinked(id)
	}
	return nil
}

// unlinked ends the session of a device that is not linked any more. The caller holds the mutex.
func (s *Server) unlinked(id string) {
	s.sent.Forget(id)
	s.tally.Forget(id)
	if ss := s.online[id]; ss != nil {
		s.close(ss, instance.ReasonLoggedOutOnPhone, "The device was unlinked on the phone.", time.Time{})
	}
}

func (s *Server) devices(phone, device string) (ids []string) {
	for _, d := range s.book.Devices(phone) {
		if device == "" || d.ID == device {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

// Replace ends the sessions of the device, or of every device of the phone, as
// another connection of the same device does. It fails with not_connected when there is none.
func (s *Server) Replace(phone, device string) error {
	return s.closeAll(phone, device, instance.ReasonReplaced, "Another connection of the same device took over.")
}

// Drop is Replace for a connection that is lost.
func (s *Server) Drop(phone, device string) error {
	return s.closeAll(phone, device, instance.ReasonConnectionClosed, "The messenger closed the connection.")
}

func (s *Server) closeAll(phone, device string, why instance.Reason, detail string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	closed := 0
	for _, id := range s.devices(phone, device) {
		if ss := s.online[id]; ss != nil {
			s.close(ss, why, detail, time.Time{})
			closed++
		}
	}
	if closed == 0 {
		return refusal.Conflict(labapi.ReasonNotConnected, "No such device of the phone is connected.")
	}
	return nil
}

// Ban blocks the account until the time, for good when it is zero.
func (s *Server) Ban(phone string, until time.Time) error {
	return s.update(phone, func(a *accounts.Account) { a.Banned = accounts.Restriction{On: true, Until: until} }, func(ss *session, _ accounts.Account) {
		s.close(ss, instance.ReasonBanned, "The account is banned.", until)
	})
}

// Unban takes Ban back.
func (s *Server) Unban(phone string) error {
	return s.update(phone, func(a *accounts.Account) { a.Banned = accounts.Restriction{} }, func(*session, accounts.Account) {})
}

// Suspend restricts the account until the time, or until Unsuspend when it is zero.
func (s *Server) Suspend(phone string, until time.Time) error {
	return s.update(phone, func(a *accounts.Account) { a.Suspended = accounts.Restriction{On: true, Until: until} }, func(ss *session, a accounts.Account) {
		ss.send(suspended(a))
	})
}

// Unsuspend takes Suspend back. An account that is not suspended is left alone.
func (s *Server) Unsuspend(phone string) error {
	if a, _ := s.book.Get(phone); !a.Suspended.Holds(time.Now()) {
		return nil
	}
	return s.update(phone, func(a *accounts.Account) { a.Suspended = accounts.Restriction{} }, func(ss *session, _ accounts.Account) {
		ss.send(simwire.Frame{Type: simwire.TypeUnsuspended})
	})
}

// update changes the account on disk and then tells its sessions.
func (s *Server) update(phone string, change func(*accounts.Account), tell func(*session, accounts.Account)) error {
	a, pending := s.book.Update(phone, change)
	if err := pending.Wait(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armLift(a)
	for _, id := range s.devices(phone, "") {
		if ss := s.online[id]; ss != nil {
			tell(ss, a)
		}
	}
	return nil
}

// armLift lets the account's sessions know when its suspension ends. The caller holds the mutex.
func (s *Server) armLift(a accounts.Account) {
	if timer := s.lifts[a.Phone]; timer != nil {
		timer.Stop()
		delete(s.lifts, a.Phone)
	}
	if s.closed || !a.Suspended.Holds(time.Now()) || a.Suspended.Until.IsZero() {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(time.Until(a.Suspended.Until), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.lifts[a.Phone] != timer {
			return
		}
		delete(s.lifts, a.Phone)
		for _, id := range s.devices(a.Phone, "") {
			if ss := s.online[id]; ss != nil {
				ss.send(simwire.Frame{Type: simwire.TypeUnsuspended})
			}
		}
	})
	s.lifts[a.Phone] = timer
}
