package e2e

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// Relay is a network between a program and a server, on which a test can hold up
// what the program sends: it has left the program, and arrives later.
type Relay struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
	// change is signalled when held or closed changes, and when a direction has read something.
	change          *sync.Cond
	held, recording bool
	// lost counts Drops; a connection of before the last one passes nothing more.
	lost int
	// sent is what programs have sent while held, heard what the server has sent since.
	sent, heard bytes.Buffer
}

// NewRelay relays connections to target, host:port, until the end of the test.
func NewRelay(tb testing.TB, target string) *Relay {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	r := &Relay{listener: listener, target: target, conns: map[net.Conn]struct{}{}}
	r.change = sync.NewCond(&r.mu)
	r.wg.Go(r.accept)
	tb.Cleanup(r.close)
	return r
}

// Addr is where programs connect to, host:port.
func (r *Relay) Addr() string { return r.listener.Addr().String() }

// Hold holds up what programs send from now on, and begins to record.
func (r *Relay) Hold() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held, r.recording = true, true
	r.sent.Reset()
	r.heard.Reset()
}

// Release lets everything that was held up go on.
func (r *Relay) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = false
	r.change.Broadcast()
}

// Drop ends every connection and loses what was held up on them. Later
// connections are not held up.
func (r *Relay) Drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost++
	r.held = false
	for c := range r.conns {
		_ = c.Close()
	}
	clear(r.conns)
	r.change.Broadcast()
}

// Held returns what programs have sent since Hold, up to Release.
func (r *Relay) Held() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.sent.Bytes())
}

// Heard returns what the server has answered since Hold. It is there also while
// the program does not read it.
func (r *Relay) Heard() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.heard.Bytes())
}

func (r *Relay) accept() {
	for {
		program, err := r.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.target)
		if err != nil {
			_ = program.Close() // The program tries again.
			continue
		}
		if !r.keep(program, server) {
			return
		}
		r.wg.Go(func() { r.pass(program, server, true) })
		r.wg.Go(func() { r.pass(server, program, false) })
	}
}

func (r *Relay) keep(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		if r.closed {
			_ = c.Close()
		} else {
			r.conns[c] = struct{}{}
		}
	}
	return !r.closed
}

// pass carries one direction. It reads on while the other side takes nothing, so
// that neither a frozen program nor a hold is felt by the sender.
func (r *Relay) pass(from, to net.Conn, up bool) {
	var waiting bytes.Buffer
	over := false
	r.mu.Lock()
	lost := r.lost
	r.mu.Unlock()
	var reading sync.WaitGroup
	reading.Go(func() {
		chunk := make([]byte, 64<<10)
		for {
			n, err := from.Read(chunk)
			r.mu.Lock()
			waiting.Write(chunk[:n])
			switch {
			case !up && r.recording:
				r.heard.Write(chunk[:n])
			case up && r.held:
				r.sent.Write(chunk[:n])
			}
			over = over || err != nil
			r.change.Broadcast()
			r.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	for {
		r.mu.Lock()
		for !r.closed && r.lost == lost && (up && r.held || waiting.Len() == 0 && !over) {
			r.change.Wait()
		}
		now := bytes.Clone(waiting.Bytes())
		waiting.Reset()
		end := r.closed || r.lost != lost || len(now) == 0 && over
		r.mu.Unlock()
		if end {
			break
		}
		if _, err := to.Write(now); err != nil {
			break
		}
	}
	// The other direction may have closed both already.
	_, _ = from.Close(), to.Close()
	reading.Wait()
}

func (r *Relay) close() {
	_ = r.listener.Close()
	r.mu.Lock()
	r.closed = true
	for c := range r.conns {
		_ = c.Close()
	}
	r.change.Broadcast()
	r.mu.Unlock()
	r.wg.Wait()
}
