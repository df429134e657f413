package whatsapp

import (
	"context"
	"errors"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"pairgate.dev/pkg/instance"
)

// loginWaits are the waits before the logins that follow a link. WhatsApp has
// been seen to end the first ones; a device that is linked must not stay silent.
var loginWaits = []time.Duration{0, 250 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}

// presenceTimeout bounds the sending of a presence.
const presenceTimeout = 10 * time.Second

// login begins to log in with the stored keys.
func (s *session) login(ctx context.Context) *instance.Closed {
	device, ok, err := s.d.opts.Keys.Device(ctx, s.common.Instance)
	if err != nil {
		return s.storeFailure(err)
	}
	if !ok || device.ID == nil {
		return closed(instance.ReasonKeysMissing, "There are no keys to log in with.")
	}
	s.adopt(device)
	return s.dial(linkParams{device: device})
}

// adopt makes the stored device the session's.
func (s *session) adopt(device *store.Device) {
	if device.PushName == "" {
		// A presence takes a name; a business has this one until its owner sets another.
		device.PushName = device.BusinessName
	}
	s.account = accountOf(*device.ID, device.PushName)
	s.mu.Lock()
	s.named = device.PushName != ""
	s.mu.Unlock()
}

// enter logs in with the keys of the new link, by a client made anew from the store.
func (s *session) enter() *instance.Closed {
	s.hangUp()
	s.stage, s.restart = entering, false
	s.tries++
	ctx, cancel := context.WithTimeout(s.ctx, storeTimeout)
	defer cancel()
	if end := s.login(ctx); end != nil {
		return s.fail(end)
	}
	return nil
}

// fail ends the session, unless it is the first login of a new link: that is tried again.
func (s *session) fail(end *instance.Closed) *instance.Closed {
	if s.stage != entering || s.tries >= len(loginWaits) || s.ctx.Err() != nil {
		return end
	}
	switch end.Reason {
	case instance.ReasonConnectionClosed, instance.ReasonUnreachable, instance.ReasonInternal:
		s.hangUp()
		s.watchdog.Stop()
		s.grace.Stop()
		s.again.Reset(loginWaits[s.tries])
		return nil
	}
	return end
}

// enters takes the library's word that we are logged in.
func (s *session) enters() {
	if s.stage != opening && s.stage != entering {
		return
	}
	s.stage = online
	s.watchdog.Stop()
	s.d.versions.verdict(s.link.version, false, time.Now())
	s.mu.Lock()
	s.live = s.link
	if !s.isIn {
		s.isIn = true
		close(s.loggedIn)
	}
	s.mu.Unlock()
	s.tell(instance.Connected{Account: s.account})
	s.sendPresence()
}

// renamed takes the name that the account's owner has set on the phone.
func (s *session) renamed(name string) {
	if name == "" || name == s.account.Name {
		return
	}
	s.account.Name = name
	s.mu.Lock()
	s.named = true
	s.mu.Unlock()
	if s.stage == online {
		s.tell(instance.Connected{Account: s.account})
		s.sendPresence()
	}
}

// sendPresence tells WhatsApp the presence that is wanted. At first that is
// unavailable: it lets WhatsApp know our name, and the phone keeps on ringing,
// which it does not while a linked device is available.
func (s *session) sendPresence() {
	link := s.link
	s.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, presenceTimeout)
		defer cancel()
		// Should it fail, the connection is about to end.
		_ = s.present(ctx, link)
	})
}

func (s *session) present(ctx context.Context, link *link) error {
	s.mu.Lock()
	available, named := s.available, s.named
	s.mu.Unlock()
	if !named {
		return nil
	}
	presence := types.PresenceUnavailable
	if available {
		presence = types.PresenceAvailable
	}
	return link.client.SendPresence(ctx, presence)
}

// errNotOnline is returned for what takes a login.
var errNotOnline = errors.New("whatsapp: the session is not logged in")

// SetPresence implements driver.PresenceSetter. The presence is sent at once, or
// as soon as WhatsApp has told the account's name, without which it takes none.
func (s *session) SetPresence(ctx context.Context, available bool) error {
	s.mu.Lock()
	link := s.live
	if !s.isIn || link == nil {
		s.mu.Unlock()
		return errNotOnline
	}
	s.available = available
	s.mu.Unlock()
	ctx, cancel := s.within(ctx)
	defer cancel()
	if err := s.present(ctx, link); err != nil {
		return errors.New("whatsapp: the presence was not sent")
	}
	return nil
}

// loggedOutByUs says that the messenger has confirmed our logout.
type loggedOutByUs struct{}

// Logout implements driver.Session. It waits for the login, if that is under way.
func (s *session) Logout(ctx context.Context) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	select {
	case <-s.loggedIn:
	case <-s.done:
		return errNotOnline
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	link := s.live
	s.leaving = link != nil
	s.mu.Unlock()
	if link == nil {
		return errNotOnline
	}
	err := link.unlink(ctx)
	if err == nil {
		s.confirm()
		s.box.put(mail{event: loggedOutByUs{}})
		return nil
	}
	// WhatsApp may end the connection as unlinked before it answers.
	select {
	case <-s.left:
		return nil
	case <-s.done:
	case <-time.After(2 * explanation):
	}
	select {
	case <-s.left:
		return nil
	default:
		return errors.New("whatsapp: the logout was not confirmed")
	}
}

func (s *session) isLeaving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leaving
}

// confirm says that the device is unlinked.
func (s *session) confirm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isOut {
		s.isOut = true
		close(s.left)
	}
}
