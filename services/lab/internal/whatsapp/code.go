package whatsapp

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"time"

	"go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"

	"pairgate.dev/services/lab/internal/accounts"
	"pairgate.dev/services/lab/internal/outcome"
	"pairgate.dev/services/lab/internal/refusal"
	"pairgate.dev/services/lab/internal/whatsapp/linkcode"
	"pairgate.dev/services/lab/labapi"
)

// maxHellos is how many codes a connection may ask for. The real server has a limit
// too; how high it is is not known.
const maxHellos = 20

// displayName is how a device may call itself when it asks for a phone code: a common
// browser and system, else the real server answers 400 (whatsmeow's pair-code.go says so).
var displayName = regexp.MustCompile(`^(Chrome|Edge|Firefox|IE|Internet Explorer|Opera|Safari) \((Android|Chrome OS|iOS|Linux|Mac OS|Mac OS X|macOS|Ubuntu|Windows)\)$`)

// hello is a device that waits for its code to be typed. The server does not know the
// code, which only hides the keys that both sides exchange.
type hello struct {
	conn    *conn
	phone   string
	ref     string
	wrapped []byte
	expiry  *time.Timer
	// attempt is what a phone is trying; tried is told how it ended.
	attempt *linkcode.Attempt
	account accounts.Account
	tried   *outcome.Outcome
}

// errWrongCode says that the code is not the device's.
var errWrongCode = errors.New("whatsapp: the device shows another code")

// typedCodes has the devices that wait, by phone, oldest first; past has the accounts for
// which one has waited.
type typedCodes struct {
	waiting map[string][]*hello
	past    map[string]bool
}

func newTypedCodes() typedCodes {
	return typedCodes{waiting: map[string][]*hello{}, past: map[string]bool{}}
}

func (t *typedCodes) add(h *hello) {
	t.waiting[h.phone] = append(t.waiting[h.phone], h)
}

// bury takes a device out that does not wait any more. nil is allowed.
func (t *typedCodes) bury(h *hello) {
	if h == nil {
		return
	}
	h.expiry.Stop()
	// A new slice: others may be looking through the old one.
	left := slices.DeleteFunc(slices.Clone(t.waiting[h.phone]), func(other *hello) bool { return other == h })
	if t.waiting[h.phone] = left; len(left) == 0 {
		delete(t.waiting, h.phone)
	}
	if h.tried != nil {
		h.tried.Tell(refusal.Conflict(labapi.ReasonDeviceGone, "The device went away before it was linked."))
	}
}

// linkCode takes what a device sends of a phone code. The caller holds the mutex.
func (s *Server) linkCode(c *conn, id string, reg binary.Node) {
	switch text(reg.Attrs["stage"]) {
	case "companion_hello":
		s.companionHello(c, id, reg)
	case "companion_finish":
		s.companionFinish(c, id, reg)
	default:
		c.send(refuse(id, "400", "bad-request"))
	}
}

func (s *Server) companionHello(c *conn, id string, reg binary.Node) {
	p := c.pairing
	jid, ok := reg.Attrs["jid"].(types.JID)
	wrapped := content(&reg, "link_code_pairing_wrapped_companion_ephemeral_pub")
	p.hellos++
	switch {
	case p.link != nil, !ok, jid.Server != types.DefaultUserServer, len(wrapped) != linkcode.WrappedSize,
		string(content(&reg, "companion_server_auth_key_pub")) != string(c.noise[:]),
		len(content(&reg, "companion_platform_id")) == 0, !displayName.Match(content(&reg, "companion_platform_display")):
		c.send(refuse(id, "400", "bad-request"))
		return
	case p.hellos > maxHellos, s.faults.Take(func(f *labapi.Faults) *int { return &f.ThrottledLogins }):
		c.send(refuse(id, "429", "rate-overlimit"))
		return
	}
	s.typed.bury(p.hello)
	h := &hello{conn: c, phone: jid.User, ref: newRef(), wrapped: wrapped}
	p.hello = h
	s.typed.add(h)
	if _, ok := s.book.Get(h.phone); ok {
		s.typed.past[h.phone] = true
	}
	life := pairingCodeLife
	if n := s.faults.Now().PairingCodeLifeSeconds; n > 0 {
		life = seconds(n)
	}
	h.expiry = time.AfterFunc(life, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.typed.bury(h)
	})
	c.send(result(id, node("link_code_companion_reg", binary.Attrs{"stage": "companion_hello"}, leaf("link_code_pairing_ref", []byte(h.ref)))))
}

