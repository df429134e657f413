package whatsapp

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"time"

	wabinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"

	"pairgate.dev/services/lab/internal/accounts"
	"pairgate.dev/services/lab/internal/whatsapp/adv"
	"pairgate.dev/services/lab/labapi"
)

// login logs a linked device in. The caller holds the mutex.
func (s *Server) login(c *conn, p payload) {
	at := address{p.user, p.device}
	if pending, ok := s.unwritten[at]; ok {
		// What it is told must be on disk.
		s.wg.Go(func() {
			_ = pending.Wait() // that it failed is seen to elsewhere
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.unwritten[at] == pending {
				delete(s.unwritten, at)
			}
			if !c.over {
				s.login(c, p)
			}
		})
		return
	}
	if s.faults.Take(func(f *labapi.Faults) *int { return &f.RefusedLogins }) {
		faults := s.faults.Now()
		f := failure{reason: faults.LoginFailureReason, code: faults.LoginFailureCode, expire: time.Duration(faults.LoginFailureSeconds) * time.Second}
		if f.reason == 0 {
			f.reason = failureBadRequest
		}
		c.fail(f)
		return
	}
	device, ok := s.find(at)
	if !ok || !device.KeyIs(string(c.noise[:])) {
		c.fail(failure{reason: failureLoggedOut})
		return
	}
	account, _ := s.book.Get(p.user)
	if account.Banned.Holds(time.Now()) {
		f := failure{reason: failureBanned, code: bannedForMessages}
		if !account.Banned.Until.IsZero() {
			f.expire = time.Until(account.Banned.Until)
		}
		c.fail(f)
		return
	}
	s.goOnline(c, device)
}

// address is how a device calls itself: its account, and its number there.
type address struct {
	phone  string
	number uint16
}

func addressOf(d accounts.Device) address { return address{d.Phone, d.WhatsApp.Number} }

// find returns the linked device of this address.
func (s *Server) find(at address) (accounts.Device, bool) {
	for _, d := range s.book.Devices(at.phone) {
		if d.WhatsApp != nil && addressOf(d) == at {
			return d, true
		}
	}
	return accounts.Device{}, false
}

// goOnline logs the connection in. An earlier one of the same device is replaced. The
// caller holds the mutex.
func (s *Server) goOnline(c *conn, d accounts.Device) {
	c.device, c.since = d.ID, time.Now()
	s.tally.Open(d.ID)
	if before := s.online[d.ID]; before != nil {
		s.replace(before)
	}
	s.online[d.ID] = c
	c.send(node("success", wabinary.Attrs{
		"t": strconv.FormatInt(time.Now().Unix(), 10), "lid": s.lid(d), "props": "27", "location": "lab",
		"companion_enc_static": base64.StdEncoding.EncodeToString(s.derive("companion static", d.Phone)),
	}))
	c.send(node("ib", wabinary.Attrs{"from": types.ServerJID}, node("offline", wabinary.Attrs{"count": "0"})))
	if s.faults.Take(func(f *labapi.Faults) *int { return &f.StreamErrors }) {
		code := s.faults.Now().StreamErrorCode
		if code == 0 {
			code = 503
		}
		c.hangUp(streamError(strconv.Itoa(code)), closeGrace)
	}
}

// replace ends a connection whose device has come by another one. The caller holds the mutex.
func (s *Server) replace(c *conn) {
	// Without a code, as whatsmeow's connectionevents.go takes it.
	c.hangUp(node("stream:error", nil, conflict("replaced")), closeGrace)
}

// jid is the device's address by phone number.
func (s *Server) jid(d accounts.Device) types.JID {
	return types.JID{User: d.Phone, Device: d.WhatsApp.Number, Server: types.DefaultUserServer}
}

// lid is the device's address that hides the number.
func (s *Server) lid(d accounts.Device) types.JID {
	n := binary.BigEndian.Uint64(s.derive("lid", d.Phone))
	// 15 digits, like the real ones.
	const least = 100_000_000_000_000
	user := strconv.FormatUint(least+n%(9*least), 10)
	return types.JID{User: user, Device: d.WhatsApp.Number, Server: types.HiddenUserServer}
}

// identity is the identity of the phone's account.
func (s *Server) identity(phone string) *adv.Account {
	return adv.NewAccount([32]byte(s.derive("account", phone)))
}

// derive returns 32 bytes that this lab always has for this purpose and phone.
func (s *Server) derive(purpose, phone string) []byte {
	out, err := hkdf.Key(sha256.New, s.secret[:], nil, purpose+" "+phone, 32)
	if err != nil {
		panic(err) // for too many bytes only
	}
	return out
}
