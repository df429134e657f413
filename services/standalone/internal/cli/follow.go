package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// silence is how long a stream may say nothing: it has a heartbeat of 15 s.
	silence = 45 * time.Second
	// pause lies between two tries to open a stream that broke off, and patience
	// is how long they go on.
	pause    = time.Second
	patience = time.Minute
)

// follower reads an event stream, and opens it again where it broke off.
type follower struct {
	// messages is closed at the end; err says why, nil when stop was called.
	messages chan message
	err      error
	cancel   context.CancelFunc
	wg       sync.WaitGroup
}

// follow opens the stream; lastID is where to go on, empty for what happens from now on.
func (c *client) follow(ctx context.Context, path, lastID string) *follower {
	ctx, cancel := context.WithCancel(ctx)
	f := &follower{messages: make(chan message, 64), cancel: cancel}
	f.wg.Go(func() {
		defer close(f.messages)
		if err := f.run(ctx, c, path, lastID); ctx.Err() == nil {
			f.err = err
		}
	})
	return f
}

// stop ends the stream and waits for its goroutine.
func (f *follower) stop() {
	f.cancel()
	for range f.messages { // the reader may wait for somebody to take one
	}
	f.wg.Wait()
}

func (f *follower) send(ctx context.Context, m message) bool {
	select {
	case f.messages <- m:
		return true
	case <-ctx.Done():
		return false
	}
}

func (f *follower) run(ctx context.Context, c *client, path, lastID string) error {
	var lostSince time.Time
	for opened := false; ; {
		heard := false
		err := c.stream(ctx, path, lastID, func() { opened, heard = true, true }, func(m message) bool {
			if m.id != "" {
				lastID = m.id
			}
			return f.send(ctx, m)
		})
		now := time.Now()
		switch r, isRefusal := errors.AsType[*refusal](err); {
		case ctx.Err() != nil:
			return ctx.Err()
		case !opened, isRefusal && r.Status < http.StatusInternalServerError && r.Status != http.StatusTooManyRequests:
			return err
		case heard || lostSince.IsZero():
			lostSince = now
		case now.Sub(lostSince) > patience:
			return err
		}
		if !f.send(ctx, message{lost: err}) {
			return ctx.Err()
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var errSilent = fmt.Errorf("the event stream has been silent for %v", silence)

// stream reads the stream once; open is called when it is there. The error is never nil.
func (c *client) stream(ctx context.Context, path, lastID string, open func(), yield func(message) bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := c.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	watch := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer watch.Stop()
	response, err := c.http.Do(r)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		content, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		if err != nil {
			return c.unreachable(ctx, err)
		}
		return refused(response.StatusCode, content)
	}
	open()
	err = readMessages(&watched{response.Body, func() { watch.Reset(silence) }}, yield)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil:
		return context.Canceled // nobody takes messages any more
	}
	return fmt.Errorf("the event stream of %s broke off: %w", c.base, err)
}

// watched calls heard whenever something was read.
type watched struct {
	io.Reader
	heard func()
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if n > 0 {
		w.heard()
	}
	return n, err
}
