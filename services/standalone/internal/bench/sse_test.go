//go:build bench

package bench

import (
	"bufio"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pairgate.dev/services/standalone/internal/e2e"
)

// arrival is an event as the client of a stream got it.
type arrival struct {
	at         time.Time
	kind, data string
}

// stream is an open stream of events. A client that was cut off comes back with
// the id of its last event, as browsers do.
type stream struct {
	arrivals chan arrival
	// cut counts how often it had to come back.
	cut atomic.Int64
}

// follow opens a stream of events and reads it until the test ends. It returns
// once the first line has come.
func follow(t *testing.T, d *e2e.Deployment, path string) *stream {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(d.DataDir, "admin-key"))
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{arrivals: make(chan arrival, 1<<14)}
	ctx, cancel := context.WithCancel(context.Background())
	opened, done := make(chan struct{}), make(chan struct{})
	open := sync.OnceFunc(func() { close(opened) })
	go func() {
		defer close(done)
		last := ""
		for first := true; ctx.Err() == nil; first = false {
			if !first {
				s.cut.Add(1)
			}
			s.read(ctx, d.API.URL()+path, strings.TrimSpace(string(key)), &last, open)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	select {
	case <-opened:
	case <-time.After(10 * time.Second):
		t.Fatal("the stream did not open")
	}
	return s
}

func (s *stream) read(ctx context.Context, url, key string, last *string, opened func()) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return
	}
	request.Header.Set("Authorization", "Bearer "+key)
	if *last != "" {
		request.Header.Set("Last-Event-ID", *last)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return
	}
	defer response.Body.Close()
	var a arrival
	scanner := bufio.NewScanner(response.Body)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		name, value, _ := strings.Cut(scanner.Text(), ": ")
		switch name {
		case "retry":
			opened()
		case "id":
			*last = value
		case "event":
			a.kind = value
		case "data":
			a.at, a.data = time.Now(), value
			s.arrivals <- a
		}
	}
}

// next returns the next event that satisfies.
func (s *stream) next(t *testing.T, wanted func(arrival) bool) arrival {
	t.Helper()
	limit := time.After(30 * time.Second)
	for {
		select {
		case a := <-s.arrivals:
			if wanted(a) {
				return a
			}
		case <-limit:
			t.Fatal("no such event came within 30 s")
		}
	}
}
