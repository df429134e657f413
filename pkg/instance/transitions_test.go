package instance_test

import (
	"testing"
	"time"

	"pairgate.dev/pkg/instance"
)

// TestTransitionTable states every allowed change of phase; all others are refused.
func TestTransitionTable(t *testing.T) {
	const (
		idle, connecting, pairing      = instance.Idle, instance.Connecting, instance.Pairing
		password, passkey, syncing     = instance.PasswordRequired, instance.PasskeyRequired, instance.Syncing
		online, offline, suspended     = instance.Online, instance.Offline, instance.Suspended
		blocked, outdated, deletedHere = instance.Blocked, instance.Outdated, instance.Deleted
	)
	// Rows are where from, columns where to, in the order of instance.Phases.
	allowed := map[instance.Phase]string{
		//           i c p w k s o f u b v d
		idle:        "x x - - - - - - - - - x",
		connecting:  "x x x x x x - x - x x x",
		pairing:     "x x - x x x - x - x x x",
		password:    "x x - x x x - x - x x x",
		passkey:     "x x - x x x - x - x x x",
		syncing:     "x x - x x - x x x x x x",
		online:      "x - - - - - - x x x x x",
		offline:     "x - - - - - x x x x x x",
		suspended:   "x - - - - - x x x x x x",
		blocked:     "x x - - - - x x x x x x",
		outdated:    "x x - - - - x x x x x x",
		deletedHere: "- - - - - - - - - - - -",
	}
	for _, from := range instance.Phases() {
		row := allowed[from]
		for i, to := range instance.Phases() {
			if want := row[2*i] == 'x'; instance.Allowed(from, to) != want {
				t.Errorf("%s -> %s: allowed %v, want %v", from, to, !want, want)
			}
		}
	}
	if instance.Allowed("nothing", idle) || instance.Allowed(idle, "nothing") {
		t.Error("an unknown phase is allowed")
	}
}

func TestOnlyAUserLeaves(t *testing.T) {
	later := time.Now().Add(time.Hour)
	for _, phase := range instance.Phases() {
		for _, reason := range instance.Reasons() {
			want := phase == instance.Idle || phase == instance.Blocked ||
				phase == instance.Offline && (reason == instance.ReasonReplaced || reason == instance.ReasonKeysMissing)
			if got := instance.OnlyUserLeaves(instance.Status{Phase: phase, Reason: reason}); got != want {
				t.Errorf("%s/%s: %v, want %v", phase, reason, got, want)
			}
		}
	}
	if instance.OnlyUserLeaves(instance.Status{Phase: instance.Blocked, Until: later}) {
		t.Error("a block that ends by itself is left by itself")
	}
}

func TestWordsAreClosedLists(t *testing.T) {
	for _, p := range instance.Phases() {
		if !p.Valid() {
			t.Errorf("phase %s", p)
		}
	}
	for _, r := range instance.Reasons() {
		if !r.Valid() {
			t.Errorf("reason %s", r)
		}
	}
	for _, r := range instance.CloseReasons() {
		if !r.Valid() {
			t.Errorf("close reason %s", r)
		}
	}
	for _, c := range instance.Codes() {
		if s := c.HTTPStatus(); s < 400 || s > 599 {
			t.Errorf("code %s has status %d", c, s)
		}
	}
	for _, bad := range []bool{instance.Phase("x").Valid(), instance.Reason("x").Valid(), instance.Kind("x").Valid(),
		instance.Method("x").Valid(), instance.Provider("x").Valid()} {
		if bad {
			t.Error("an unknown word is valid")
		}
	}
}

// The partition of an id is stored in subjects: it must never change.
func TestPartitionIsFixedForEver(t *testing.T) {
	for id, want := range map[instance.ID]string{
		"0190a6c1-0000-7000-8000-000000000001": "184",
		"0190a6c1-0000-7000-8000-000000000002": "113",
		"ffffffff-ffff-7fff-bfff-ffffffffffff": "152",
	} {
		if got := id.Partition().String(); got != want {
			t.Errorf("partition of %s is %s, want %s", id, got, want)
		}
	}
}
