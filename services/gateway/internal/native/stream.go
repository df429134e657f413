package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"pairgate.dev/pkg/bus"
	pb "pairgate.dev/proto/pairgate/v1"
)

// Stream are the times and sizes of event streams. Zero values are the defaults.
type Stream struct {
	// Heartbeat is the time between comments on a stream, 15 s.
	Heartbeat time.Duration
	// Check is the time between looks at the token, 1 s, and Touch between
	// extensions of the window that is watched, 5 s.
	Check, Touch time.Duration
	// Buffer is how many events may wait for a client, 256.
	Buffer int
	// WriteTimeout is how long a client may take to read what is written, 10 s.
	WriteTimeout time.Duration
}

func (s Stream) withDefaults() Stream {
	s.Heartbeat = atLeast(s.Heartbeat, 15*time.Second)
	s.Check = atLeast(s.Check, time.Second)
	s.Touch = atLeast(s.Touch, 5*time.Second)
	s.WriteTimeout = atLeast(s.WriteTimeout, 10*time.Second)
	if s.Buffer <= 0 {
		s.Buffer = 256
	}
	return s
}

var (
	errSlow    = errors.New("native: the client does not keep up")
	errRevoked = errors.New("native: the token was replaced")
	errOver    = errors.New("native: nothing more will come")
)

// eventWriter writes Server-Sent Events. It is used by one goroutine.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
}

// begin sends the headers. EventSource reconnects by itself, after two seconds.
func (e *eventWriter) begin() error {
	h := e.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // proxies that buffer would hold events back
	e.w.WriteHeader(http.StatusOK)
	return e.write("retry: 2000\n\n")
}

// event writes an event. An id of 0 leaves the client's last id as it is.
func (e *eventWriter) event(id uint64, kind string, data []byte) error {
	line := ""
	if id != 0 {
		line = "id: " + strconv.FormatUint(id, 10) + "\n"
	}
	return e.write(fmt.Sprintf("%sevent: %s\ndata: %s\n\n", line, kind, data))
}

// proto writes an event of ours; numbered ones move the client's last id.
func (e *eventWriter) proto(ev *pb.Event, numbered bool) error {
	data, err := bus.EncodeJSON(ev)
	if err != nil {
		return err
	}
	id := ev.GetSequence()
	if !numbered {
		id = 0
	}
	return e.event(id, ev.GetKind(), data)
}

// position moves the client's last id without an event.
func (e *eventWriter) position(id uint64) error {
	return e.write("id: " + strconv.FormatUint(id, 10) + "\n\n")
}

func (e *eventWriter) heartbeat() error { return e.write(": \n\n") }

func (e *eventWriter) write(text string) error {
	// A writer without deadlines, in a test, blocks for as long as its reader likes.
	_ = e.control.SetWriteDeadline(time.Now().Add(e.timeout))
	if _, err := io.WriteString(e.w, text); err != nil {
		return err
	}
	return e.control.Flush()
}

// cutOff makes a write that is under way fail once ctx has ended. The returned
// function undoes it and waits until nothing of it is left, because a connection
// must not be touched after its handler.
func (e *eventWriter) cutOff(ctx context.Context) (undo func()) {
	var running sync.WaitGroup
	running.Add(1)
	stop := context.AfterFunc(ctx, func() {
		defer running.Done()
		_ = e.control.SetWriteDeadline(time.Unix(1, 0))
	})
	return func() {
		if stop() {
			return
		}
		running.Wait()
	}
}

// parseEventID reads Last-Event-ID. ok is false for anything that is not the id of one of our events.
func parseEventID(text string) (sequence uint64, ok bool) {
	sequence, err := strconv.ParseUint(text, 10, 64)
	return sequence, err == nil && sequence > 0 && text[0] != '+'
}
