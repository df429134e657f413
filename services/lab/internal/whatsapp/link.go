package whatsapp

import (
	"context"
	"strconv"
	"time"

	"go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
	"go.uber.org/zap"

	"pairgate.dev/services/lab/internal/accounts"
	"pairgate.dev/services/lab/internal/codes"
	"pairgate.dev/services/lab/internal/outcome"
	"pairgate.dev/services/lab/internal/refusal"
	"pairgate.dev/services/lab/internal/whatsapp/adv"
	"pairgate.dev/services/lab/labapi"
)

// deviceTimeout is how long a device may take to sign before the phone gives up.
const deviceTimeout = 10 * time.Second

// link is a link under way. The server's mutex guards it.
type link struct {
	account accounts.Account
	// written says that the device is on its way to the disk: it is linked then.
	written  bool
	patience *time.Timer
	ended    *outcome.Outcome
	// passkey is what there is once the account's passkey was asked for.
	passkey *passkeyExchange
}

// fail ends a link that can still fail.
func (l *link) fail(reason, detail string) {
	if l.written {
		return
	}
	if l.patience != nil {
		l.patience.Stop()
	}
	l.ended.Tell(refusal.Conflict(reason, "%s", detail))
}

// Scan lets the phone scan the QR text, with or without the link in front. It returns
// nil once the device is linked, or once the account's passkey was asked for. ctx
// bounds the waiting only; the phone goes on. The error is a *refusal.Error unless it
// is ctx's.
func (s *Server) Scan(ctx context.Context, phone, text string) error {
	qr, err := adv.ParseQR(text)
	if err != nil {
		return unknownCode()
	}
	l, err := s.scan(phone, qr)
	if err != nil {
		return err
	}
	return l.ended.Wait(ctx)
}

func (s *Server) scan(phone string, qr adv.QR) (*link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	account, err := s.account(phone)
	if err != nil {
		return nil, err
	}
	d := codes.Of(qr.Ref)
	shown, ok := s.refs.Find(d)
	c := shown.By
	switch {
	case !ok && s.refs.Buried(d), ok && !shown.Expires.After(time.Now()):
		return nil, expiredCode()
	case !ok:
		return nil, unknownCode()
	case c.noise != qr.Noise, c.pairing.registration.Identity != qr.Identity:
		return nil, unknownCode() // not the keys of the device that has the reference
	case s.faults.Take(func(f *labapi.Faults) *int { return &f.OldPhones }):
		c.send(node("ib", binary.Attrs{"from": types.ServerJID}, node("downgrade_webclient", nil)))
		return nil, refusal.Conflict(labapi.ReasonOldPhone, "The phone cannot link devices.")
	}
	l := s.startLink(c, account)
	if account.Passkey {
		s.askPasskey(c, &qr.Secret)
		return l, nil
	}
	s.introduce(c, qr.Secret)
	return l, nil
}

// account returns the account of a phone that may link.
func (s *Server) account(phone string) (accounts.Account, error) {
	account, ok := s.book.Get(phone)
	if !ok {
		return account, &refusal.Error{Status: 404, Reason: labapi.ReasonUnknownPhone, Detail: "There is no account of this phone."}
	}
	if account.Banned.Holds(time.Now()) {
		return account, refusal.Conflict(labapi.ReasonBanned, "The account is banned.")
	}
	return account, nil
}

func unknownCode() error {
	return refusal.Conflict(labapi.ReasonUnknownCode, "No device shows this code to this phone.")
}

func expiredCode() error {
	return refusal.Conflict(labapi.ReasonExpiredCode, "The code has expired, was used, or its device has gone.")
}

// startLink takes the codes back and begins a link. The caller holds the mutex.
func (s *Server) startLink(c *conn, account accounts.Account) *link {
	s.stopPairing(c)
	c.pairing.link = &link{account: account, ended: outcome.New()}
	return c.pairing.link
}

