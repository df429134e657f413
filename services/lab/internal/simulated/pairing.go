package simulated

import (
	"time"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/simwire"
	"pairgate.dev/services/lab/internal/codes"
)

// pairing is what a linking session has.
type pairing struct {
	instance   string
	deviceName string
	// issued counts the codes; shown are those that may not have expired yet.
	issued  int
	shown   []codes.Digest
	refresh *time.Timer
	typed   *typedCode
}

// startPairing gives the session its first codes. The caller holds the mutex.
func (s *Server) startPairing(ss *session, f simwire.Frame) {
	switch instance.Method(f.Method) {
	case instance.MethodQR:
	case instance.MethodCode:
		if f.Phone == "" {
			s.close(ss, instance.ReasonPairingRefused, "A pairing code needs a phone number.", time.Time{})
			return
		}
	default:
		s.close(ss, instance.ReasonPairingRefused, "There is no such method of linking.", time.Time{})
		return
	}
	ss.pairing = &pairing{instance: f.Instance, deviceName: f.DeviceName}
	s.issueCode(ss)
	if f.Method == string(instance.MethodCode) {
		s.issueTyped(ss, typedKey{f.Instance, f.Phone})
	}
}

// issueCode shows the next QR text and sets the time of the one after: a little
// before this one expires, so that there is always one to scan. The caller holds the mutex.
func (s *Server) issueCode(ss *session) {
	p, faults, now := ss.pairing, s.faults.Now(), time.Now()
	if faults.CodesPerSession > 0 && p.issued >= faults.CodesPerSession {
		s.close(ss, instance.ReasonQRTimeout, "No more codes for this session.", time.Time{})
		return
	}
	shown := p.shown[:0]
	for _, d := range p.shown {
		if live, _ := s.codes.Find(d); live.Expires.After(now) {
			shown = append(shown, d)
		} else {
			s.codes.Bury(d)
		}
	}
	life := lifeOr(faults.CodeLifeSeconds, codeLife)
	text := newCodeText()
	d := codes.Of(text)
	p.issued++
	p.shown = append(shown, d)
	s.codes.Show(d, ss, now.Add(life))
	ss.send(simwire.Frame{Type: simwire.TypeCode, Text: text, LifeMillis: life.Milliseconds()})
	var timer *time.Timer
	timer = time.AfterFunc(life-min(life/10, time.Second), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !ss.over && ss.pairing != nil && ss.pairing.refresh == timer {
			s.issueCode(ss)
		}
	})
	p.refresh = timer
}

func lifeOr(seconds float64, usual time.Duration) time.Duration {
	if seconds == 0 {
		return usual
	}
	return time.Duration(seconds * float64(time.Second))
}

// issueTyped shows the pairing code of the key: the one that lives, or a new one. The caller holds the mutex.
func (s *Server) issueTyped(ss *session, key typedKey) {
	t := s.typed.byKey[key]
	if t == nil {
		t = s.newTyped(key)
	}
	if t.session != nil && t.session.pairing != nil {
		t.session.pairing.typed = nil
	}
	t.session = ss
	ss.pairing.typed = t
	left := max(time.Until(t.expires), time.Millisecond)
	ss.send(simwire.Frame{Type: simwire.TypePairingCode, Text: t.text, Phone: key.phone, LifeMillis: left.Milliseconds()})
}

func (s *Server) newTyped(key typedKey) *typedCode {
	text := newTypedCode()
	for s.typed.byText[text] != nil {
		text = newTypedCode()
	}
	life := lifeOr(s.faults.Now().PairingCodeLifeSeconds, pairingCodeLife)
	t := &typedCode{key: key, text: text, expires: time.Now().Add(life)}
	s.typed.byKey[key], s.typed.byText[text] = t, t
	t.timer = time.AfterFunc(life, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.buryTyped(t)
		if ss := t.session; !s.closed && ss != nil && !ss.over && ss.pairing != nil && ss.pairing.typed == t {
			s.issueTyped(ss, key)
		}
	})
	return t
}

func (s *Server) buryTyped(t *typedCode) {
	t.timer.Stop()
	if s.typed.byKey[t.key] == t {
		delete(s.typed.byKey, t.key)
	}
	if s.typed.byText[t.text] == t {
		delete(s.typed.byText, t.text)
		s.codes.Bury(codes.Of(t.text))
	}
}

// stopPairing takes the session's codes back. The caller holds the mutex.
func (s *Server) stopPairing(ss *session) {
	p := ss.pairing
	if p == nil {
		return
	}
	if p.refresh != nil {
		p.refresh.Stop()
		p.refresh = nil
	}
	for _, d := range p.shown {
		s.codes.Bury(d)
	}
	p.shown = nil
	if p.typed != nil {
		p.typed.session = nil
		p.typed = nil
	}
}
