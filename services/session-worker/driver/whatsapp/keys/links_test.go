package keys_test

import (
	"fmt"
	"sync"
	"testing"

	"pairgate.dev/pkg/instance"
)

func TestKeysSurviveARestartTogetherWithTheIDOfTheirDatabase(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		if s.ID() == "" {
			t.Fatal("the database has no id")
		}
		wantDevice(t, s, one, nil)
		linked := link(t, s, one, device(1))
		wantDevice(t, s, one, linked)
		wantDevice(t, s, other, nil)
		shut(t, s)

		again := open(t, dsn)
		if again.ID() != s.ID() {
			t.Errorf("the id was %s and is %s", s.ID(), again.ID())
		}
		wantDevice(t, again, one, linked)
		wantOrphans(t, again)
	})
}

func TestTwoDatabasesHaveTwoIDs(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		onBoth(t, func(t *testing.T, second string) {
			if open(t, dsn).ID() == open(t, second).ID() {
				t.Error("two databases have one id")
			}
		})
	})
}

func TestACrashBetweenNoteAndKeysLeavesTheOldKeysInForce(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		old := link(t, s, one, device(1))
		note(t, s, one, device(2))
		shut(t, s) // What follows a note never happened.

		s = open(t, dsn)
		wantDevice(t, s, one, old)
		wantOrphans(t, s)
	})
}

func TestANewLinkingMakesAnOrphanOfTheDeviceBefore(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		old := link(t, s, one, device(1))
		linked := link(t, s, one, device(2))
		wantDevice(t, s, one, linked)
		wantOrphans(t, s, old)
		if err := s.Drop(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		wantOrphans(t, s)
		wantDevice(t, s, one, linked)
	})
}

func TestADeviceWithoutANoteIsAnOrphan(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		linked := link(t, s, one, device(1))
		lone := put(t, s, device(2))
		wantOrphans(t, s, lone)
		wantDevice(t, s, one, linked)
	})
}

func TestANumberThatIsGivenAgainGetsTheNewKeys(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		link(t, s, one, device(1))
		// The messenger gives the number of a removed device to another instance's.
		linked := link(t, s, other, device(1))
		wantDevice(t, s, one, nil)
		wantDevice(t, s, other, linked)
		wantOrphans(t, s)
	})
}

func TestDropSparesKeysOfANewLinkingUnderTheSameNumber(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		lone := put(t, s, device(1))
		wantOrphans(t, s, lone)
		linked := link(t, s, one, device(1))
		if err := s.Drop(t.Context(), lone); err != nil {
			t.Fatal(err)
		}
		wantDevice(t, s, one, linked)

		// Nor may it delete the note of a linking that is under way.
		lone = put(t, s, device(2))
		note(t, s, other, device(2))
		if err := s.Drop(t.Context(), lone); err != nil {
			t.Fatal(err)
		}
		wantDevice(t, s, other, put(t, s, device(2)))
	})
}

func TestForgetDeletesTheKeysAndLeavesOldDevicesToBeUnlinked(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		old := link(t, s, one, device(1))
		link(t, s, one, device(2))
		kept := link(t, s, other, device(3))
		for range 2 { // The second time there is nothing to forget.
			if err := s.Forget(t.Context(), one); err != nil {
				t.Fatal(err)
			}
			wantDevice(t, s, one, nil)
			wantOrphans(t, s, old)
		}
		wantDevice(t, s, other, kept)
	})
}

func TestManySessionsWriteAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		var linking sync.WaitGroup
		id := func(n int) instance.ID { return instance.ID(fmt.Sprintf("0198a5b2-0000-7000-8000-%012d", n)) }
		for n := range 64 {
			linking.Go(func() {
				d := link(t, s, id(n), device(uint16(n+1)))
				if _, err := d.PreKeys.GetOrGenPreKeys(t.Context(), 10); err != nil {
					t.Errorf("device %d: %v", n+1, err)
				}
			})
		}
		linking.Wait()
		for n := range 64 {
			if _, ok, err := s.Account(t.Context(), id(n)); err != nil || !ok {
				t.Errorf("device %d: %v, %v", n+1, ok, err)
			}
		}
	})
}
