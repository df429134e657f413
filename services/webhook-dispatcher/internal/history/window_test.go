package history

import (
	"slices"
	"testing"
)

func TestAWindowHoldsTheNewestAndKnowsWhereItEnds(t *testing.T) {
	for name, order := range map[string]func(n int) uint64{
		"rising":  func(n int) uint64 { return uint64(n) + 1 },
		"falling": func(n int) uint64 { return uint64(100 - n) },
		"mixed":   func(n int) uint64 { return uint64(n*37%100) + 1 },
	} {
		w := window{size: 10, before: 91}
		for n := range 100 {
			w.add(entry{event: order(n)})
			if len(w.entries) >= 20 {
				t.Fatalf("%s: %d entries", name, len(w.entries))
			}
		}
		var got []uint64
		for _, e := range w.entries {
			got = append(got, e.event)
		}
		slices.Sort(got)
		var want []uint64
		for event := w.floor + 1; event < 91; event++ {
			want = append(want, event)
		}
		if !slices.Equal(got, want) || len(want) < 10 {
			t.Errorf("%s: above %d: %v", name, w.floor, got)
		}
	}
}
