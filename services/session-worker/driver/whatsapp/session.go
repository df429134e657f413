package whatsapp

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/session-worker/driver"
	"pairgate.dev/services/session-worker/driver/whatsapp/keys"
)

// How long a session waits for what has to come.
const (
	// answerTimeout is from an open connection to the codes, or to the login.
	answerTimeout = 30 * time.Second
	// finishTimeout is from a phone's consent to the stored keys, and from those to the stream error 515.
	finishTimeout = 10 * time.Second
	// explanation is how much later than the end of its socket an event may come.
	// Gaps of up to 150 ms have been seen at the real server.
	explanation = 300 * time.Millisecond
	// storeTimeout bounds what the key store is asked for.
	storeTimeout = 10 * time.Second
)

// stage is how far a session has come.
type stage int

const (
	// opening: nothing was heard of the messenger yet.
	opening stage = iota
	// showing: codes are live.
	showing
	// asking: a passkey is waited for.
	asking
	// accepted: a phone has accepted, and the library stores the keys.
	accepted
	// finishing: the keys are stored; the messenger is to end the connection.
	finishing
	// entering: the first login with the new keys.
	entering
	// online: logged in.
	online
)

// session is one open session. What stands under actor belongs to its goroutine alone.
type session struct {
	d      *Driver
	common driver.Common
	// pair is nil for a login.
	pair *driver.PairParams
	box  *mailbox
	// ctx ends when the session is to end.
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}
	tasks  sync.WaitGroup

	sinkMu sync.Mutex
	sink   driver.Sink
	shut   bool

	mu sync.Mutex
	// live is the connection that questions are answered over or that is logged in.
	live *link
	// asked is what the messenger waits for.
	asked question
	// loggedIn is closed at the first login.
	loggedIn chan struct{}
	isIn     bool
	// leaving says that a logout is under way; left is closed when the messenger has said that it is done.
	leaving bool
	left    chan struct{}
	isOut   bool
	// refusal is how the session closes because it refused the phone.
	refusal *instance.Closed
	// available is the presence that is wanted, named says whether the account's name is known, which it takes.
	available bool
	named     bool

	actor
}

// actor is the state that only the session's goroutine uses.
type actor struct {
	stage    stage
	link     *link
	account  instance.Account
	release  func()
	lost     <-chan struct{}
	clock    *qrClock
	codeSent bool
	// noCode is how the session closes that got no pairing code.
	noCode  *instance.Closed
	options string
	expires time.Time
	// restart says that the stream error 515 has come, socketGone that the connection has ended.
	restart, socketGone bool
	// tries counts the logins after a link.
	tries int
	// jid is what a phone has accepted us as, before what the instance was linked as until then.
	jid, before types.JID

	watchdog, tick, grace, again *time.Timer
}

var (
	_ driver.Session        = (*session)(nil)
	_ driver.PasskeyTaker   = (*session)(nil)
	_ driver.PresenceSetter = (*session)(nil)
)

