package keys_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/session-worker/driver/whatsapp/keys"
)

func hold(t *testing.T, s *keys.Store, id instance.ID) (release func(), lost <-chan struct{}) {
	t.Helper()
	release, lost, err := s.Hold(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return release, lost
}

func wantHeld(t *testing.T, s *keys.Store, id instance.ID) {
	t.Helper()
	if _, _, err := s.Hold(t.Context(), id); !errors.Is(err, keys.ErrHeld) {
		t.Fatalf("hold: %v, want ErrHeld", err)
	}
}

func wantLost(t *testing.T, lost <-chan struct{}) {
	t.Helper()
	bustest.CheckFor(t, 10*time.Second, func() error {
		select {
		case <-lost:
			return nil
		default:
			return errors.New("the hold is not lost")
		}
	})
}

func wantKept(t *testing.T, lost <-chan struct{}) {
	t.Helper()
	select {
	case <-lost:
		t.Fatal("the hold is lost")
	default:
	}
}

func TestOneSessionAtATimeHoldsTheKeysOfAnInstance(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		bustest.CheckGoroutines(t)
		s := open(t, dsn)
		defer shut(t, s)
		release, lost := hold(t, s, one)
		wantHeld(t, s, one)
		releaseOther, _ := hold(t, s, other)
		release()
		release()
		again, _ := hold(t, s, one)
		release() // It is not the new holder's.
		wantHeld(t, s, one)
		again()
		releaseOther()
		wantKept(t, lost)
	})
}

func TestTwoWorkersDoNotHoldTheSameKeys(t *testing.T) {
	bustest.CheckGoroutines(t)
	dsn := cluster.Database(t)
	first, second := open(t, dsn), open(t, dsn)
	defer shut(t, first)
	defer shut(t, second)
	release, _ := hold(t, first, one)
	wantHeld(t, second, one)
	release()
	hold(t, second, one)
	wantHeld(t, first, one)
}

// A lock for each instance would fill the server's table of locks.
func TestHoldsOfOnePartitionAreOneLockFromTheFirstToTheLast(t *testing.T) {
	dsn := cluster.Database(t)
	first, second := open(t, dsn), open(t, dsn)
	neighbour := other
	for n := 0; neighbour.Partition() != one.Partition(); n++ {
		neighbour = instance.ID(fmt.Sprintf("0198a5b2-0000-7000-8000-%012d", 100+n))
	}
	release, _ := hold(t, first, one)
	releaseNeighbour, _ := hold(t, first, neighbour)
	release()
	wantHeld(t, second, one)
	releaseNeighbour()
	hold(t, second, one)
}

func TestAClosedStoreHoldsNothing(t *testing.T) {
	dsn := cluster.Database(t)
	first, second := open(t, dsn), open(t, dsn)
	_, lost := hold(t, first, one)
	shut(t, first)
	wantLost(t, lost)
	if _, _, err := first.Hold(t.Context(), one); !errors.Is(err, keys.ErrClosed) {
		t.Errorf("hold of a closed store: %v, want ErrClosed", err)
	}
	hold(t, second, one)
}

func TestACutConnectionLosesEveryHoldAndTheNextOneConnectsAnew(t *testing.T) {
	dsn := cluster.Database(t)
	first, second := open(t, dsn), open(t, dsn)
	release, lost := hold(t, first, one)
	_, lostOther := hold(t, first, other)
	cutHolds(t, dsn)
	wantLost(t, lost)
	wantLost(t, lostOther)
	_, lostSecond := hold(t, second, one)
	release() // It is not the second's.
	wantHeld(t, first, one)
	wantHeld(t, second, one)
	_, back := hold(t, first, other)
	wantKept(t, back)
	wantKept(t, lostSecond)
}

func TestASilentServerLosesTheHolds(t *testing.T) {
	line := newLine(t, cluster.Addr(), false)
	dsn := cluster.Database(t)
	s := open(t, line.through(t, dsn)+"&connect_timeout=1")
	_, lost := hold(t, s, one)
	line.hang()
	wantLost(t, lost)
	if _, _, err := s.Hold(t.Context(), one); !errors.Is(err, keys.ErrUnreachable) {
		t.Errorf("hold: %v, want ErrUnreachable", err)
	}
}
