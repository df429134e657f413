// Package whatsapp emulates WhatsApp as linked devices see it, and the phones of its
// users: the WebSocket, linking by QR code and by phone code, passkeys, logins, and
// what ends them. What it does was seen in two clients, whatsmeow and Baileys; where
// the real server's behaviour is not known, the comments say so.
//
// One mutex guards all connections; nothing blocks under it. What changes on disk is
// queued under it and awaited outside, before anyone is told.
package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/services/lab/internal/accounts"
	"pairgate.dev/services/lab/internal/codes"
	"pairgate.dev/services/lab/internal/faults"
	"pairgate.dev/services/lab/internal/journal"
	"pairgate.dev/services/lab/internal/sent"
	"pairgate.dev/services/lab/internal/tally"
	"pairgate.dev/services/lab/internal/whatsapp/noise"
)

// Server is the emulated WhatsApp.
type Server struct {
	listener net.Listener
	http     *http.Server
	served   chan error
	book     *accounts.Book
	faults   *faults.Switch
	log      *zap.Logger
	secret   [32]byte
	root     *noise.Root
	chain    *noise.Chain
	wg       sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[*conn]struct{}
	// online has the connection of each device that is logged in.
	online map[string]*conn
	tally  tally.Tally
	// unwritten has the devices that were linked or unlinked and are on their way to
	// the disk.
	unwritten map[address]journal.Pending
	refs      codes.Index[*conn]
	typed     typedCodes
	// compared has the codes that phones show for comparison, by phone.
	compared map[string]string
	sent     sent.Log
}

// rootSeed makes the Noise root the same in every lab: a client process trusts one
// root, whatever labs it meets. It is no secret; who trusts it trusts this program.
var rootSeed = [32]byte([]byte("pairgate lab: whatsapp root 0001"))

// chainLife is how long the server's certificates are valid, from a day before its start.
const chainLife = 10 * 365 * 24 * time.Hour

// secretName names the server's secret in the book.
const secretName = "whatsapp"

// Start serves the listener, which is Close's from now on. It fails when the book
// cannot keep the server's secret.
func Start(listener net.Listener, book *accounts.Book, f *faults.Switch, log *zap.Logger) (*Server, error) {
	secret, err := book.Secret(secretName)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the secret of its phones cannot be kept: %w", err), listener.Close())
	}
	root := noise.NewRoot(rootSeed)
	day := 24 * time.Hour
	chain, err := root.Chain(time.Now().Add(-day), time.Now().Add(chainLife))
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s := &Server{
		listener: listener, served: make(chan error, 1), book: book, faults: f, log: log,
		secret: secret, root: root, chain: chain,
		conns: map[*conn]struct{}{}, online: map[string]*conn{}, tally: tally.Tally{}, unwritten: map[address]journal.Pending{},
		refs: codes.NewIndex[*conn](), typed: newTypedCodes(), compared: map[string]string{}, sent: sent.Log{},
	}
	s.http = &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: handshakeTimeout, IdleTimeout: time.Minute,
		ErrorLog: zap.NewStdLog(log),
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			return context.WithValue(ctx, socketKey{}, nc)
		},
	}
	go func() { s.served <- s.http.Serve(refusing{listener, f}) }()
	return s, nil
}

// Addr is where clients connect.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// NoiseRoot is the public key that clients are to trust, in every process the same.
func NoiseRoot() [32]byte { return noise.NewRoot(rootSeed).Public() }

// Close ends every connection and waits for what is under way.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	for c := range s.conns {
		_ = c.nc.Close()
	}
	s.mu.Unlock()
	err := s.http.Close()
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	s.wg.Wait()
	return err
}

// refusing resets new connections while the faults say so.
type refusing struct {
	net.Listener
	faults *faults.Switch
}

func (l refusing) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil || !l.faults.Now().RefuseConnections {
			return nc, err
		}
		if tcp, ok := nc.(interface{ SetLinger(int) error }); ok {
			_ = tcp.SetLinger(0)
		}
		_ = nc.Close()
	}
}