// EnterCode lets the phone type a phone code, in any case, with or without dash and
// spaces. It returns as Scan does. The phone tries the code on every device that waits
// for it, the latest first.
func (s *Server) EnterCode(ctx context.Context, phone, typed string) error {
	code, err := linkcode.Normalize(typed)
	if err != nil {
		return unknownCode()
	}
	waiting, err := s.waiting(phone)
	if err != nil {
		return err
	}
	for i := len(waiting) - 1; i >= 0; i-- {
		switch err := s.try(ctx, waiting[i], code); {
		case errors.Is(err, errWrongCode):
		case err != nil:
			return err
		default:
			return waiting[i].conn.link().ended.Wait(ctx)
		}
	}
	return unknownCode()
}

// link returns the link under way.
func (c *conn) link() *link {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	return c.pairing.link
}

// waiting returns the devices that wait for the phone.
func (s *Server) waiting(phone string) ([]*hello, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.account(phone); err != nil {
		return nil, err
	}
	waiting := s.typed.waiting[phone]
	if len(waiting) == 0 && s.typed.past[phone] {
		return nil, expiredCode()
	}
	return waiting, nil
}

// try tries the code on a device and returns nil once the link is under way, or
// errWrongCode.
func (s *Server) try(ctx context.Context, h *hello, code string) error {
	attempt, err := linkcode.Answer(code, h.wrapped, s.identity(h.phone).Key())
	if err != nil {
		return err
	}
	tried, err := s.begin(h, attempt)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, deviceTimeout,
		&refusal.Error{Status: 504, Reason: labapi.ReasonDeviceSilent, Detail: "The device did not answer in time; it is not linked."})
	defer cancel()
	err = tried.Wait(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.tried == tried {
		h.attempt, h.tried = nil, nil
	}
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return context.Cause(ctx)
	}
	return err
}

// begin tells the device that a phone tries a code on it.
func (s *Server) begin(h *hello, attempt *linkcode.Attempt) (*outcome.Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := h.conn
	account, err := s.account(h.phone)
	switch {
	case err != nil:
		return nil, err
	case c.over || c.pairing.hello != h || c.pairing.link != nil || !slices.Contains(s.typed.waiting[h.phone], h):
		return nil, expiredCode()
	case h.tried != nil:
		return nil, refusal.Conflict(labapi.ReasonExpiredCode, "A code is being tried on this device already.")
	}
	tried := outcome.New()
	parts := []binary.Node{leaf("link_code_pairing_ref", []byte(h.ref))}
	if account.Passkey {
		// The phone keeps its key to itself, as clients have seen, and the passkey
		// stands in for the code.
		c.notify("link_code_companion_reg", node("link_code_companion_reg", binary.Attrs{"stage": "primary_hello"}, parts...))
		s.startLink(c, account)
		s.askPasskey(c, nil)
		tried.Tell(nil)
		return tried, nil
	}
	h.attempt, h.account, h.tried = attempt, account, tried
	parts = append(parts, leaf("link_code_pairing_wrapped_primary_ephemeral_pub", attempt.WrappedEphemeral()),
		leaf("primary_identity_pub", attempt.Identity()))
	c.notify("link_code_companion_reg", node("link_code_companion_reg", binary.Attrs{"stage": "primary_hello"}, parts...))
	return tried, nil
}

// companionFinish takes the device's part of the key agreement. The caller holds the mutex.
func (s *Server) companionFinish(c *conn, id string, reg binary.Node) {
	h := c.pairing.hello
	if h == nil || h.attempt == nil || string(content(&reg, "link_code_pairing_ref")) != h.ref {
		c.send(refuse(id, "400", "bad-request"))
		return
	}
	c.send(result(id))
	identity := content(&reg, "companion_identity_public")
	secret, err := h.attempt.Finish(content(&reg, "link_code_pairing_wrapped_key_bundle"), identity)
	tried := h.tried
	h.attempt, h.tried = nil, nil
	switch {
	case errors.Is(err, linkcode.ErrWrongCode):
		tried.Tell(errWrongCode)
	case err != nil, string(identity) != string(c.pairing.registration.Identity[:]):
		tried.Tell(refusal.Conflict(labapi.ReasonDeviceRefused, "The device answered something else."))
	default:
		s.startLink(c, h.account)
		s.introduce(c, secret)
		tried.Tell(nil)
	}
}
