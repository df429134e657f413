package simulated

import (
	"context"
	"time"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/simwire"
)

// undoTimeout bounds how long keys of a link that failed may take to be taken back.
const undoTimeout = 5 * time.Second

// handlePairing takes what only a linking session hears. The caller holds the mutex.
func (s *session) handlePairing(f simwire.Frame) {
	s.answered()
	now := time.Now()
	switch f.Type {
	case simwire.TypeCode:
		s.sink(instance.CodeIssued{Text: f.Text, Issued: now, Expires: now.Add(f.Life())})
	case simwire.TypePairingCode:
		s.sink(instance.PairingCodeIssued{Code: f.Text, Phone: f.Phone, Issued: now, Expires: now.Add(f.Life())})
	case simwire.TypePasswordRequired:
		s.asked = password
		s.sink(instance.PasswordNeeded{Wrong: f.Wrong})
	case simwire.TypePasskeyRequired:
		s.asked = passkey
		if f.Text != "" {
			s.asked = comparison
		}
		s.sink(instance.PasskeyNeeded{Challenge: instance.Passkey{Options: f.Passkey, Confirmation: f.Text, Expires: now.Add(f.Life())}})
	case simwire.TypeScanned:
		s.expectAnswer()
		s.sink(instance.Scanned{})
	case simwire.TypeKeys:
		s.takeKeys(keys{Version: keysVersion, Device: f.Device, Key: f.Key, Account: *f.Account})
	case simwire.TypeLinked:
		s.expectAnswer()
		s.sink(instance.Linked{Account: account(f.Account)})
	}
}

// takeKeys stores the keys of the new device and then says so to the lab, which
// links it only then. The caller holds the mutex.
func (s *session) takeKeys(k keys) {
	if s.working != nil {
		return
	}
	if s.expect != "" && k.Account.Phone != s.expect {
		s.refuse(instance.Closed{Reason: instance.ReasonWrongPhone, Detail: "Another number than the expected one scanned the code; it was not linked."})
		return
	}
	s.work(func() (then, undo func()) {
		before, err := s.d.store(s.ctx, s.id, k)
		if err != nil {
			return func() {
				s.refuse(instance.Closed{Reason: instance.ReasonInternal, Detail: "The keys of the new device could not be stored; it was not linked."})
			}, nil
		}
		return func() {
				f := simwire.Frame{Type: simwire.TypeStored}
				if old, err := decodeKeys(before); err == nil {
					f.Device, f.Key = old.Device, old.Key
				}
				s.send(f)
				s.expectAnswer()
			}, func() {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), undoTimeout)
				defer cancel()
				// Should it fail, a login with these keys is told that the device is not linked.
				_ = s.d.restore(ctx, s.id, before)
			}
	})
}

// refuse tells the lab that the device is not taken, and closes. The caller holds the mutex.
func (s *session) refuse(c instance.Closed) {
	s.send(simwire.Frame{Type: simwire.TypeRefused, Reason: string(c.Reason)})
	s.remoteOver = true
	s.close(c)
}
