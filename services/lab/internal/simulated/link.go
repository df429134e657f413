package simulated

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/simwire"
	"pairgate.dev/services/lab/internal/accounts"
	"pairgate.dev/services/lab/internal/codes"
	"pairgate.dev/services/lab/internal/outcome"
	"pairgate.dev/services/lab/internal/refusal"
	"pairgate.dev/services/lab/labapi"
)

// deviceTimeout is how long a device may take to store its keys before the phone gives up.
const deviceTimeout = 10 * time.Second

// link is a link under way. The server's mutex guards it.
type link struct {
	account accounts.Account
	stage   stage
	// challenge and confirmation belong to a passkey.
	challenge, confirmation string
	device                  accounts.Device
	// patience ends the link unless the device stores its keys.
	patience *time.Timer
	// ended is told once the phone knows how it ended, or that an answer of the
	// device's user was asked for.
	ended *outcome.Outcome
}

// stage is what the link waits for.
type stage int

const (
	forPassword stage = iota
	forPasskey
	forComparison
	forKeys
	forDisk
)

// fail ends a link that can still fail: one on its way to the disk cannot.
func (l *link) fail(reason, detail string) {
	if l.stage == forDisk {
		return
	}
	if l.patience != nil {
		l.patience.Stop()
	}
	l.ended.Tell(refusal.Conflict(reason, "%s", detail))
}

// Scan lets the phone scan the QR text. It returns nil once the device is linked,
// or once the account's password or passkey was asked for. ctx bounds the waiting
// only; the phone goes on. The error is a *refusal.Error unless it is ctx's.
func (s *Server) Scan(ctx context.Context, phone, text string) error {
	return s.linkDevice(ctx, phone, func(now time.Time) (ss *session, existed bool) {
		d := codes.Of(text)
		if shown, ok := s.codes.Find(d); ok && shown.Expires.After(now) {
			return shown.By, true
		} else if ok {
			return nil, true
		}
		return nil, s.codes.Buried(d)
	})
}

// EnterCode lets the phone type a pairing code, in any case, with or without dash
// and spaces. It returns as Scan does.
func (s *Server) EnterCode(ctx context.Context, phone, typed string) error {
	text := normalizeTyped(typed)
	return s.linkDevice(ctx, phone, func(now time.Time) (ss *session, existed bool) {
		t := s.typed.byText[text]
		switch {
		case t == nil:
			return nil, s.codes.Buried(codes.Of(text))
		case t.key.phone != phone:
			return nil, false
		case t.session == nil || !t.expires.After(now):
			return nil, true
		}
		ss = t.session
		s.buryTyped(t)
		return ss, true
	})
}

// linkDevice links the session that find returns; existed says whether the code was ever shown to this phone.
func (s *Server) linkDevice(ctx context.Context, phone string, find func(now time.Time) (ss *session, existed bool)) error {
	l, err := s.begin(phone, find)
	if err != nil {
		return err
	}
	return l.ended.Wait(ctx)
}

func (s *Server) begin(phone string, find func(now time.Time) (ss *session, existed bool)) (*link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	account, ok := s.book.Get(phone)
	if !ok {
		return nil, &refusal.Error{Status: 404, Reason: labapi.ReasonUnknownPhone, Detail: "There is no account of this phone."}
	}
	if account.Banned.Holds(now) {
		return nil, refusal.Conflict(labapi.ReasonBanned, "The account is banned.")
	}
	ss, existed := find(now)
	switch {
	case ss != nil && ss.pairing != nil && ss.link == nil:
	case existed:
		return nil, refusal.Conflict(labapi.ReasonExpiredCode, "The code has expired, was used, or its device has gone.")
	default:
		return nil, refusal.Conflict(labapi.ReasonUnknownCode, "No device shows this code to this phone.")
	}
	ss.link = &link{account: account, ended: outcome.New()}
	s.stopPairing(ss)
	s.nextStage(ss)
	return ss.link, nil
}

