package whatsapp

import (
	"time"

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
		s.forget(id)
		if c := s.online[id]; c != nil {
			c.hangUp(deviceRemoved(), closeGrace)
		}
	}
	return nil
}

func (s *Server) devices(phone, device string) (ids []string) {
	for _, d := range s.book.Devices(phone) {
		if device == "" || d.ID == device {
			ids = append(ids, d.ID)
		}
	}
	return ids
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
	for _, id := range s.devices(phone, device) {
		if c := s.online[id]; c != nil {
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
