package whatsapp

import (
	"slices"
	"time"

	"pairgate.dev/services/lab/internal/accounts"
	"pairgate.dev/services/lab/internal/journal"
	"pairgate.dev/services/lab/internal/refusal"
	"pairgate.dev/services/lab/labapi"
)

// Unlink removes the device from the phone, or every device when it is empty. It
// fails with not_linked when there is none.
func (s *Server) Unlink(phone, device string) error {
	s.mu.Lock()
	devices := s.devices(phone, device)
	if len(devices) == 0 {
		s.mu.Unlock()
		return refusal.Conflict(labapi.ReasonNotLinked, "The phone has no such linked device.")
	}
	pending := s.unlink(devices...)
	s.mu.Unlock()
	err := pending.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range devices {
		delete(s.unwritten, addressOf(d))
		if err != nil {
			continue
		}
		s.forget(d.ID)
		if c := s.online[d.ID]; c != nil {
			c.hangUp(deviceRemoved(), closeGrace)
		}
	}
	return err
}

// unlink takes devices out of the book. Who calls it deletes them from s.unwritten
// once they are written. The caller holds the mutex.
func (s *Server) unlink(devices ...accounts.Device) journal.Pending {
	ids := make([]string, 0, len(devices))
	for _, d := range devices {
		ids = append(ids, d.ID)
	}
	pending := s.book.Unlink(ids...)
	for _, d := range devices {
		s.unwritten[addressOf(d)] = pending
	}
	return pending
}

// devices returns the device of the phone, or all of them when it is empty.
func (s *Server) devices(phone, device string) []accounts.Device {
	return slices.DeleteFunc(s.book.Devices(phone), func(d accounts.Device) bool { return device != "" && d.ID != device })
}

// Replace ends the connections of the device, or of every device of the phone, as
// another connection with the same keys does. It fails with not_connected when there is none.
func (s *Server) Replace(phone, device string) error {
	return s.each(phone, device, s.replace)
}

// Drop is Replace for a connection that is lost.
func (s *Server) Drop(phone, device string) error {
	return s.each(phone, device, func(c *conn) {
		_ = c.nc.Close()
		s.end(c)
	})
}

// each calls do with the connections of the device, or of every device of the phone.
func (s *Server) each(phone, device string, do func(*conn)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := false
	for _, d := range s.devices(phone, device) {
		if c := s.online[d.ID]; c != nil {
			do(c)
			found = true
		}
	}
	if !found {
		return refusal.Conflict(labapi.ReasonNotConnected, "No such device of the phone is connected.")
	}
	return nil
}

// Ban blocks the account until the time, for good when it is zero. Connections are
// closed without a word, and told when they come again: what the real server says to
// those that are online is not known.
func (s *Server) Ban(phone string, until time.Time) error {
	_, pending := s.book.Update(phone, func(a *accounts.Account) { a.Banned = accounts.Restriction{On: true, Until: until} })
	if err := pending.Wait(); err != nil {
		return err
	}
	// Nobody may be connected.
	_ = s.Drop(phone, "")
	return nil
}

// Unban takes Ban back.
func (s *Server) Unban(phone string) error {
	_, pending := s.book.Update(phone, func(a *accounts.Account) { a.Banned = accounts.Restriction{} })
	return pending.Wait()
}

// Suspend is refused: WhatsApp has nothing between an account that works and a ban.
func (s *Server) Suspend(string, time.Time) error {
	return refusal.Conflict(labapi.ReasonNotOffered, "WhatsApp does not suspend accounts; ban the phone instead.")
}

// Unsuspend is refused as Suspend is.
func (s *Server) Unsuspend(phone string) error { return s.Suspend(phone, time.Time{}) }
