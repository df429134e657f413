package whatsapp

import (
	"crypto/rand"
	"encoding/base64"
	"time"

	"go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"

	"pairgate.dev/services/lab/internal/codes"
	"pairgate.dev/services/lab/internal/whatsapp/adv"
	"pairgate.dev/services/lab/labapi"
)

const (
	// usualRefs is how many references an unlinked device gets.
	usualRefs = 6
	// usualWindow is when the server closes on an unlinked device: clients show their
	// first code for 60 s and five more for 20 s each.
	usualWindow = 160 * time.Second
	// pairingCodeLife is how long phone codes live; the connection's end ends them sooner.
	pairingCodeLife = 180 * time.Second
)

// pairing is what an unlinked device has. The server's mutex guards it.
type pairing struct {
	registration *adv.Registration
	refs         []codes.Digest
	window       *time.Timer
	// hello is the phone code that it waits with; hellos counts those it has asked for.
	hello  *hello
	hellos int
	// link is the link under way, once a phone has accepted a code.
	link *link
}

// startPairing gives the device its references. The caller holds the mutex.
func (s *Server) startPairing(c *conn, r *adv.Registration) {
	faults := s.faults.Now()
	window := windowOf(faults)
	p := &pairing{registration: r}
	c.pairing = p
	var refs []binary.Node
	for range refsOf(faults) {
		text := newRef()
		d := codes.Of(text)
		p.refs = append(p.refs, d)
		s.refs.Show(d, c, time.Now().Add(window))
		refs = append(refs, leaf("ref", []byte(text)))
	}
	p.window = time.AfterFunc(window, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if p.link == nil && !c.over {
			// The real server closes without a stanza that clients make something of.
			s.hangUpSilently(c)
		}
	})
	c.ask(node("iq", binary.Attrs{"from": types.ServerJID, "type": "set", "xmlns": "md"}, node("pair-device", nil, refs...)), func(reply) {})
	if s.faults.Take(func(f *labapi.Faults) *int { return &f.RotatedSecrets }) {
		c.notify("companion_reg_refresh", node("pair-device-rotate-qr", nil))
	}
}

func refsOf(f labapi.Faults) int {
	if f.CodesPerSession > 0 {
		return min(f.CodesPerSession, usualRefs)
	}
	return usualRefs
}

func windowOf(f labapi.Faults) time.Duration {
	if f.UnlinkedWindowSeconds > 0 {
		return seconds(f.UnlinkedWindowSeconds)
	}
	if f.CodeLifeSeconds > 0 && f.CodesPerSession > 0 {
		return time.Duration(refsOf(f)) * seconds(f.CodeLifeSeconds)
	}
	return usualWindow
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// newRef returns a reference of the shape of a real one: "2@" and base64.
func newRef() string {
	random := make([]byte, 96)
	_, _ = rand.Read(random)
	return "2@" + base64.StdEncoding.EncodeToString(random)
}

// notify sends a notification of the server. The caller holds the mutex.
func (c *conn) notify(kind string, children ...binary.Node) {
	c.send(node("notification", binary.Attrs{"from": types.ServerJID, "type": kind, "id": randomHex(8), "t": unixNow()}, children...))
}

// hangUpSilently closes without a last stanza. The caller holds the mutex.
func (s *Server) hangUpSilently(c *conn) {
	c.out.push(item{last: true})
	s.end(c)
}

// stopPairing takes the device's codes back. The caller holds the mutex.
func (s *Server) stopPairing(c *conn) {
	p := c.pairing
	if p == nil {
		return
	}
	p.window.Stop()
	for _, d := range p.refs {
		s.refs.Bury(d)
	}
	p.refs = nil
	s.typed.bury(p.hello)
	p.hello = nil
	if p.link != nil {
		p.link.fail(labapi.ReasonDeviceGone, "The device went away before it was linked.")
	}
}
