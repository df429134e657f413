package lease

import (
	"fmt"
	"math"
	"testing"
)

func members(n int) []Lease {
	var m []Lease
	for i := range n {
		m = append(m, Lease{Worker: fmt.Sprintf("worker-%d", i)})
	}
	return m
}

func shares(m []Lease) map[string][]string {
	got := map[string][]string{}
	for p := range 256 {
		subject := fmt.Sprintf("pairgate.v1.owners.%03d", p)
		w := wished(m, subject)
		got[w] = append(got[w], subject)
	}
	return got
}

func TestRendezvousIsBalanced(t *testing.T) {
	for _, n := range []int{2, 3, 5, 10} {
		for w, s := range shares(members(n)) {
			mean := 256 / float64(n)
			if d := math.Abs(float64(len(s)) - mean); d > 4*math.Sqrt(mean) {
				t.Errorf("%d workers: %s has %d", n, w, len(s))
			}
		}
	}
}

func TestRendezvousFollowsCapacity(t *testing.T) {
	m := members(2)
	m[0].Capacity, m[1].Capacity = 3, 1
	if got := len(shares(m)[m[0].Worker]); got < 170 || got > 215 {
		t.Errorf("three quarters of 256 is %d", got)
	}
}

// Whoever comes or goes moves only what it gains or loses.
func TestRendezvousIsStable(t *testing.T) {
	before, after := shares(members(4)), shares(members(5))
	for w, subjects := range after {
		if w == "worker-4" {
			continue
		}
		had := map[string]bool{}
		for _, s := range before[w] {
			had[s] = true
		}
		for _, s := range subjects {
			if !had[s] {
				t.Fatalf("%s moved to %s, which was there before", s, w)
			}
		}
	}
}

func TestRendezvousWithoutWorkers(t *testing.T) {
	if w := wished(nil, "x"); w != "" {
		t.Errorf("wished %q", w)
	}
}

// All processes of all versions must agree, or two of them hand a partition to and fro.
func TestRendezvousNeverChanges(t *testing.T) {
	got := ""
	for p := range 12 {
		w := wished(members(3), fmt.Sprintf("pairgate.v1.owners.%03d", p))
		got += w[len(w)-1:]
	}
	if want := "111020111102"; got != want {
		t.Errorf("owners %s, were %s", got, want)
	}
}
