package whatsapp

import (
	"crypto/rand"
	"encoding/hex"
	"io"
	"net"
	"sync"
	"time"

	"go.mau.fi/whatsmeow/binary"
	"go.uber.org/zap"

	"pairgate.dev/services/lab/internal/whatsapp/noise"
)

const (
	// closeGrace is how long a client has to read the last stanza before the server
	// closes; the real server was seen to close 0 to 150 ms after it.
	closeGrace = 100 * time.Millisecond
	// restartGrace is how long a client that was just linked has to come again.
	restartGrace = 5 * time.Second
	// roundTrip is what lies between the handshake and the first stanza of a server that
	// closes right behind it, as on every network: within it, clients are still making
	// their connection, and nothing says that a server was ever so fast.
	roundTrip = 10 * time.Millisecond
)

// conn is the connection of one client. Its fields below gone are guarded by the
// server's mutex, but for noise, which is set before the client is heard.
type conn struct {
	server *Server
	nc     net.Conn
	out    *outbox
	// gone is closed once nothing more is read.
	gone chan struct{}

	// noise is the public key that the client proved to hold.
	noise [32]byte
	// over says that the server has said its last word.
	over  bool
	heard int
	// answers has what is to be done with the answers to the server's own requests, by id.
	answers map[string]func(reply)
	// pairing is what an unlinked device has; nil for others.
	pairing *pairing
	// device is the linked device, once logged in; since is when that was.
	device string
	since  time.Time
}

// reply is a client's answer to a request of the server.
type reply struct {
	node   *binary.Node
	failed bool
}

// serve speaks with the client until the connection is over.
func (c *conn) serve(stream io.ReadWriter) {
	chain, err := c.server.certificates()
	if err != nil || c.nc.SetDeadline(time.Now().Add(handshakeTimeout)) != nil {
		return
	}
	encrypted, err := noise.Accept(stream, stream, chain)
	if err != nil || c.nc.SetDeadline(time.Time{}) != nil {
		return
	}
	c.noise = encrypted.ClientStatic()
	var writer sync.WaitGroup
	writer.Go(func() {
		c.out.run(c.gone, func(stanza []byte) error {
			if err := c.nc.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
				return err
			}
			return encrypted.WriteFrame(stanza)
		})
		// Without a close frame, as the real server does.
		_ = c.nc.Close()
	})
	c.begin(encrypted.Payload())
	c.read(encrypted)
	close(c.gone)
	writer.Wait()
}

// begin takes what the client said of itself in the handshake.
func (c *conn) begin(raw []byte) {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	c.heard = 1 // the server's part of the handshake
	p, err := parsePayload(raw)
	switch {
	case err != nil:
		c.fail(failure{reason: failureBadRequest})
	case s.outdated(p):
		c.fail(failure{reason: failureOutdated})
	case p.registration != nil:
		s.startPairing(c, p.registration)
	default:
		s.login(c, p)
	}
}

func (c *conn) read(encrypted *noise.Conn) {
	for {
		frame, err := encrypted.ReadFrame()
		if err != nil {
			return
		}
		n, err := decode(frame)
		if err != nil {
			return
		}
		c.server.mu.Lock()
		if !c.over && !c.server.closed && !c.server.faults.Now().Silence {
			c.handle(n)
		}
		c.server.mu.Unlock()
	}
}

// leave forgets the connection, once it is over.
func (c *conn) leave() {
	_ = c.nc.Close()
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(c)
	delete(s.conns, c)
}

// end takes the connection out of what others find it by. The caller holds the mutex.
func (s *Server) end(c *conn) {
	if c.over {
		return
	}
	c.over = true
	if s.online[c.device] == c {
		delete(s.online, c.device)
	}
	s.tally.Close(c.device)
	s.stopPairing(c)
}

// send queues a stanza, as the faults have it. The caller holds the mutex.
func (c *conn) send(n binary.Node) {
	faults := c.server.faults.Now()
	if c.over || faults.Silence {
		return
	}
	if faults.AbruptCloseAfter > 0 && c.heard >= faults.AbruptCloseAfter {
		_ = c.nc.Close()
		return
	}
	first := c.heard == 1
	c.heard++
	stanza, err := binary.Marshal(n)
	if err != nil {
		c.server.log.Error("a stanza could not be encoded", zap.String("tag", n.Tag))
		return
	}
	i := item{stanza: stanza}
	if faults.SlowAnswersMs > 0 {
		i.notBefore = time.Now().Add(time.Duration(faults.SlowAnswersMs) * time.Millisecond)
	} else if first && faults.HostileClose {
		i.notBefore = time.Now().Add(roundTrip)
	}
	if !c.out.push(i) {
		// It reads too slowly.
		_ = c.nc.Close()
	}
}

// hangUp says the last stanza and closes, unless the client does so before grace is
// over. A hostile server leaves no time, and ends the stream before it closes it. The
// caller holds the mutex.
func (c *conn) hangUp(last binary.Node, grace time.Duration) {
	c.send(last)
	if c.server.faults.Now().HostileClose {
		c.send(node("xmlstreamend", nil))
		grace = 0
	}
	c.out.push(item{last: true, grace: grace})
	c.server.end(c)
}

// fail refuses the client. The caller holds the mutex.
func (c *conn) fail(f failure) { c.hangUp(f.node(), closeGrace) }

// ask sends a request of the server and has then called with the answer. The caller
// holds the mutex.
func (c *conn) ask(request binary.Node, then func(reply)) {
	id := randomHex(8)
	request.Attrs["id"] = id
	c.answers[id] = then
	c.send(request)
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
