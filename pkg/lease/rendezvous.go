package lease

import (
	"hash/fnv"
	"math"
	"slices"
	"strings"
)

// score is the rendezvous weight of a worker for a subject: the worker with the
// highest score should own it. The scores of one worker do not depend on who else is
// there, so a worker that comes or goes moves only what it gains or loses.
//
// The weighted form -w/ln(u) gives each worker a share in proportion to its weight.
func score(worker, subject string, weight int) float64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(worker))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(subject))
	// FNV alone is too regular for inputs that differ in their last digits.
	u := (float64(mix(h.Sum64())>>11) + 0.5) / (1 << 53)
	return float64(max(weight, 1)) / -math.Log(u)
}

// mix is the finalizer of MurmurHash3: every bit of x changes half of the result.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return x
}

// wished returns the worker that should own the subject, "" without any.
func wished(members []Lease, subject string) string {
	best, most := "", 0.0
	for _, l := range members {
		s := score(l.Worker, subject, l.Capacity)
		if best == "" || s > most || s == most && l.Worker < best {
			best, most = l.Worker, s
		}
	}
	return best
}

// ranked returns at most n workers with the highest scores for the subject, the
// capacity left aside.
func ranked(workers []string, subject string, n int) []string {
	sorted := slices.Clone(workers)
	slices.SortFunc(sorted, func(a, b string) int {
		sa, sb := score(a, subject, 1), score(b, subject, 1)
		switch {
		case sa > sb:
			return -1
		case sa < sb:
			return 1
		default:
			return strings.Compare(a, b)
		}
	})
	return sorted[:min(n, len(sorted))]
}
