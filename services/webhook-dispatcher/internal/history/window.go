package history

import (
	"cmp"
	"slices"
)

// window holds the newest entries older than an event, and no more than twice its
// size, whatever it is given. Of events later than its floor it holds everything.
type window struct {
	size int
	// before is the first event that is too new; 0 for none.
	before  uint64
	floor   uint64
	entries []entry
}

func (w *window) add(e entry) {
	if w.before > 0 && e.event >= w.before || e.event <= w.floor {
		return
	}
	w.entries = append(w.entries, e)
	if len(w.entries) < 2*w.size {
		return
	}
	slices.SortFunc(w.entries, newestFirst)
	w.floor = w.entries[w.size].event
	w.entries = slices.DeleteFunc(w.entries, func(e entry) bool { return e.event <= w.floor })
}

func newestFirst(a, b entry) int {
	return cmp.Or(cmp.Compare(b.event, a.event), cmp.Compare(a.id, b.id))
}
