package outbox_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
	"pairgate.dev/services/session-worker/internal/outbox"
)

// writer is a stream that answers as the test says.
type writer struct {
	mu     sync.Mutex
	stored []string
	// gate, when set, is waited for before each write.
	gate chan struct{}
	errs []error
}

func (w *writer) Publish(ctx context.Context, m *nats.Msg) (uint64, error) {
	if w.gate != nil {
		select {
		case <-w.gate:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.errs) > 0 {
		err := w.errs[0]
		w.errs = w.errs[1:]
		if err != nil {
			return 0, err
		}
	}
	w.stored = append(w.stored, string(m.Data))
	return uint64(len(w.stored)), nil
}

func (w *writer) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.stored)
}

func item(id instance.ID, text string, code, replaceable bool) outbox.Item {
	return outbox.Item{Instance: id, Message: &nats.Msg{Data: []byte(text)}, Code: code, Replaceable: replaceable}
}

func flush(t *testing.T, q *outbox.Queue) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := q.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

// While writes block, every status is kept in order, but only the newest code.
func TestOnlyTheNewestCodeIsKeptWhileWritesBlock(t *testing.T) {
	w := &writer{gate: make(chan struct{})}
	q := outbox.New(w, zap.NewNop(), func() {})
	defer q.Close()
	q.Add(item("a", "a first", false, false))
	q.Add(item("a", "a pairing", false, false))
	q.Add(item("a", "a code 1", true, true))
	q.Add(item("b", "b code 1", true, true))
	q.Add(item("a", "a code 2", true, true))
	q.Add(item("a", "a withdrawn", true, false))
	q.Add(item("a", "a syncing", false, false))
	q.Add(item("a", "a code 3", true, true))
	close(w.gate)
	flush(t, q)
	want := []string{"a first", "a pairing", "b code 1", "a withdrawn", "a syncing", "a code 3"}
	if got := w.all(); !slices.Equal(got, want) {
		t.Fatalf("stored %q, want %q", got, want)
	}
}

func TestAWriteThatFailsIsTriedAgainInItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &writer{errs: []error{errors.New("the stream is full"), errors.New("the stream is full")}}
		failures := 0
		q := outbox.New(w, zap.NewNop(), func() { failures++ })
		defer q.Close()
		q.Add(item("a", "one", false, false))
		q.Add(item("a", "two", false, false))
		flush(t, q)
		if got := w.all(); !slices.Equal(got, []string{"one", "two"}) || failures != 2 {
			t.Fatalf("stored %q after %d failures", got, failures)
		}
	})
}

// One event that no server takes must not hold up a whole partition.
func TestAWriteThatCanNeverSucceedIsLeftOut(t *testing.T) {
	w := &writer{errs: []error{nats.ErrMaxPayload}}
	q := outbox.New(w, zap.NewNop(), func() {})
	defer q.Close()
	q.Add(item("a", "too large", false, false))
	q.Add(item("b", "two", false, false))
	flush(t, q)
	if got := w.all(); !slices.Equal(got, []string{"two"}) {
		t.Fatalf("stored %q", got)
	}
}

func TestNothingIsSentForALostPartition(t *testing.T) {
	w := &writer{errs: []error{nil, lease.ErrLost}}
	q := outbox.New(w, zap.NewNop(), func() { t.Error("a loss is no failure") })
	q.Add(item("a", "one", false, false))
	flush(t, q)
	q.Add(item("a", "two", false, false))
	flush(t, q)
	q.Add(item("a", "three", false, false))
	q.Close()
	if got := w.all(); !slices.Equal(got, []string{"one"}) {
		t.Fatalf("stored %q", got)
	}
}

func TestCloseEndsAWriteInFlight(t *testing.T) {
	w := &writer{gate: make(chan struct{})}
	q := outbox.New(w, zap.NewNop(), func() {})
	q.Add(item("a", "one", false, false))
	q.Add(item("a", "two", false, false))
	q.Close()
	if got := w.all(); len(got) != 0 {
		t.Fatalf("stored %q", got)
	}
}
