package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/instance-registry/internal/store"
)

const (
	one = instance.ID("01890a5d-ac96-774b-bcce-b302099a8057")
	two = instance.ID("01890a5d-ac96-774b-bcce-b302099a8058")
)

func open(t *testing.T) (store.Bucket, *bus.Conn) {
	t.Helper()
	bustest.CheckGoroutines(t)
	conn := bustest.Conn(t, bustest.Server(t))
	b, err := store.Open(t.Context(), conn.JetStream(), bus.BucketInstances)
	if err != nil {
		t.Fatal(err)
	}
	return b, conn
}

// last reads the number of writes so far.
func last(t *testing.T, conn *bus.Conn) uint64 {
	t.Helper()
	n, err := store.LastSequence(t.Context(), conn.JetStream(), bus.BucketStream(bus.BucketInstances))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPutIsConditional(t *testing.T) {
	b, conn := open(t)
	ctx := t.Context()
	if c, err := b.Get(ctx, "name.a"); err != nil || c.Present || c.Revision != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	r1, err := b.Put(ctx, "name.a", []byte("1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []uint64{0, r1 + 1} {
		if _, err := b.Put(ctx, "name.a", []byte("2"), wrong); !errors.Is(err, store.ErrConflict) {
			t.Errorf("revision %d: %v", wrong, err)
		}
		if err := b.Remove(ctx, "name.a", r1+1); !errors.Is(err, store.ErrConflict) {
			t.Errorf("removal at revision %d: %v", wrong, err)
		}
	}
	c, err := b.Get(ctx, "name.a")
	if err != nil || string(c.Value) != "1" || c.Revision != r1 || c.Stored.IsZero() {
		t.Errorf("%+v, %v", c, err)
	}
	if err := b.Remove(ctx, "name.a", r1); err != nil {
		t.Fatal(err)
	}
	if c, err := b.Get(ctx, "name.a"); err != nil || c.Present || c.Revision <= r1 {
		t.Errorf("%+v, %v", c, err)
	}
	if keys, err := b.Keys(ctx, "name.*"); err != nil || !slices.Equal(keys, []string{"name.a"}) {
		t.Errorf("keys %v, %v", keys, err)
	}
	if got := last(t, conn); got != 2 {
		t.Errorf("%d writes, want 2", got)
	}
}

func TestCreate(t *testing.T) {
	b, _ := open(t)
	ctx := t.Context()
	revision, _, err := store.Create(ctx, b, "name.a", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, holds, err := store.Create(ctx, b, "name.a", []byte("2")); !errors.Is(err, store.ErrExists) || string(holds.Value) != "1" {
		t.Errorf("%+v, %v", holds, err)
	}
	if err := b.Remove(ctx, "name.a", revision); err != nil {
		t.Fatal(err)
	}
	if again, _, err := store.Create(ctx, b, "name.a", []byte("2")); err != nil || again <= revision {
		t.Errorf("%d, %v", again, err)
	}
}

func TestClaims(t *testing.T) {
	b, _ := open(t)
	ctx := t.Context()
	first, err := store.Take(ctx, b, "name.a", one)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Take(ctx, b, "name.a", two); !errors.Is(err, store.ErrTaken) {
		t.Errorf("%v", err)
	}
	renewed, err := store.Take(ctx, b, "name.a", one)
	if err != nil || renewed.Revision <= first.Revision {
		t.Errorf("%+v, %v", renewed, err)
	}
	if err := store.Free(ctx, b, first); err != nil { // by the old revision: too late
		t.Error(err)
	}
	if _, holder, ok, err := store.Look(ctx, b, "name.a"); err != nil || !ok || holder != one {
		t.Errorf("%s, %v, %v", holder, ok, err)
	}
	if err := store.FreeOf(ctx, b, "name.a", two); err != nil { // not two's
		t.Error(err)
	}
	if err := store.FreeOf(ctx, b, "name.a", one); err != nil {
		t.Error(err)
	}
	if _, _, ok, err := store.Look(ctx, b, "name.a"); err != nil || ok {
		t.Errorf("still held: %v", err)
	}
	if _, err := store.Take(ctx, b, "name.a", two); err != nil {
		t.Error(err)
	}
}

func TestUsedUpNumbersStay(t *testing.T) {
	b, conn := open(t)
	ctx := t.Context()
	if _, err := store.Take(ctx, b, bus.NumberKey(7103000001), one); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := store.UseUp(ctx, b, bus.NumberKey(7103000001), one); err != nil {
			t.Fatal(err)
		}
	}
	if got := last(t, conn); got != 2 {
		t.Errorf("%d writes, want 2", got)
	}
	if err := store.FreeOf(ctx, b, bus.NumberKey(7103000001), one); err != nil {
		t.Fatal(err)
	}
	for _, id := range []instance.ID{one, two} {
		if _, err := store.Take(ctx, b, bus.NumberKey(7103000001), id); !errors.Is(err, store.ErrTaken) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// lossy loses the answer of a publish after it was stored, or the publish itself.
type lossy struct {
	jetstream.JetStream
	stored     bool
	left       atomic.Int32
	afterwards func()
}

func (l *lossy) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if l.left.Add(-1) < 0 {
		return l.JetStream.PublishMsg(ctx, m, opts...)
	}
	if l.stored {
		if _, err := l.JetStream.PublishMsg(ctx, m, opts...); err != nil {
			return nil, err
		}
	}
	if l.afterwards != nil {
		l.afterwards()
	}
	return nil, nats.ErrTimeout
}

// A write whose answer was lost is neither taken for a failure nor written twice.
func TestWriteWithoutAnAnswer(t *testing.T) {
	for _, stored := range []bool{true, false} {
		t.Run(fmt.Sprint("stored ", stored), func(t *testing.T) {
			_, conn := open(t)
			l := &lossy{JetStream: conn.JetStream(), stored: stored}
			b, err := store.Open(t.Context(), l, bus.BucketInstances)
			if err != nil {
				t.Fatal(err)
			}
			l.left.Store(1)
			revision, err := b.Put(t.Context(), "name.a", []byte("same"), 0)
			if err != nil || revision != 1 || last(t, conn) != 1 {
				t.Errorf("revision %d of %d, %v", revision, last(t, conn), err)
			}
			l.left.Store(1)
			if err := b.Remove(t.Context(), "name.a", revision); err != nil || last(t, conn) != 2 {
				t.Errorf("%v, %d writes", err, last(t, conn))
			}
		})
	}
}

// A write of somebody else, equal in every byte, is not taken for ours.
func TestEqualWriteOfAnother(t *testing.T) {
	plain, conn := open(t)
	l := &lossy{JetStream: conn.JetStream()}
	l.afterwards = func() {
		if _, err := plain.Put(t.Context(), "name.a", []byte("same"), 0); err != nil {
			t.Error(err)
		}
	}
	b, err := store.Open(t.Context(), l, bus.BucketInstances)
	if err != nil {
		t.Fatal(err)
	}
	l.left.Store(1)
	if _, err := b.Put(t.Context(), "name.a", []byte("same"), 0); !errors.Is(err, store.ErrConflict) {
		t.Errorf("%v, want a conflict", err)
	}
}

func TestUnavailableWhenTheContextEnds(t *testing.T) {
	_, conn := open(t)
	l := &lossy{JetStream: conn.JetStream()}
	l.left.Store(1 << 20)
	b, err := store.Open(t.Context(), l, bus.BucketInstances)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l.afterwards = cancel
	if _, err := b.Put(ctx, "name.a", nil, 0); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

func TestScanAndForget(t *testing.T) {
	b, conn := open(t)
	ctx := t.Context()
	scan := func(o store.ScanOptions) (got []string) {
		t.Helper()
		if err := store.Scan(ctx, conn.JetStream(), bus.BucketInstances, o, func(key string, c store.Cell) error {
			got = append(got, fmt.Sprint(key, " ", string(c.Value), " ", c.Present))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := scan(store.ScanOptions{Keys: []string{"name.*"}}); got != nil {
		t.Errorf("%v", got)
	}
	revisions := map[string]uint64{}
	for _, w := range []string{"name.a", "name.b", "number.1", "name.a"} {
		r, err := b.Put(ctx, w, []byte("v"), revisions[w])
		if err != nil {
			t.Fatal(err)
		}
		revisions[w] = r
	}
	if err := b.Remove(ctx, "name.b", revisions["name.b"]); err != nil {
		t.Fatal(err)
	}
	if got := scan(store.ScanOptions{Keys: []string{"name.*"}}); !slices.Equal(got, []string{"name.a v true", "name.b  false"}) {
		t.Errorf("%v", got)
	}
	if got := scan(store.ScanOptions{Keys: []string{"name.*", "number.*"}, From: 3, WithoutValues: true}); !slices.Equal(got, []string{"number.1  true", "name.a  true", "name.b  false"}) {
		t.Errorf("%v", got)
	}
	stop := errors.New("stop")
	if err := store.Scan(ctx, conn.JetStream(), bus.BucketInstances, store.ScanOptions{Keys: []string{"name.*"}}, func(string, store.Cell) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
	stream, err := conn.JetStream().Stream(ctx, bus.BucketStream(bus.BucketInstances))
	if err != nil {
		t.Fatal(err)
	}
	removed, err := b.Get(ctx, "name.b")
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Forget(ctx, stream, bus.BucketInstances, "name.b", removed.Revision); err != nil {
		t.Fatal(err)
	}
	// What was written since the removal stays.
	if err := store.Forget(ctx, stream, bus.BucketInstances, "name.a", revisions["name.a"]-1); err != nil {
		t.Fatal(err)
	}
	if keys, err := b.Keys(ctx, "name.*"); err != nil || !slices.Equal(keys, []string{"name.a"}) {
		t.Errorf("%v, %v", keys, err)
	}
}