// nextStage asks for the account's password or passkey where it has one, else
// hands the keys over. The caller holds the mutex.
func (s *Server) nextStage(ss *session) {
	l := ss.link
	switch {
	case l.account.Password != "" && l.stage <= forPassword:
		l.stage = forPassword
		ss.send(simwire.Frame{Type: simwire.TypePasswordRequired})
		l.ended.Tell(nil)
	case l.account.Passkey && l.stage <= forPasskey:
		l.stage = forPasskey
		s.askPasskey(ss)
		l.ended.Tell(nil)
	default:
		s.handKeys(ss)
	}
}

// handKeys makes a device and hands its keys over. The caller holds the mutex.
func (s *Server) handKeys(ss *session) {
	l := ss.link
	key := randomHex(32)
	l.stage = forKeys
	l.device = accounts.Device{ID: randomHex(8), Phone: l.account.Phone, Name: ss.pairing.deviceName, Instance: ss.pairing.instance, KeyHash: accounts.HashKey(key)}
	account := wireAccount(l.device, l.account)
	ss.send(simwire.Frame{Type: simwire.TypeScanned})
	ss.send(simwire.Frame{Type: simwire.TypeKeys, Device: l.device.ID, Key: key, Account: &account})
	l.patience = time.AfterFunc(deviceTimeout, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if ss.over || ss.link != l || l.stage != forKeys {
			return
		}
		l.ended.Tell(&refusal.Error{Status: 504, Reason: labapi.ReasonDeviceSilent, Detail: "The device did not store its keys in time; it is not linked."})
		s.close(ss, instance.ReasonPairingRefused, "The phone waited in vain for the device.", time.Time{})
	})
}

// answer takes what the driver says during a link. The caller holds the mutex.
func (s *Server) answer(ss *session, f simwire.Frame) {
	l := ss.link
	switch {
	case f.Type == simwire.TypePassword && l.stage == forPassword:
		if f.Password != l.account.Password {
			ss.send(simwire.Frame{Type: simwire.TypePasswordRequired, Wrong: true})
			return
		}
		l.stage = forPasskey
		s.nextStage(ss)
	case f.Type == simwire.TypePasskeyResponse && l.stage == forPasskey:
		s.takePasskey(ss, f.Passkey)
	case f.Type == simwire.TypePasskeyConfirm && l.stage == forComparison:
		s.handKeys(ss)
	case f.Type == simwire.TypeRefused && l.stage == forKeys:
		l.fail(labapi.ReasonDeviceRefused, "The device did not take the link.")
		s.end(ss)
	case f.Type == simwire.TypeStored && l.stage == forKeys:
		s.store(ss, f)
	}
}

// store writes the device to disk and only then tells anyone. The caller holds the mutex.
func (s *Server) store(ss *session, f simwire.Frame) {
	if s.closed {
		return
	}
	l := ss.link
	l.stage = forDisk
	l.patience.Stop()
	l.device.LinkedAt = time.Now().UTC()
	var replaced []string
	if old, _, ok := s.book.Device(f.Device); ok && old.KeyIs(f.Key) {
		replaced = append(replaced, old.ID)
	}
	pending := s.book.Link(l.device, replaced...)
	s.wg.Go(func() {
		err := pending.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil {
			s.log.Error("a linked device could not be written", zap.Error(err))
			l.ended.Tell(&refusal.Error{Status: 500, Detail: "The lab could not write to its disk."})
			s.close(ss, instance.ReasonInternal, "The lab could not write to its disk.", time.Time{})
			return
		}
		for _, id := range replaced {
			s.unlinked(id)
		}
		s.linked(ss, l)
	})
}

// linked brings the session of a device online that was written. The caller holds the mutex.
func (s *Server) linked(ss *session, l *link) {
	defer l.ended.Tell(nil)
	device, account, ok := s.book.Device(l.device.ID)
	switch {
	case ss.over:
	case !ok:
		s.close(ss, instance.ReasonLoggedOutOnPhone, "The device is not linked any more.", time.Time{})
	case s.faults.Take(func(f *labapi.Faults) *int { return &f.CutLinks }):
		reset(ss.conn.nc)
	default:
		wire := wireAccount(device, account)
		ss.send(simwire.Frame{Type: simwire.TypeLinked, Account: &wire})
		s.goOnline(ss, device, account)
	}
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
