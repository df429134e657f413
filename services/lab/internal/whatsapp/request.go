package whatsapp

import (
	"time"

	"go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
	"go.uber.org/zap"

	"pairgate.dev/services/lab/labapi"
)

// handle takes a stanza. The caller holds the mutex.
func (c *conn) handle(n *binary.Node) {
	switch n.Tag {
	case "iq":
		c.handleIQ(n)
	case "presence":
		c.server.presence(c, text(n.Attrs["type"]))
	}
}

func (c *conn) handleIQ(n *binary.Node) {
	id, kind := text(n.Attrs["id"]), text(n.Attrs["type"])
	switch kind {
	case "result", "error":
		if then := c.answers[id]; then != nil {
			delete(c.answers, id)
			then(reply{n, kind == "error"})
		}
	case "get", "set":
		faults := c.server.faults.Now()
		ping := text(n.Attrs["xmlns"]) == "w:p"
		if id == "" || faults.SilentRequests || ping && faults.SilentPings {
			return
		}
		if c.device == "" {
			c.unlinkedRequest(id, kind, n)
		} else {
			c.request(id, kind, n)
		}
	}
}

// unlinkedRequest answers a device that is not linked. The caller holds the mutex.
func (c *conn) unlinkedRequest(id, kind string, n *binary.Node) {
	s := c.server
	reg, ok := n.GetOptionalChildByTag("link_code_companion_reg")
	switch {
	case ok && kind == "set" && text(n.Attrs["xmlns"]) == "md":
		s.linkCode(c, id, reg)
	case s.passkeyRequest(c, id, kind, n):
	default:
		c.send(result(id))
	}
}

// request answers a linked device. What clients ask for besides what is here, they
// are content with an empty result for. The caller holds the mutex.
func (c *conn) request(id, kind string, n *binary.Node) {
	s := c.server
	switch namespace := text(n.Attrs["xmlns"]); {
	case namespace == "encrypt" && kind == "get":
		s.showPreKeys(c, id, n)
	case namespace == "encrypt" && kind == "set":
		s.takePreKeys(c, id, n)
	case namespace == "md" && kind == "set":
		if remove, ok := n.GetOptionalChildByTag("remove-companion-device"); ok {
			s.logout(c, id, remove)
			return
		}
		c.send(result(id))
	default:
		c.send(result(id))
	}
}

// logout unlinks the device at its own wish. The caller holds the mutex.
func (s *Server) logout(c *conn, id string, remove binary.Node) {
	device, _, ok := s.book.Device(c.device)
	if jid, isJID := remove.Attrs["jid"].(types.JID); !ok || !isJID || jid != s.jid(device) {
		c.send(refuse(id, "403", "forbidden"))
		return
	}
	pending := s.unlink(device)
	s.wg.Go(func() {
		err := pending.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.unwritten, addressOf(device))
		if err != nil {
			s.log.Error("an unlinked device could not be written", zap.Error(err))
			c.send(refuse(id, "500", "internal-server-error"))
			return
		}
		c.send(result(id))
		if s.faults.Now().HostileClose {
			// Whether the real server says so to a device that asked for it is not known.
			c.hangUp(deviceRemoved(), closeGrace)
		} else {
			c.out.push(item{last: true, grace: restartGrace})
			s.end(c)
		}
		s.forget(device.ID)
	})
}

// forget forgets what is kept of a device outside the book. The caller holds the mutex.
func (s *Server) forget(device string) {
	s.sent.Forget(device)
	s.tally.Forget(device)
}

func deviceRemoved() binary.Node {
	return streamError("401", conflict("device_removed"))
}

// presence keeps what the device says of its presence. The caller holds the mutex.
func (s *Server) presence(c *conn, kind string) {
	if c.device == "" || kind != string(types.PresenceAvailable) && kind != string(types.PresenceUnavailable) {
		return
	}
	s.sent.Presence(c.device, kind)
}

// Connection says since when the device is logged in; ok is false when it is not.
func (s *Server) Connection(device string) (since time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.online[device]
	if c == nil {
		return time.Time{}, false
	}
	return c.since, true
}

// Connections says how many connections the device has, and the most that it had at
// once. A connection counts from its login until either side has ended it.
func (s *Server) Connections(device string) (now, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tally.Of(device)
}

// Sent returns what the device has sent, oldest first.
func (s *Server) Sent(device string) []labapi.Sent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent.Of(device)
}
