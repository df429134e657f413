package whatsapp

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"pairgate.dev/services/session-worker/driver"
)

// wire is the way of one connection to the messenger. It knows when the socket
// has ended, which the library does not always tell, and can end it at any
// moment, which the library cannot while it waits for the handshake.
type wire struct {
	transport *http.Transport
	// opening ends the dialling and the handshake; it does not end what is open.
	opening context.Context
	abort   context.CancelFunc
	// ended is called when the socket was ended, by whomever; by a goroutine that reads.
	ended func()

	mu     sync.Mutex
	body   *body
	closed bool
	// shaken says that the handshake is over.
	shaken bool
}

func newWire(ctx context.Context, p *driver.Proxy, endpoint string, ended func()) (*wire, error) {
	dial, err := route(p, endpoint)
	if err != nil {
		return nil, err
	}
	w := &wire{ended: ended, transport: &http.Transport{DialContext: dial, TLSHandshakeTimeout: 10 * time.Second,
		ResponseHeaderTimeout: 20 * time.Second, IdleConnTimeout: 10 * time.Second, MaxIdleConns: 2}}
	if endpoint != "" {
		// The endpoint speaks plain text where the messenger speaks TLS.
		w.transport.DialTLSContext = dial
	}
	w.opening, w.abort = context.WithCancel(ctx)
	return w, nil
}

// client returns an HTTP client of this wire alone: one that were shared would
// let one session's proxy become another's.
func (w *wire) client() *http.Client { return &http.Client{Transport: w} }

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Upgrade") == "" {
		return w.transport.RoundTrip(r) // Media, not the socket.
	}
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(w.opening, cancel)
	defer stop()
	answer, err := w.transport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	stream, ok := answer.Body.(io.ReadWriteCloser)
	if answer.StatusCode != http.StatusSwitchingProtocols || !ok {
		answer.Body = &cancelling{answer.Body, cancel}
		return answer, nil
	}
	b := &body{ReadWriteCloser: stream, cancel: cancel, ended: w.ended, over: make(chan struct{})}
	answer.Body = b
	w.mu.Lock()
	w.body = b
	closed := w.closed
	w.mu.Unlock()
	if closed {
		b.end(true)
	}
	return answer, nil
}

// handshaken says that the handshake is over.
func (w *wire) handshaken() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shaken = true
}

// end ends the socket and what is being dialled, and returns once nobody reads
// any more, or after patience. Reading has to stop first: a frame that was read
// when the library's consumer has left already would hold its reader for ever.
func (w *wire) end(patience time.Duration) {
	w.abort()
	w.mu.Lock()
	w.closed = true
	b, shaken := w.body, w.shaken
	w.mu.Unlock()
	if b != nil {
		b.end(!shaken)
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-b.over:
		case <-timer.C:
		}
	}
	w.transport.CloseIdleConnections()
}

// body is the stream of the upgraded connection.
type body struct {
	io.ReadWriteCloser
	cancel context.CancelFunc
	ended  func()
	// aborted says that farewell is to be read, mute that nobody hears what is written.
	aborted, mute atomic.Bool
	once          sync.Once
	// over is closed when reading has failed.
	over chan struct{}
}

// farewell is a WebSocket message with a noise frame that is no handshake
// message: the library, which waits for one with a time limit only, gives up at once.
// It has to be waiting: what nobody takes holds the library's reader for ever.
var farewell = []byte{0x82, 4, 0, 0, 1, 0}

// Read reads from the stream. After end it returns farewell once.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadWriteCloser.Read(p)
	if err == nil || n > 0 {
		return n, err
	}
	if b.aborted.CompareAndSwap(true, false) && len(p) >= len(farewell) {
		return copy(p, farewell), nil
	}
	b.once.Do(func() {
		close(b.over)
		b.ended()
	})
	return n, err
}

// Write writes to the stream. After end within the handshake it only pretends to,
// so that the library goes on to where farewell is waited for.
func (b *body) Write(p []byte) (int, error) {
	n, err := b.ReadWriteCloser.Write(p)
	if err != nil && b.mute.Load() {
		return len(p), nil
	}
	return n, err
}

// Close closes the stream. The library calls it when it has given up by itself.
func (b *body) Close() error {
	b.aborted.Store(false)
	err := b.ReadWriteCloser.Close()
	b.cancel()
	return err
}

// end ends the stream; within says that the handshake may still be going on.
func (b *body) end(within bool) {
	if within && b.mute.CompareAndSwap(false, true) {
		b.aborted.Store(true)
	}
	_ = b.ReadWriteCloser.Close()
}

// cancelling is a body that gives up its request's context when it is closed.
type cancelling struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close closes the body.
func (c *cancelling) Close() error {
	defer c.cancel()
	return c.ReadCloser.Close()
}
