package native

import (
	"fmt"
	"strings"
	"testing"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
)

func TestKeptStatusesAreNeverStale(t *testing.T) {
	var s statuses
	snap := bus.Snapshot{ID: "a", Known: true, StatusSequence: 7, Status: instance.Status{Phase: instance.Pairing}}
	want := func(incarnation, word string) {
		t.Helper()
		body, err := s.encode(snap, incarnation)
		if err != nil || !strings.Contains(string(body), word) {
			t.Fatalf("%s (%v), want %s", body, err, word)
		}
	}
	want("one", `"pairing"`)
	snap.StatusSequence, snap.Status.Phase = 8, instance.Online
	want("one", `"online"`)
	snap.Status.Phase = instance.Offline // the same number in another stream is another message
	want("two", `"offline"`)
	snap.Passkey = &instance.Passkey{Confirmation: "A-B"}
	want("two", "A-B")
	snap.Passkey = nil
	body, err := s.encode(snap, "two")
	if err != nil || strings.Contains(string(body), "A-B") {
		t.Fatalf("%s (%v)", body, err)
	}
	for i := range 2 * keptStatuses {
		snap.ID = instance.ID(fmt.Sprint(i))
		want("two", `"offline"`)
	}
	if len(s.kept) > keptStatuses {
		t.Errorf("%d are kept", len(s.kept))
	}
}
