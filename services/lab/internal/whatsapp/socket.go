package whatsapp

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"go.mau.fi/whatsmeow/store"

	"pairgate.dev/services/lab/internal/whatsapp/noise"
	"pairgate.dev/services/lab/labapi"
)

const (
	// handshakeTimeout is how long a client may take until its payload is there.
	handshakeTimeout = 20 * time.Second
	writeTimeout     = 10 * time.Second
)

// socketKey is the request's context key of its TCP connection.
type socketKey struct{}

// handler answers as web.whatsapp.com does: the page, and the WebSocket.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ws/chat", s.upgrade)
	mux.HandleFunc("GET /{$}", s.page)
	return mux
}

// page is as much of the page as clients read their version from (seen in whatsmeow's
// update.go). A version that the server would refuse is never in it.
func (s *Server) page(w http.ResponseWriter, _ *http.Request) {
	faults := s.faults.Now()
	revision := uint32(faults.ClientRevision)
	if revision == 0 {
		minimum, _ := labapi.ParseVersion(faults.MinimumClientVersion)
		revision = max(store.GetWAVersion()[2], minimum[2])
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	// A caller that has hung up is not told anything.
	_, _ = fmt.Fprintf(w, "<!DOCTYPE html><html><head><title>WhatsApp Web</title></head><body><script>{\"server_revision\":%[1]d,\"client_revision\":%[1]d,\"tier\":\"lab\"}</script></body></html>\n", revision)
}

// upgrade turns the request into a connection and serves it.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) {
	faults := s.faults.Now()
	if faults.UpgradeStatus != 0 {
		http.Error(w, http.StatusText(faults.UpgradeStatus), faults.UpgradeStatus)
		return
	}
	nc, ok := r.Context().Value(socketKey{}).(net.Conn)
	if !ok {
		http.Error(w, "no connection", http.StatusInternalServerError)
		return
	}
	c := s.admit(nc)
	if c == nil {
		return
	}
	defer s.wg.Done()
	defer c.leave()
	if faults.Silence {
		<-r.Context().Done()
		return
	}
	// Any origin may come: what the Origin header says is no proof of anything here.
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return
	}
	defer func() { _ = ws.CloseNow() }()
	c.serve(websocket.NetConn(context.Background(), ws, websocket.MessageBinary))
}

// admit makes a connection, whose goroutine s.wg counts; nil when the server is closed.
func (s *Server) admit(nc net.Conn) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	c := &conn{server: s, nc: nc, out: newOutbox(), gone: make(chan struct{}), answers: map[string]func(reply){}}
	s.conns[c] = struct{}{}
	s.wg.Add(1)
	return c
}

// certificates is the chain that the server shows, as the faults have it.
func (s *Server) certificates() (*noise.Chain, error) {
	now := time.Now()
	switch s.faults.Now().Certificate {
	case labapi.CertificateWrong:
		other := rootSeed
		other[0]++
		return noise.NewRoot(other).Chain(now.Add(-time.Hour), now.Add(chainLife))
	case labapi.CertificateExpired:
		return s.root.Chain(now.Add(-2*time.Hour), now.Add(-time.Hour))
	}
	return s.chain, nil
}
