package keys_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// line is a way to the server that can fall silent, and that can behave as a
// connection pooler does.
type line struct {
	listener net.Listener
	target   string
	pooler   bool

	mu    sync.Mutex
	conns []net.Conn
	quiet chan struct{} // closed when nothing is passed on any more
	done  sync.WaitGroup
}

func newLine(t *testing.T, target string, pooler bool) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{listener: listener, target: target, pooler: pooler, quiet: make(chan struct{})}
	l.done.Go(l.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		l.mu.Lock()
		for _, c := range l.conns {
			_ = c.Close()
		}
		l.mu.Unlock()
		l.done.Wait()
	})
	return l
}

// through returns the URL with this line's address.
func (l *line) through(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = l.listener.Addr().String()
	return u.String()
}

func (l *line) hang() { close(l.quiet) }

func (l *line) accept() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", l.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		l.mu.Lock()
		l.conns = append(l.conns, client, server)
		l.mu.Unlock()
		l.done.Go(func() { l.pass(server, client) })
		l.done.Go(func() {
			if l.pooler {
				l.passMessages(client, server)
			} else {
				l.pass(client, server)
			}
		})
	}
}

// pass copies until either end closes; once the line is quiet it swallows all.
func (l *line) pass(to, from net.Conn) {
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case <-l.quiet:
		default:
			if _, failed := to.Write(buffer[:n]); failed != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// passMessages copies the server's messages and gives the client another process
// number than the session's, as a pooler does.
func (l *line) passMessages(to, from net.Conn) {
	defer to.Close()
	head := make([]byte, 5)
	for {
		if _, err := io.ReadFull(from, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(from, body); err != nil {
			return
		}
		if head[0] == 'K' {
			binary.BigEndian.PutUint32(body, 1)
		}
		if _, err := to.Write(append(head[:5:5], body...)); err != nil {
			return
		}
	}
}

// cutHolds ends the connections that locks are held on, as the server does when it restarts.
func cutHolds(t *testing.T, dsn string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	cut, err := conn.Exec(t.Context(), `SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
		WHERE l.locktype = 'advisory' AND d.datname = $1 GROUP BY l.pid`, strings.TrimPrefix(u.Path, "/"))
	if err != nil || cut.RowsAffected() != 1 {
		t.Fatalf("cut %d connections: %v", cut.RowsAffected(), err)
	}
}
