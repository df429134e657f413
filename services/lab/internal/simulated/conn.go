package simulated

import (
	"net"
	"sync"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/simwire"
	"pairgate.dev/services/lab/labapi"
)

const (
	// outboxLimit is what may wait for a driver before it counts as stuck.
	outboxLimit  = 64 << 20
	writeTimeout = 10 * time.Second
	helloTimeout = 10 * time.Second
	// idleTimeout is how long a driver may say nothing, not even ping.
	idleTimeout = time.Minute
	// maxSessions is how many sessions a connection may have.
	maxSessions = 250_000
)

// conn is the connection of one driver. Its fields below out are guarded by the server's mutex.
type conn struct {
	server *Server
	nc     net.Conn
	out    *simwire.Outbox

	version  labapi.Version
	sessions map[uint64]*session
	heard    int
}

// serve reads until the connection is over, then ends its sessions.
func (c *conn) serve() {
	var writer sync.WaitGroup
	writer.Go(func() {
		if c.out.Run(c.write) != nil {
			_ = c.nc.Close()
		}
	})
	c.read()
	c.out.Close()
	writer.Wait()
	_ = c.nc.Close()
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	for _, session := range c.sessions {
		s.end(session)
	}
}

func (c *conn) write(b []byte) error {
	if err := c.nc.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := c.nc.Write(b)
	return err
}

func (c *conn) read() {
	frames := simwire.NewReader(c.nc)
	wait := helloTimeout
	for greeted := false; ; {
		if c.nc.SetReadDeadline(time.Now().Add(wait)) != nil {
			return
		}
		f, err := frames.Next()
		if err != nil {
			return
		}
		if c.server.faults.Now().Silence {
			continue
		}
		c.server.mu.Lock()
		if !greeted {
			greeted = c.greet(f)
			wait = idleTimeout
		} else {
			c.handle(f)
		}
		c.server.mu.Unlock()
		if !greeted {
			return
		}
	}
}

// greet answers hello and says whether the connection may go on.
func (c *conn) greet(f simwire.Frame) bool {
	if f.Type != simwire.TypeHello {
		return false
	}
	if f.Version != simwire.Version {
		c.send(simwire.Frame{Type: simwire.TypeClosed, Reason: string(instance.ReasonClientOutdated), Detail: "The lab speaks another version of the protocol."})
		return false
	}
	// What cannot be read counts as older than any version.
	c.version, _ = labapi.ParseVersion(f.Client)
	c.send(simwire.Frame{Type: simwire.TypeWelcome, Version: simwire.Version})
	return true
}

// handle takes a frame. The caller holds the server's mutex.
func (c *conn) handle(f simwire.Frame) {
	s := c.server
	switch f.Type {
	case simwire.TypePing:
		c.send(simwire.Frame{Type: simwire.TypePong})
		return
	case simwire.TypeOpenPair, simwire.TypeOpenLogin:
		s.openSession(c, f)
		return
	}
	session := c.sessions[f.Session]
	if session == nil {
		return
	}
	switch f.Type {
	case simwire.TypeClose:
		s.end(session)
	case simwire.TypeLogout:
		s.logout(session)
	case simwire.TypePresence:
		s.presence(session, f.Available)
	default:
		if session.link != nil {
			s.answer(session, f)
		}
	}
}

// send queues a frame, as the faults have it. The caller holds the server's mutex.
func (c *conn) send(f simwire.Frame) {
	faults := c.server.faults.Now()
	if faults.Silence {
		return
	}
	if faults.AbruptCloseAfter > 0 && c.heard >= faults.AbruptCloseAfter {
		reset(c.nc)
		return
	}
	c.heard++
	line, err := simwire.Encode(f)
	if err != nil {
		c.server.log.Error("a frame could not be encoded", zap.String("type", string(f.Type)))
		return
	}
	var notBefore time.Time
	if faults.SlowAnswersMs > 0 {
		notBefore = time.Now().Add(time.Duration(faults.SlowAnswersMs) * time.Millisecond)
	}
	if c.out.Push(line, notBefore) != nil {
		// It reads too slowly, or is gone already.
		reset(c.nc)
	}
}
