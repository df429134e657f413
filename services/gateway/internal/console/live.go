package console

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	// heartbeat is the time between two looks at a page that nothing is told of:
	// codes end by the clock alone, and so do sessions.
	heartbeat = time.Second
	// silence is how long nothing may be written, lest proxies close the stream.
	silence = 15 * time.Second
	// writeTimeout is how long a browser may take to read. It is less than a
	// process has to drain.
	writeTimeout = 5 * time.Second
)

// fragment is a part of a page: the element with the id, and what it holds.
type fragment struct {
	ID   string `json:"id"`
	HTML string `json:"html"`
	// At is when it was sent, in milliseconds since 1970: browsers count down from
	// there, because their clocks may be wrong.
	At   int64 `json:"at"`
	data any
}

// fragments renders parts; the template of each has its id as name.
func fragments(parts ...fragment) ([]fragment, error) {
	for i := range parts {
		var err error
		if parts[i].HTML, err = part(parts[i].ID, parts[i].data); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// errGone ends a stream whose page shows what there is no more.
var errGone = errors.New("console: the page is over")

// liveParts is what keeps a page live.
type liveParts struct {
	// interval is the least time between two renderings.
	interval time.Duration
	// subscribe calls changed, which returns at once, whenever the parts may differ.
	subscribe func(changed func()) (leave func())
	// render returns the parts as they are now; errGone leads the browser to the list.
	render func(context.Context) ([]fragment, error)
}

// live writes the parts of a page, and each again when it has changed, until the
// browser leaves, its session is over, or the process drains. A browser that comes
// back gets all parts, so nothing has to be remembered.
func (c *Console) live(w http.ResponseWriter, r *http.Request, one session, p liveParts) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(c.Stopping, cancel)()
	c.Metrics.Streams.Inc()
	defer c.Metrics.Streams.Dec()

	again := make(chan struct{}, 1)
	defer p.subscribe(func() {
		select {
		case again <- struct{}{}:
		default:
		}
	})()
	out := &stream{w: w, control: http.NewResponseController(w), sent: map[string]string{}}
	if out.begin() != nil || r.Method == http.MethodHead {
		return nil // the browser has gone, or wants no more than the headers
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for c.sessions.alive(one, time.Now()) {
		parts, err := p.render(ctx)
		if errors.Is(err, errGone) {
			_ = out.write("event: gone\ndata: {}\n\n") // the last word either way
			return nil
		}
		if err == nil {
			err = out.changed(parts)
		}
		if err != nil {
			return nil // the browser asks again
		}
		pause.Reset(p.interval)
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again:
		case <-beat.C:
		}
	}
	return nil
}

// stream writes Server-Sent Events. It is used by one goroutine.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	sent    map[string]string // the parts as the browser has them
	last    time.Time
}

func (s *stream) begin() error {
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // proxies that buffer would hold events back
	s.w.WriteHeader(http.StatusOK)
	return s.write("retry: 2000\n\n")
}

// changed writes the parts that the browser does not have so.
func (s *stream) changed(parts []fragment) error {
	for _, p := range parts {
		if have, ok := s.sent[p.ID]; ok && have == p.HTML {
			continue
		}
		p.At = time.Now().UnixMilli()
		data, err := json.Marshal(p)
		if err != nil {
			return err
		}
		if err := s.write("event: part\ndata: " + string(data) + "\n\n"); err != nil {
			return err
		}
		s.sent[p.ID] = p.HTML
	}
	if time.Since(s.last) > silence {
		return s.write(": \n\n")
	}
	return nil
}

func (s *stream) write(text string) error {
	// A writer without deadlines, in a test, blocks for as long as its reader likes.
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := io.WriteString(s.w, text); err != nil {
		return err
	}
	s.last = time.Now()
	return s.control.Flush()
}
