package lease

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
)

var errNetwork = errors.New("no answer")

// fakeStore is one lease in memory, with faults.
type fakeStore struct {
	mu    sync.Mutex
	value []byte
	rev   uint64
	// before runs before each write; what it returns is the caller's answer, after the write
	// when stored is true.
	before func() (stored bool, err error)
}

// write blocks only outside the mutex: in a bubble, time stands still for a mutex.
func (s *fakeStore) write(ctx context.Context, value []byte, ok func() bool) (uint64, error) {
	s.mu.Lock()
	before := s.before
	s.mu.Unlock()
	var answer error
	store := true
	if before != nil {
		store, answer = before()
	}
	s.mu.Lock()
	if store {
		if !ok() {
			s.mu.Unlock()
			return 0, errConflict
		}
		s.rev++
		s.value = value
	}
	rev := s.rev
	s.mu.Unlock()
	if answer != nil {
		<-ctx.Done() // the answer never comes
		return 0, errors.Join(ctx.Err(), answer)
	}
	return rev, nil
}

func (s *fakeStore) create(ctx context.Context, value []byte) (uint64, error) {
	return s.write(ctx, value, func() bool { return s.value == nil })
}

func (s *fakeStore) update(ctx context.Context, value []byte, rev uint64) (uint64, error) {
	return s.write(ctx, value, func() bool { return s.value != nil && s.rev == rev })
}

func (s *fakeStore) read(context.Context) ([]byte, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.value == nil {
		return nil, 0, nil
	}
	return s.value, s.rev, nil
}

func (s *fakeStore) remove(_ context.Context, rev uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rev != rev {
		return errConflict
	}
	s.value = nil
	s.rev++
	return nil
}

// kept is a keeper in a bubble and what it said.
type kept struct {
	k       *keeper
	store   *fakeStore
	held    []string
	sent    []time.Time // of the first write of each tenure and of each renewal
	lost    []error
	lostAt  []time.Time
	settled chan struct{}
}

func keep(t *testing.T, ttl time.Duration, change func(*kept)) (*kept, func()) {
	t.Helper()
	met, err := newMetrics(nil, "test", 1)
	if err != nil {
		t.Fatal(err)
	}
	kp := &kept{k: newKeeper(), store: &fakeStore{}, settled: make(chan struct{})}
	close(kp.settled)
	kp.k.store, kp.k.time, kp.k.log, kp.k.met = kp.store, timingOf(ttl), zap.NewNop(), met
	kp.k.value = func(nonce string, started time.Time) []byte {
		return encode(Lease{Worker: "w", Nonce: nonce, Started: started})
	}
	kp.k.held = func(nonce string, sent time.Time) {
		kp.held, kp.sent = append(kp.held, nonce), append(kp.sent, sent)
	}
	kp.k.renewed = func(sent time.Time) { kp.sent = append(kp.sent, sent) }
	kp.k.lost = func(why error) <-chan struct{} {
		kp.lost, kp.lostAt = append(kp.lost, why), append(kp.lostAt, time.Now())
		return kp.settled
	}
	if change != nil {
		change(kp)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); kp.k.run(ctx) }()
	return kp, func() { cancel(); <-done }
}

// pass lets time pass in a bubble, and everything happen that is due.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestRenewalRhythm(t *testing.T) {
	for ttl, want := range map[time.Duration]time.Duration{5 * time.Second: time.Second, 20 * time.Second: 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			kp, stop := keep(t, ttl, nil)
			pass(10 * ttl)
			stop()
			if len(kp.held) != 1 || len(kp.lost) != 1 || !errors.Is(kp.lost[0], ErrClosed) {
				t.Fatalf("held %d times, lost %v", len(kp.held), kp.lost)
			}
			for i := range kp.sent[1:] {
				if d := kp.sent[i+1].Sub(kp.sent[i]); d != want {
					t.Fatalf("renewed after %v, want %v", d, want)
				}
			}
		})
	}
}