// open starts a session; pair is nil for a login.
func (d *Driver) open(ctx context.Context, c driver.Common, pair *driver.PairParams, sink driver.Sink) *session {
	s := &session{d: d, common: c, pair: pair, sink: sink, box: newMailbox(), done: make(chan struct{}),
		loggedIn: make(chan struct{}), left: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.watchdog, s.tick, s.grace, s.again = stopped(), stopped(), stopped(), stopped()
	if !d.goroutine(s.run) {
		s.cancel()
		s.tell(*dialFailure(errDriverClosed))
		close(s.done)
	}
	return s
}

// stopped returns a timer that does not run.
func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

func (s *session) run() {
	defer close(s.done)
	stop := context.AfterFunc(s.d.ctx, s.cancel)
	defer stop()
	end := s.serve()
	s.box.close()
	s.cancel()
	for _, t := range []*time.Timer{s.watchdog, s.tick, s.grace, s.again} {
		t.Stop()
	}
	s.hangUp()
	s.tasks.Wait()
	if s.release != nil {
		s.release()
	}
	s.tell(*end)
}

// serve runs the session and returns how it closes.
func (s *session) serve() *instance.Closed {
	if end := s.begin(); end != nil {
		return end
	}
	for {
		var end *instance.Closed
		select {
		case <-s.ctx.Done():
			end = cancelled()
		case <-s.lost:
			end = closed(instance.ReasonInternal, "The key store gave the keys to another worker, or was lost.")
		case <-s.box.ready:
			for _, m := range s.box.take() {
				if end = s.take(m); end != nil {
					break
				}
			}
		case <-s.watchdog.C:
			end = s.late()
		case <-s.tick.C:
			end = s.show(time.Now())
		case <-s.grace.C:
			end = s.gone()
		case <-s.again.C:
			if end = s.noCode; end == nil {
				end = s.enter()
			}
		}
		if end != nil {
			return end
		}
	}
}

// begin takes hold of the keys and begins to dial.
func (s *session) begin() *instance.Closed {
	if s.ctx.Err() != nil {
		return cancelled()
	}
	if _, refused := s.d.versions.inForce(time.Now()); refused {
		return outdated()
	}
	if s.pair != nil {
		if end := checkPair(s.pair); end != nil {
			return end
		}
	}
	ctx, cancel := context.WithTimeout(s.ctx, storeTimeout)
	defer cancel()
	var err error
	if s.release, s.lost, err = s.d.opts.Keys.Hold(ctx, s.common.Instance); err != nil {
		s.release = nil
		return s.storeFailure(err)
	}
	if s.pair == nil {
		return s.login(ctx)
	}
	device, linked, err := s.d.opts.Keys.Device(ctx, s.common.Instance)
	if err != nil {
		return s.storeFailure(err)
	}
	if linked {
		s.before = device.GetJID()
	}
	return s.dial(linkParams{device: s.d.opts.Keys.NewDevice(), accept: s.accept})
}

// dial makes a connection the session's.
func (s *session) dial(p linkParams) *instance.Closed {
	p.common = s.common
	p.post = s.post
	link, err := s.d.newLink(s.ctx, p)
	if err != nil {
		return dialFailure(err)
	}
	s.link, s.socketGone = link, false
	s.grace.Stop()
	s.watchdog.Stop()
	return nil
}

// hangUp ends the connection, if there is one.
func (s *session) hangUp() {
	s.mu.Lock()
	s.live, s.asked = nil, nothing
	s.mu.Unlock()
	if s.link != nil {
		s.link.close()
		s.link = nil
	}
}

// post takes an event of a connection, by whatever goroutine tells it.
func (s *session) post(from *link, event any) {
	switch event.(type) {
	case dialled, socketEnded,
		*events.QR, *events.RotateADVSecret, *events.PairSuccess, *events.PairError, *events.ManualLoginReconnect,
		*events.PairPasskeyRequest, *events.PairPasskeyConfirmation, *events.PairPasskeyError,
		*events.Connected, *events.Disconnected, *events.KeepAliveTimeout, *events.LoggedOut, *events.StreamReplaced,
		*events.TemporaryBan, *events.ClientOutdated, *events.ConnectFailure, *events.StreamError, *events.PushNameSetting:
		s.box.put(mail{from: from, event: event})
	}
}

// storeFailure returns how a session ends that the key store failed.
func (s *session) storeFailure(err error) *instance.Closed {
	switch {
	case s.ctx.Err() != nil:
		return cancelled()
	case errors.Is(err, keys.ErrHeld):
		return closed(instance.ReasonInternal, "Another worker still holds the keys of this instance.")
	}
	return closed(instance.ReasonInternal, "The key store does not answer.")
}

// tell passes an event to the sink, unless the session was closed.
func (s *session) tell(e instance.SessionEvent) {
	s.sinkMu.Lock()
	defer s.sinkMu.Unlock()
	if !s.shut {
		s.sink(e)
	}
}

// Close implements driver.Session.
func (s *session) Close() {
	s.sinkMu.Lock()
	s.shut = true
	s.sinkMu.Unlock()
	s.cancel()
	<-s.done
}
