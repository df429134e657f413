package greenapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/gateway/internal/client"
)

const (
	// scanTime is how long a socket waits for a scan, and syncTime for the end of
	// the link after one.
	scanTime = window
	syncTime = time.Minute
	// sendTimeout is how long a client may take to read a frame.
	sendTimeout = 10 * time.Second
)

// scanQRCode pushes every code as it comes, until the instance is linked, the
// window ends, or nobody has scanned for a hundred seconds. It opens a window like qr.
func (a *API) scanQRCode(w http.ResponseWriter, r *http.Request, c *called) error {
	a.sockets.Add(1)
	defer a.sockets.Done()
	// The token in the address lets a page in, whatever its origin; there are no cookies.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return nil // answered by Accept
	}
	defer conn.CloseNow()
	// The library cuts the connection when the context that it reads under ends, so
	// that one must not end with the process: the client is told why first.
	ctx, done := a.waiting(r.WithContext(conn.CloseRead(r.Context())))
	defer done()
	s := &scan{API: a, c: c, conn: conn}
	s.run(ctx)
	if a.Stopping.Err() != nil {
		conn.Close(websocket.StatusGoingAway, "")
	} else {
		conn.Close(websocket.StatusNormalClosure, "")
	}
	return nil
}

// scan is one socket.
type scan struct {
	*API
	c    *called
	conn *websocket.Conn

	// request is the command that opened the window, 0 for none.
	request uint64
	// What was sent last.
	attempt, number uint64
	asked           instance.Phase
}

func (s *scan) run(ctx context.Context) {
	request, err := s.openWindow(ctx, s.c.id)
	if err != nil {
		s.send(ctx, outcome{Type: typeError, Message: messageNotReady})
		return
	}
	s.request = request
	deadline := time.Now().Add(scanTime)
	for {
		snap, err := s.next(ctx, deadline)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && snap.Status.Phase == instance.Syncing && time.Since(deadline) < syncTime:
			deadline = deadline.Add(syncTime)
			continue
		case err != nil:
			s.send(ctx, outcome{Type: typeTimeout, Message: messageTimeout})
			return
		}
		o, last := s.frame(snap)
		if !s.send(ctx, o) || last {
			return
		}
	}
}

// next waits for a snapshot that is worth a frame.
func (s *scan) next(ctx context.Context, deadline time.Time) (bus.Snapshot, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	return s.Client.Views().Sessions.Await(ctx, s.c.id, s.worth)
}

func (s *scan) worth(snap bus.Snapshot) bool {
	phase := snap.Status.Phase
	switch {
	case client.Linked(snap):
		return true
	case s.request > snap.Status.ObservedRequest:
		return false // of before the window
	case !phase.Window():
		return true
	case phase == instance.PasswordRequired || phase == instance.PasskeyRequired:
		return s.asked != phase
	}
	return len(snap.QR.GetImage()) > 0 && (snap.QR.GetAttempt() != s.attempt || snap.QR.GetSequence() != s.number)
}

// frame is what a snapshot that is worth it says, and whether it is the last.
func (s *scan) frame(snap bus.Snapshot) (o outcome, last bool) {
	o = s.outcomeOf(s.c, client.Outcome{Snapshot: snap})
	switch {
	case o.qr != nil:
		s.attempt, s.number = o.qr.GetAttempt(), o.qr.GetSequence()
		return o, false
	case o.Type == typePassword || o.Type == typePasskey:
		s.asked = snap.Status.Phase
		return o, false
	case o.Type == typeError && snap.Status.Reason == instance.ReasonQRTimeout:
		o = outcome{Type: typeTimeout, Message: messageTimeout}
	}
	return o, true
}

func (s *scan) send(ctx context.Context, o outcome) bool {
	body, err := json.Marshal(o)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageText, body) == nil
}