// The fence counts from when the renewal was sent, not from when its answer came: the
// server's clock began somewhere between.
func TestSelfFenceAtThreeQuartersFromSendTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ttl = 20 * time.Second
		var cut time.Time
		kp, stop := keep(t, ttl, func(kp *kept) {
			cut = time.Now().Add(32 * time.Second)
			kp.store.before = func() (bool, error) {
				if time.Now().After(cut) {
					return false, errNetwork
				}
				time.Sleep(1500 * time.Millisecond) // a slow answer
				return true, nil
			}
		})
		pass(60 * time.Second)
		if len(kp.lost) != 1 || !errors.Is(kp.lost[0], ErrFenced) {
			t.Fatalf("lost %v", kp.lost)
		}
		if d := kp.lostAt[0].Sub(kp.sent[len(kp.sent)-1]); d != ttl/4*3 {
			t.Errorf("fenced %v after the last good renewal was sent, want %v", d, ttl/4*3)
		}
		if testutil.ToFloat64(kp.k.met.renewFailures) == 0 {
			t.Error("failures are not counted")
		}
		// When the network is back, it claims again under another nonce.
		kp.store.mu.Lock()
		kp.store.before = nil
		kp.store.mu.Unlock()
		pass(10 * time.Second)
		if len(kp.held) != 2 || kp.held[0] == kp.held[1] {
			t.Errorf("tenures %v", kp.held)
		}
		stop()
	})
}

// A renewal that was stored but not answered must not count as lost, and must not
// count as a renewal either.
func TestAmbiguousRenewalIsReadBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		kp, stop := keep(t, 20*time.Second, func(kp *kept) {
			kp.store.before = func() (bool, error) {
				if n++; n > 1 && n%3 == 0 {
					return true, errNetwork
				}
				return true, nil
			}
		})
		pass(5 * time.Minute)
		stop()
		if len(kp.held) != 1 || len(kp.lost) != 1 || !errors.Is(kp.lost[0], ErrClosed) {
			t.Errorf("held %d times, lost %v", len(kp.held), kp.lost)
		}
	})
}

func TestAmbiguousCreateIsReadBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		kp, stop := keep(t, 20*time.Second, func(kp *kept) {
			kp.store.before = func() (bool, error) {
				if n++; n == 1 {
					return true, errNetwork
				}
				return true, nil
			}
		})
		pass(time.Minute)
		stop()
		if len(kp.held) != 1 {
			t.Errorf("held %d times", len(kp.held))
		}
	})
}

func TestRevokedLeaseEndsTheTenure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kp, stop := keep(t, 20*time.Second, nil)
		pass(7 * time.Second)
		kp.store.mu.Lock()
		kp.store.value = nil
		kp.store.rev++
		kp.store.mu.Unlock()
		pass(10 * time.Second)
		stop()
		if !errors.Is(kp.lost[0], ErrRevoked) || len(kp.held) != 2 || kp.held[0] == kp.held[1] {
			t.Errorf("lost %v, tenures %v", kp.lost, kp.held)
		}
	})
}

// The next tenure begins only after the handler has stopped everything of the last.
func TestNewTenureWaitsForTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		settled := make(chan struct{})
		kp, stop := keep(t, 5*time.Second, func(kp *kept) { kp.settled = settled })
		pass(time.Second / 2)
		kp.store.mu.Lock()
		kp.store.value = nil
		kp.store.mu.Unlock()
		pass(time.Minute)
		if len(kp.lost) != 1 || len(kp.held) != 1 {
			t.Fatalf("lost %v, held %d times before the handler was done", kp.lost, len(kp.held))
		}
		close(settled)
		pass(time.Second)
		if len(kp.held) != 2 {
			t.Errorf("held %d times", len(kp.held))
		}
		stop()
	})
}

// An earlier process's lease is taken over only by who holds the lock.
func TestLeaseOfEarlierProcess(t *testing.T) {
	for _, lock := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			kp, stop := keep(t, 5*time.Second, func(kp *kept) {
				kp.k.steal = lock
				kp.store.value, kp.store.rev = encode(Lease{Worker: "w", Nonce: "earlier"}), 1
			})
			pass(time.Minute)
			if got := len(kp.held) == 1; got != lock {
				t.Errorf("lock %v: held %d times", lock, len(kp.held))
			}
			kp.store.mu.Lock()
			if !lock { // now it expires
				kp.store.value = nil
			}
			kp.store.mu.Unlock()
			pass(time.Second)
			if len(kp.held) != 1 {
				t.Errorf("lock %v: held %d times after expiry", lock, len(kp.held))
			}
			stop()
		})
	}
}
