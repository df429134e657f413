package lease_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/bus/embedded"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
)

// busy is a worker that writes for every partition that it owns, as fast as it may.
type busy struct {
	manager *lease.Manager
	conn    *bus.Conn
	stop    func() // of its micro service
	wg      sync.WaitGroup
	mu      sync.Mutex
	cancel  map[instance.Partition]func()
}

func (w *busy) Acquired(_ context.Context, round lease.Round) {
	for _, p := range round.Partitions {
		writer, ok := round.Writer(p.Number)
		if !ok {
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		w.mu.Lock()
		w.cancel[p.Number] = cancel
		w.mu.Unlock()
		w.wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := writer.Publish(ctx, message(p.Number, p.Epoch)); err != nil {
					return
				}
				select {
				case <-ctx.Done():
				case <-time.After(5 * time.Millisecond):
				}
			}
		})
	}
}

// Lost does not wait for the writes under way: the fence must hold by itself.
func (w *busy) Lost(p instance.Partition, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if cancel := w.cancel[p]; cancel != nil {
		cancel()
	}
	delete(w.cancel, p)
}

// Workers come, go and die at random. Whatever happens, what the stream has accepted is
// of one owner at a time, and in the end everything has an owner.
func TestRandomLivesOfWorkers(t *testing.T) {
	bustest.CheckGoroutines(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	srv := server(t, func(o *embedded.Options) { o.SyncAlways = random.IntN(2) == 0 })
	looking := connect(t, srv)
	seen, err := lease.Observe(looking, config(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer seen.Close()

	living := map[string]*busy{}
	begin := func(name string) {
		w := &busy{conn: connect(t, srv), cancel: map[instance.Partition]func(){}}
		cfg := config(t, name)
		cfg.ServiceID, w.stop = service(t, w.conn)
		cfg.ReclaimOwn = true
		w.manager = start(t, w.conn, cfg, w)
		living[name] = w
	}
	end := func(name string, how int) {
		w := living[name]
		delete(living, name)
		switch how {
		case 0:
			// On a slow machine the lease may be lost in the middle of it, or not be deleted in time.
			if err := w.manager.Release(t.Context()); err != nil && !errors.Is(err, lease.ErrFenced) && !errors.Is(err, lease.ErrRevoked) &&
				!errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("release: %v", err)
			}
		case 1: // its process dies
			w.conn.NATS().Close()
			w.manager.Close()
		default: // it stops renewing, but answers pings
			w.manager.Close()
		}
		w.wg.Wait()
		w.stop()
	}
	served := func() error {
		if n := len(seen.Unowned()); n != 0 {
			return fmt.Errorf("%d partitions have no owner", n)
		}
		return nil
	}

	begin("a")
	for range 20 {
		name := names(4)[random.IntN(4)]
		switch _, alive := living[name]; {
		case !alive:
			begin(name)
		case len(living) > 1:
			end(name, random.IntN(3))
		}
		if random.IntN(2) == 0 {
			bustest.CheckFor(t, 20*time.Second, served)
		}
	}
	bustest.CheckFor(t, 20*time.Second, served)
	for name := range living {
		end(name, 0)
	}
	writes, records := checkEpochs(t, looking)
	t.Logf("%d writes, %d owner records", writes, records)
	if writes == 0 || records < 16 {
		t.Error("nothing happened")
	}
}
