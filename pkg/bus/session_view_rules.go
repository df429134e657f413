package bus

import (
	"time"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// The rules by which readers use codes and pictures. They make it impossible to
// show a QR after its scan, whatever arrives late:
//
//   - A code, picture or pairing code is used only while the last status is
//     "pairing" with the same attempt, and only until it expires.
//   - Of several, the highest (attempt, sequence) counts. A picture is that of
//     the current code or none: while a new code has no picture yet, there is none.
//   - An empty code withdraws the code and its picture for good.
//   - What belongs to an earlier attempt than the last status is dropped on
//     arrival, and so is a code whose attempt the last status has brought past
//     pairing. Dropped events reach no subscriber.

// Snapshot is what readers may show of an instance at one moment.
type Snapshot struct {
	ID instance.ID
	// Known is false while no status was ever published; Status is then the initial one.
	Known  bool
	Status instance.Status
	// StatusSequence is the stream's sequence of the status, as are those below of what they name.
	StatusSequence uint64
	// Code is the current QR text, nil when there is none to show; its image may be empty.
	Code         *pb.Qr
	CodeSequence uint64
	// QR is the picture of Code, nil until it is drawn.
	QR         *pb.Qr
	QRSequence uint64
	// PairingCode is the current code to be typed, nil when there is none.
	PairingCode         *pb.PairingCode
	PairingCodeSequence uint64
	// Passkey is the challenge to answer, set only in phase passkeyRequired and until it expires.
	Passkey         *instance.Passkey
	PasskeySequence uint64
}

// session is what the events of one instance have told.
type session struct {
	status    instance.Status
	statusSeq uint64
	pairing   *pairingState
}

// pairingState is held only while a pairing window is open.
type pairingState struct {
	// attempt and number are the highest seen of codes and pictures.
	attempt, number uint64
	// withdrawn is the stream's sequence of the last empty code.
	withdrawn uint64

	code    *pb.Qr
	codeSeq uint64
	qr      *pb.Qr
	qrSeq   uint64

	typed        *pb.PairingCode
	typedAttempt uint64
	typedSeq     uint64

	passkey        *instance.Passkey
	passkeyAttempt uint64
	passkeySeq     uint64
}

// apply takes the next event of the instance and returns false when readers must drop it.
func (s *session) apply(ev *pb.Event, seq uint64) bool {
	switch instance.Kind(ev.GetKind()) {
	case instance.KindStatus:
		if ev.GetStatus() == nil {
			return false
		}
		if seq > s.statusSeq {
			s.setStatus(StatusFromProto(ev.GetStatus()), seq)
		}
		return true
	case instance.KindCode:
		return s.setCode(ev, seq)
	case instance.KindQR:
		return s.setPicture(ev, seq)
	case instance.KindPairingCode:
		return s.setPairingCode(ev, seq)
	case instance.KindPasskey:
		return s.setPasskey(ev, seq)
	}
	return true
}

func (s *session) setStatus(st instance.Status, seq uint64) {
	st.Phase, st.Reason, st.Detail = intern(st.Phase), intern(st.Reason), intern(st.Detail)
	s.status, s.statusSeq = st, seq
	p := s.pairing
	if p == nil {
		return
	}
	if !st.Phase.Window() {
		s.pairing = nil
		return
	}
	if p.attempt < st.Attempt || s.past(p.attempt) {
		p.dropCode()
	}
	if p.typedAttempt < st.Attempt || s.past(p.typedAttempt) {
		p.typed = nil
	}
	if p.passkeyAttempt < st.Attempt {
		p.passkey = nil
	}
}

// past says whether the last status shows that the codes of the attempt are over.
func (s *session) past(attempt uint64) bool {
	if s.statusSeq == 0 || attempt > s.status.Attempt {
		return false
	}
	if attempt < s.status.Attempt {
		return true
	}
	return s.status.Phase != instance.Connecting && s.status.Phase != instance.Pairing
}

func (s *session) window() *pairingState {
	if s.pairing == nil {
		s.pairing = new(pairingState)
	}
	return s.pairing
}

func attemptOf(ev *pb.Event, own uint64) uint64 {
	if own != 0 {
		return own
	}
	return ev.GetAttempt()
}

func (s *session) setCode(ev *pb.Event, seq uint64) bool {
	q := ev.GetCode()
	if q == nil {
		return false
	}
	attempt := attemptOf(ev, q.GetAttempt())
	if q.GetCode() == "" {
		// A withdrawal takes away, so it is passed on even when it comes late;
		// only that of an earlier attempt has nothing left to take.
		if s.statusSeq != 0 && attempt < s.status.Attempt {
			return false
		}
		if s.past(attempt) && s.pairing == nil {
			return true
		}
		if p := s.window(); attempt >= p.attempt && seq > max(p.codeSeq, p.withdrawn) {
			p.dropCode()
			p.withdrawn = seq
		}
		return true
	}
	if s.past(attempt) {
		return false
	}
	p := s.window()
	if seq <= p.codeSeq || seq <= p.withdrawn || p.above(attempt, q.GetSequence()) {
		return seq <= p.codeSeq // the snapshot held it already: not dropped, but told
	}
	if p.attempt != attempt || p.number != q.GetSequence() {
		p.qr = nil
	}
	p.attempt, p.number, p.code, p.codeSeq = attempt, q.GetSequence(), q, seq
	return true
}

func (s *session) setPicture(ev *pb.Event, seq uint64) bool {
	q := ev.GetQr()
	if q == nil || q.GetCode() == "" {
		return false
	}
	attempt := attemptOf(ev, q.GetAttempt())
	if s.past(attempt) {
		return false
	}
	p := s.window()
	if seq <= p.qrSeq {
		return true
	}
	if seq <= p.withdrawn || ev.GetCodeSequence() != 0 && ev.GetCodeSequence() <= p.withdrawn || p.above(attempt, q.GetSequence()) {
		return false
	}
	same := p.attempt == attempt && p.number == q.GetSequence()
	if same && p.code == nil && p.withdrawn != 0 {
		return false
	}
	if !same {
		p.attempt, p.number, p.code = attempt, q.GetSequence(), nil
	}
	p.qr, p.qrSeq = q, seq
	return true
}

func (s *session) setPairingCode(ev *pb.Event, seq uint64) bool {
	c := ev.GetPairingCode()
	if c == nil {
		return false
	}
	attempt := attemptOf(ev, c.GetAttempt())
	if s.past(attempt) && (c.GetCode() != "" || attempt < s.status.Attempt) {
		return false
	}
	if c.GetCode() == "" {
		if p := s.pairing; p != nil && seq > p.typedSeq && attempt >= p.typedAttempt {
			p.typed, p.typedSeq = nil, seq
		}
		return true
	}
	p := s.window()
	if seq <= p.typedSeq {
		return true
	}
	if attempt < p.typedAttempt {
		return false
	}
	p.typed, p.typedAttempt, p.typedSeq = c, attempt, seq
	return true
}

func (s *session) setPasskey(ev *pb.Event, seq uint64) bool {
	c := ev.GetPasskey()
	if c == nil || s.statusSeq != 0 && ev.GetAttempt() < s.status.Attempt {
		return false
	}
	if s.statusSeq != 0 && ev.GetAttempt() == s.status.Attempt && !s.status.Phase.Window() {
		return false
	}
	p := s.window()
	if seq <= p.passkeySeq {
		return true
	}
	p.passkey, p.passkeyAttempt, p.passkeySeq = nil, ev.GetAttempt(), seq
	if c.GetOptions() != "" || c.GetConfirmation() != "" {
		p.passkey = PasskeyFromProto(c)
	}
	return true
}

// above says whether a code or picture with a higher number was seen.
func (p *pairingState) above(attempt, number uint64) bool {
	return p.attempt > attempt || p.attempt == attempt && p.number > number
}

func (p *pairingState) dropCode() { p.code, p.qr = nil, nil }

// expire lets go of what nobody may use any more, and returns whether anything is left.
func (p *pairingState) expire(now time.Time) (left bool) {
	if p.code != nil && qrExpired(p.code, now) {
		p.code = nil
	}
	if p.qr != nil && qrExpired(p.qr, now) {
		p.qr = nil
	}
	if p.typed != nil && typedExpired(p.typed, now) {
		p.typed = nil
	}
	if p.passkey != nil && passkeyExpired(p.passkey, now) {
		p.passkey = nil
	}
	return p.code != nil || p.qr != nil || p.typed != nil || p.passkey != nil
}

func qrExpired(q *pb.Qr, now time.Time) bool {
	return q.GetExpiresAt() != nil && !now.Before(q.GetExpiresAt().AsTime())
}

func typedExpired(c *pb.PairingCode, now time.Time) bool {
	return c.GetExpiresAt() != nil && !now.Before(c.GetExpiresAt().AsTime())
}

func passkeyExpired(c *instance.Passkey, now time.Time) bool {
	return !c.Expires.IsZero() && !now.Before(c.Expires)
}

// current applies the reader rules at the moment.
func (s *session) current(id instance.ID, now time.Time) Snapshot {
	snap := Snapshot{ID: id, Known: s.statusSeq != 0, Status: s.status, StatusSequence: s.statusSeq}
	if !snap.Known {
		snap.Status = instance.Initial(createdAt(id))
	}
	if s.status.Phase == instance.PasskeyRequired && s.status.Passkey != nil && !passkeyExpired(s.status.Passkey, now) {
		snap.Passkey, snap.PasskeySequence = s.status.Passkey, s.statusSeq
	}
	p := s.pairing
	if p == nil {
		return snap
	}
	if s.status.Phase == instance.PasskeyRequired && p.passkey != nil && p.passkeyAttempt == s.status.Attempt &&
		p.passkeySeq > snap.PasskeySequence && !passkeyExpired(p.passkey, now) {
		snap.Passkey, snap.PasskeySequence = p.passkey, p.passkeySeq
	}
	if s.status.Phase != instance.Pairing {
		return snap
	}
	if p.attempt == s.status.Attempt {
		if p.qr != nil && !qrExpired(p.qr, now) {
			snap.QR, snap.QRSequence = p.qr, p.qrSeq
			snap.Code, snap.CodeSequence = p.qr, p.qrSeq
		}
		if p.code != nil && !qrExpired(p.code, now) {
			snap.Code, snap.CodeSequence = p.code, p.codeSeq
		}
	}
	if p.typed != nil && p.typedAttempt == s.status.Attempt && !typedExpired(p.typed, now) {
		snap.PairingCode, snap.PairingCodeSequence = p.typed, p.typedSeq
	}
	return snap
}
