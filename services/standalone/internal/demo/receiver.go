package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"pairgate.dev/services/webhook-dispatcher/signature"
)

// receiver takes webhooks on loopback and verifies them.
type receiver struct {
	listener net.Listener
	server   *http.Server
	served   chan struct{}

	mu       sync.Mutex
	keys     []signature.Key
	early    []received
	verified chan received
}

type received struct {
	header http.Header
	body   []byte
}

// delivery is a verified webhook, as it is shown.
type delivery struct {
	id, timestamp, signature string
	body                     string
}

// maxBody bounds what is read of a webhook; the largest, with a picture, is a few KiB.
const maxBody = 1 << 20

func newReceiver(ctx context.Context) (*receiver, error) {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{listener: l, served: make(chan struct{}), verified: make(chan received, 256)}
	r.server = &http.Server{Handler: http.HandlerFunc(r.take), ReadTimeout: 10 * time.Second}
	go func() {
		defer close(r.served)
		_ = r.server.Serve(l) // It always ends with ErrServerClosed.
	}()
	return r, nil
}

func (r *receiver) url() string { return "http://" + r.listener.Addr().String() + "/webhook" }

func (r *receiver) close() {
	_ = r.server.Close()
	<-r.served
}

// trust sets the secret and verifies what came before it was known.
func (r *receiver) trust(secret string) error {
	key, err := signature.ParseSecret(secret)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = []signature.Key{key}
	for _, early := range r.early {
		if err := signature.Verify(r.keys, early.header, early.body, time.Now()); err != nil {
			return fmt.Errorf("a webhook is not signed as it should be: %w", err)
		}
		r.verified <- early
	}
	r.early = nil
	return nil
}

// take answers 204 to a verified webhook and 401 to any other. The first ones may
// come before the answer that shows the secret; they are verified once it is known.
func (r *receiver) take(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maxBody))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	got := received{header: request.Header, body: body}
	if r.keys == nil {
		r.early = append(r.early, got)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if err := signature.Verify(r.keys, request.Header, body, time.Now()); err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	select {
	case r.verified <- got:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusTooManyRequests)
	}
}

// await returns the first verified webhook that tells of the phase.
func (r *receiver) await(ctx context.Context, phase string) (delivery, error) {
	for {
		select {
		case got := <-r.verified:
			var event struct {
				Status struct{ Phase string }
			}
			if err := json.Unmarshal(got.body, &event); err != nil {
				return delivery{}, err
			}
			if event.Status.Phase != phase {
				continue
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, got.body, "   ", "  "); err != nil {
				return delivery{}, err
			}
			return delivery{id: got.header.Get("webhook-id"), timestamp: got.header.Get("webhook-timestamp"),
				signature: got.header.Get("webhook-signature"), body: "   " + pretty.String()}, nil
		case <-ctx.Done():
			return delivery{}, errors.New("no webhook told of the phase " + phase + " in time")
		}
	}
}
