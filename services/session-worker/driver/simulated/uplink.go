package simulated

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/simwire"
)

// writeTimeout is how long one write may take.
const writeTimeout = 10 * time.Second

// uplink is the connection that the sessions share.
type uplink struct {
	nc  net.Conn
	out *simwire.Outbox

	mu       sync.Mutex
	sessions map[uint64]*session
	last     uint64
	lost     bool
}

// dialing is a dial under way, awaited by every session that needs it.
type dialing struct {
	done   chan struct{}
	link   *uplink
	failed instance.Closed
}

var driverClosed = instance.Closed{Reason: instance.ReasonConnectionClosed, Detail: "The driver is closed."}

// connect returns the shared connection, dialling where there is none. Without
// one it says how the session closes.
func (d *Driver) connect(ctx context.Context) (*uplink, instance.Closed) {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil, driverClosed
	}
	if d.link != nil {
		defer d.mu.Unlock()
		return d.link, instance.Closed{}
	}
	dl := d.dialing
	if dl == nil {
		dl = &dialing{done: make(chan struct{})}
		d.dialing = dl
		d.wg.Go(func() { d.dial(dl) })
	}
	d.mu.Unlock()
	select {
	case <-dl.done:
		return dl.link, dl.failed
	case <-ctx.Done():
		return nil, instance.Closed{Reason: instance.ReasonConnectionClosed, Detail: "The session was cancelled."}
	}
}

// dial makes the connection and then reads from it until it is lost.
func (d *Driver) dial(dl *dialing) {
	link, frames, failed := d.greet()
	d.mu.Lock()
	d.dialing = nil
	if link != nil && d.closed {
		_ = link.nc.Close()
		link, failed = nil, driverClosed
	}
	d.link = link
	d.mu.Unlock()
	dl.link, dl.failed = link, failed
	close(dl.done)
	if link == nil {
		return
	}
	var writer sync.WaitGroup
	writer.Go(func() {
		if link.out.Run(link.write) != nil {
			_ = link.nc.Close()
		}
	})
	stop := link.ping(d.opts.Keepalive)
	why := link.read(frames, 3*d.opts.Keepalive)
	stop()
	link.out.Close()
	_ = link.nc.Close()
	writer.Wait()

	d.mu.Lock()
	if d.link == link {
		d.link = nil
	}
	d.mu.Unlock()
	for _, s := range link.lose() {
		s.end(why)
	}
}

// greet dials and says hello.
func (d *Driver) greet() (*uplink, *simwire.Reader, instance.Closed) {
	ctx, cancel := context.WithTimeout(d.ctx, d.opts.AnswerTimeout)
	defer cancel()
	dialer := net.Dialer{ControlContext: loopbackOnly, KeepAlive: -1}
	nc, err := dialer.DialContext(ctx, "tcp", d.opts.Endpoint)
	if err != nil {
		return nil, nil, instance.Closed{Reason: instance.ReasonUnreachable, Detail: "The simulated messenger does not take connections."}
	}
	hangUp := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer hangUp()
	fail := func(reason instance.Reason, detail string) (*uplink, *simwire.Reader, instance.Closed) {
		_ = nc.Close()
		return nil, nil, instance.Closed{Reason: reason, Detail: detail}
	}
	hello, err := simwire.Encode(simwire.Frame{Type: simwire.TypeHello, Version: simwire.Version, Client: d.opts.Version})
	if err != nil {
		return fail(instance.ReasonInternal, "The client version is not a valid one.")
	}
	if _, err := nc.Write(hello); err != nil {
		return fail(instance.ReasonUnreachable, "The simulated messenger hung up at the greeting.")
	}
	frames := simwire.NewReader(nc)
	answer, err := frames.Next()
	switch {
	case err != nil:
		return fail(instance.ReasonUnreachable, "The simulated messenger did not answer the greeting.")
	case answer.Type == simwire.TypeClosed:
		return fail(closeReason(answer.Reason), answer.Detail)
	case answer.Type != simwire.TypeWelcome || answer.Version != simwire.Version:
		return fail(instance.ReasonUnreachable, "The simulated messenger speaks another version of the protocol.")
	}
	return &uplink{nc: nc, out: simwire.NewOutbox(d.outboxLimit), sessions: map[uint64]*session{}}, frames, instance.Closed{}
}

func (l *uplink) write(b []byte) error {
	if err := l.nc.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := l.nc.Write(b)
	return err
}

// ping sends a ping at every interval until stop is called, which waits for a ping under way.
func (l *uplink) ping(interval time.Duration) (stop func()) {
	ticker := time.NewTicker(interval)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-ticker.C:
				l.send(simwire.Frame{Type: simwire.TypePing})
			case <-done:
				return
			}
		}
	})
	return func() {
		ticker.Stop()
		close(done)
		wg.Wait()
	}
}

// read hands frames to their sessions until the connection is lost, and says how it was.
func (l *uplink) read(frames *simwire.Reader, silence time.Duration) instance.Closed {
	for {
		if err := l.nc.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return instance.Closed{Reason: instance.ReasonConnectionClosed, Detail: "The connection was closed."}
		}
		f, err := frames.Next()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return instance.Closed{Reason: instance.ReasonKeepaliveTimeout, Detail: "The simulated messenger went silent."}
		case err != nil:
			return instance.Closed{Reason: instance.ReasonConnectionClosed, Detail: "The connection to the simulated messenger was lost."}
		case f.Type == simwire.TypePing:
			l.send(simwire.Frame{Type: simwire.TypePong})
		case f.Type == simwire.TypeClosed && f.Session == 0:
			return instance.Closed{Reason: closeReason(f.Reason), Detail: f.Detail, Until: f.Until()}
		default:
			if s := l.session(f.Session); s != nil {
				s.handle(f)
			}
		}
	}
}

// send queues a frame. A lab that reads too slowly loses the connection.
func (l *uplink) send(f simwire.Frame) {
	line, err := simwire.Encode(f)
	if err == nil {
		err = l.out.Push(line, time.Time{})
	}
	if err != nil {
		_ = l.nc.Close()
	}
}

// add takes the session in and returns its number; ok is false when the connection is already lost.
func (l *uplink) add(s *session) (number uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost {
		return 0, false
	}
	l.last++
	l.sessions[l.last] = s
	return l.last, true
}

func (l *uplink) session(number uint64) *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sessions[number]
}

func (l *uplink) remove(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sessions, number)
}

// lose takes every session out, for good.
func (l *uplink) lose() []*session {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = true
	left := make([]*session, 0, len(l.sessions))
	for _, s := range l.sessions {
		left = append(left, s)
	}
	clear(l.sessions)
	return left
}

// closeReason returns what the lab gave as the reason, if a session may close with it.
func closeReason(reason string) instance.Reason {
	if r := instance.Reason(reason); slices.Contains(instance.CloseReasons(), r) {
		return r
	}
	return instance.ReasonInternal
}
