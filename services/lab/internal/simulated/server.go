// Package simulated emulates the simulated messenger and its phones: the other
// end of package simwire.
//
// One mutex guards all sessions; nothing blocks under it. What changes on disk is
// queued under it and awaited outside, before anyone is told. A session that is
// online is an entry in a map, without a goroutine and without a timer.
package simulated

import (
	"errors"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/simwire"
	"pairgate.dev/services/lab/internal/accounts"
	"pairgate.dev/services/lab/internal/codes"
	"pairgate.dev/services/lab/internal/faults"
	"pairgate.dev/services/lab/internal/sent"
	"pairgate.dev/services/lab/internal/tally"
)

// Server is the emulated messenger.
type Server struct {
	listener net.Listener
	book     *accounts.Book
	faults   *faults.Switch
	log      *zap.Logger
	wg       sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[*conn]struct{}
	// online has the session of each device that is connected.
	online map[string]*session
	tally  tally.Tally
	codes  codes.Index[*session]
	// compared has the codes that phones show for comparison, by phone.
	compared map[string]string
	typed    typedCodes
	// lifts end suspensions, by phone.
	lifts map[string]*time.Timer
	sent  sent.Log
}

// Start serves the listener, which is Close's from now on.
func Start(listener net.Listener, book *accounts.Book, f *faults.Switch, log *zap.Logger) *Server {
	s := &Server{
		listener: listener, book: book, faults: f, log: log,
		conns: map[*conn]struct{}{}, online: map[string]*session{}, tally: tally.Tally{},
		compared: map[string]string{}, codes: codes.NewIndex[*session](), typed: newTypedCodes(),
		lifts: map[string]*time.Timer{}, sent: sent.Log{},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range book.All() {
		s.armLift(a)
	}
	s.wg.Go(s.accept)
	return s
}

// Addr is where drivers connect.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close ends every connection and waits for what is under way.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	err := s.listener.Close()
	for c := range s.conns {
		_ = c.nc.Close()
	}
	for _, timer := range s.lifts {
		timer.Stop()
	}
	for _, t := range s.typed.byKey {
		t.timer.Stop()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return err
}

func (s *Server) accept() {
	for {
		nc, err := s.listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				s.log.Error("the simulated messenger takes no more connections", zap.Error(err))
			}
			return
		}
		if s.faults.Now().RefuseConnections {
			reset(nc)
			continue
		}
		s.mu.Lock()
		if s.closed {
			_ = nc.Close()
		} else {
			c := &conn{server: s, nc: nc, out: simwire.NewOutbox(outboxLimit), sessions: map[uint64]*session{}}
			s.conns[c] = struct{}{}
			s.wg.Go(c.serve)
		}
		s.mu.Unlock()
	}
}

// reset closes a connection as a crashed peer does.
func reset(nc net.Conn) {
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = nc.Close()
}
