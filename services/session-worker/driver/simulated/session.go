package simulated

import (
	"context"
	"sync"
	"time"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/simwire"
	"pairgate.dev/services/session-worker/driver"
)

// session is one open session. Its mutex is held while the sink runs, which is
// what makes Close wait for an event under way.
type session struct {
	d      *Driver
	id     instance.ID
	sink   driver.Sink
	expect string
	pairs  bool

	ctx     context.Context
	cancel  context.CancelFunc
	unwatch func() bool
	// online is closed at the first Connected, done when the session is over.
	online, done chan struct{}

	mu     sync.Mutex
	link   *uplink
	number uint64
	asked  question
	// answerBy runs while the messenger owes an answer.
	answerBy  *time.Timer
	isOnline  bool
	confirmed bool
	// remoteOver says that the lab has ended the session too.
	remoteOver bool
	// working is closed when the goroutine that opens the session or stores its
	// keys has ended; nil when there is none.
	working chan struct{}
	// ending is how the session closes once that goroutine has ended.
	ending *instance.Closed
	over   bool
}

// question is what the messenger waits for.
type question int

const (
	nothing question = iota
	password
	passkey
	comparison
)

var (
	_ driver.Session        = (*session)(nil)
	_ driver.PasswordTaker  = (*session)(nil)
	_ driver.PasskeyTaker   = (*session)(nil)
	_ driver.PresenceSetter = (*session)(nil)
)

// open starts a session whose first frame is made by opening.
func (d *Driver) open(ctx context.Context, c driver.Common, sink driver.Sink, opening opening) *session {
	s := &session{d: d, id: c.Instance, sink: sink, expect: opening.expect, pairs: opening.pairs,
		online: make(chan struct{}), done: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unwatch = context.AfterFunc(ctx, func() {
		s.end(instance.Closed{Reason: instance.ReasonConnectionClosed, Detail: "The session was cancelled."})
	})
	s.work(func() (then, undo func()) { return s.dialOut(c, opening), nil })
	return s
}

// work runs block in a goroutine of its own and then, under the mutex, what it
// returned: then, or undo without the mutex when the session is over meanwhile.
// The caller holds the mutex.
func (s *session) work(block func() (then, undo func())) {
	ended := make(chan struct{})
	s.working = ended
	started := s.d.goroutine(func() {
		defer close(ended)
		then, undo := block()
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.over && s.ending == nil {
			s.working = nil
			then()
			return
		}
		if undo != nil {
			s.mu.Unlock()
			undo()
			s.mu.Lock()
		}
		s.working = nil
		if !s.over {
			s.finish(*s.ending)
		}
	})
	if !started {
		close(ended)
		s.working = nil
		s.finish(driverClosed)
	}
}

// handle takes a frame of the lab. It is called by the one goroutine that reads.
func (s *session) handle(f simwire.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.ending != nil {
		return
	}
	switch f.Type {
	case simwire.TypeClosed:
		s.remoteOver = true
		s.close(instance.Closed{Reason: closeReason(f.Reason), Detail: f.Detail, Until: f.Until()})
	case simwire.TypeOnline:
		s.answered()
		if !s.isOnline {
			s.isOnline = true
			close(s.online)
		}
		s.sink(instance.Connected{Account: account(f.Account)})
	case simwire.TypeSuspended:
		s.sink(instance.Restricted{Until: f.Until(), Detail: f.Detail})
	case simwire.TypeUnsuspended:
		s.sink(instance.Unrestricted{})
	case simwire.TypeLoggedOut:
		s.remoteOver, s.confirmed = true, true
		s.close(instance.Closed{Reason: instance.ReasonConnectionClosed, Detail: "Logged out."})
	default:
		if s.pairs && !s.isOnline {
			s.handlePairing(f)
		}
	}
}

// end closes the session with the reason, unless it is over.
func (s *session) end(c instance.Closed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.close(c)
}

// close is end for a caller that holds the mutex.
func (s *session) close(c instance.Closed) {
	switch {
	case s.over || s.ending != nil:
	case s.working != nil:
		s.ending = &c
		s.cancel()
	default:
		s.finish(c)
	}
}

// finish tells the sink that the session is over. The caller holds the mutex.
func (s *session) finish(c instance.Closed) {
	s.release()
	s.sink(c)
}

// release gives up everything the session holds. The caller holds the mutex.
func (s *session) release() {
	s.over = true
	s.answered()
	s.unwatch()
	s.cancel()
	if s.link != nil {
		s.link.remove(s.number)
		if !s.remoteOver {
			s.link.send(simwire.Frame{Type: simwire.TypeClose, Session: s.number})
		}
		s.link = nil
	}
	close(s.done)
}

// Close implements driver.Session.
func (s *session) Close() {
	s.mu.Lock()
	if !s.over {
		s.release()
	}
	working := s.working
	s.mu.Unlock()
	if working != nil {
		<-working
	}
}

// expectAnswer closes the session unless answered is called in time. The caller holds the mutex.
func (s *session) expectAnswer() {
	s.answered()
	var timer *time.Timer
	timer = time.AfterFunc(s.d.opts.AnswerTimeout, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.answerBy == timer {
			s.close(instance.Closed{Reason: instance.ReasonUnreachable, Detail: "The simulated messenger does not answer."})
		}
	})
	s.answerBy = timer
}

// answered says that the messenger owes nothing more. The caller holds the mutex.
func (s *session) answered() {
	if s.answerBy != nil {
		s.answerBy.Stop()
		s.answerBy = nil
	}
}

// send sends a frame of this session. The caller holds the mutex and knows that the session is open.
func (s *session) send(f simwire.Frame) {
	f.Session = s.number
	s.link.send(f)
}

func account(a *simwire.Account) instance.Account {
	return instance.Account{ID: a.ID, Phone: a.Phone, Name: a.Name}
}