// introduce hands the device what the phone signed for it. The caller holds the mutex.
func (s *Server) introduce(c *conn, secret [32]byte) {
	l, registration := c.pairing.link, c.pairing.registration
	phone := l.account.Phone
	number, ok := s.book.NextNumber(phone)
	if !ok {
		l.fail(labapi.ReasonDeviceRefused, "The phone has as many devices as it can have.")
		s.hangUpSilently(c)
		return
	}
	device := accounts.Device{
		ID: randomHex(8), Phone: phone, Name: registration.Props.GetOs(), KeyHash: accounts.HashKey(string(c.noise[:])),
		WhatsApp: &accounts.WhatsApp{Number: number, Registration: registration.ID, Identity: registration.Identity[:]},
	}
	defect := s.faults.Now().PairingDefect
	introduction, err := s.identity(phone).Introduce(registration.Identity, secret, uint32(device.WhatsApp.Number), time.Now(),
		adv.Fault{HMAC: defect == labapi.DefectHMAC, Signature: defect == labapi.DefectSignature})
	if err != nil {
		s.log.Error("a phone could not sign for a device", zap.Error(err))
		l.ended.Tell(&refusal.Error{Status: 500, Detail: "The lab could not sign for the device."})
		s.hangUpSilently(c)
		return
	}
	l.patience = time.AfterFunc(deviceTimeout, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if l.written || c.over {
			return
		}
		l.ended.Tell(&refusal.Error{Status: 504, Reason: labapi.ReasonDeviceSilent, Detail: "The device did not sign in time; it is not linked."})
		s.hangUpSilently(c)
	})
	children := []binary.Node{
		leaf("device-identity", introduction.Container()),
		node("device", binary.Attrs{"jid": s.jid(device), "lid": s.lid(device)}),
		node("platform", binary.Attrs{"name": "android"}),
	}
	if l.account.Name != "" {
		// Only business accounts have a name here. Others send theirs in an encrypted
		// message, which this server does not emulate.
		children = append(children, node("biz", binary.Attrs{"name": l.account.Name}))
	}
	c.ask(node("iq", binary.Attrs{"from": types.ServerJID, "type": "set", "xmlns": "md", "t": unixNow()}, node("pair-success", nil, children...)), func(r reply) {
		s.signed(c, device, introduction, r)
	})
}

// signed takes the device's answer to its introduction. The caller holds the mutex.
func (s *Server) signed(c *conn, device accounts.Device, introduction *adv.Introduction, r reply) {
	l := c.pairing.link
	identity, ok := r.node.GetOptionalChildByTag("pair-device-sign", "device-identity")
	switch {
	case r.failed:
		l.fail(labapi.ReasonDeviceRefused, "The device did not take the link.")
		// It closes by itself.
		c.out.push(item{last: true, grace: restartGrace})
		s.end(c)
		return
	case !ok, text(identity.Attrs["key-index"]) != strconv.Itoa(int(introduction.KeyIndex())),
		introduction.Verify([]byte(text(identity.Content))) != nil:
		l.fail(labapi.ReasonDeviceRefused, "The device signed something else.")
		c.hangUp(streamError("401"), closeGrace)
		return
	}
	l.patience.Stop()
	l.written = true
	device.LinkedAt = time.Now().UTC()
	pending := s.book.Link(device)
	s.unwritten[addressOf(device)] = pending
	s.wg.Go(func() {
		err := pending.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.unwritten, addressOf(device))
		if err != nil {
			s.log.Error("a linked device could not be written", zap.Error(err))
			l.ended.Tell(&refusal.Error{Status: 500, Detail: "The lab could not write to its disk."})
			s.hangUpSilently(c)
			return
		}
		defer l.ended.Tell(nil)
		if s.faults.Take(func(f *labapi.Faults) *int { return &f.CutLinks }) {
			_ = c.nc.Close()
			return
		}
		c.hangUp(streamError("515"), restartGrace)
	})
}

func unixNow() string { return strconv.FormatInt(time.Now().Unix(), 10) }
