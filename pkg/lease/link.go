package lease

import (
	"sync"
	"time"

	"pairgate.dev/pkg/bus"
)

// link tells how long the present connection has lasted, as far as was noticed; never
// longer than it has.
type link struct {
	mu         sync.Mutex
	conn       *bus.Conn
	first      uint64
	reconnects uint64
	since      time.Time
}

func (l *link) begin(conn *bus.Conn) {
	l.conn = conn
	l.reconnects = conn.NATS().Stats().Reconnects
	l.first = l.reconnects
	l.since = time.Now()
}

// look returns for how long we have been connected, 0 while we are not, and the number
// of the connection. again says that it is not the first.
func (l *link) look() (lasted time.Duration, number uint64, again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.conn.NATS().Stats().Reconnects; n != l.reconnects {
		l.reconnects, l.since = n, time.Now()
	}
	if !l.conn.Connected() {
		l.since = time.Now()
		return 0, l.reconnects, true
	}
	return time.Since(l.since), l.reconnects, l.reconnects != l.first
}
