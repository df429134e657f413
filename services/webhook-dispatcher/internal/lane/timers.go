package lane

import (
	"container/heap"
	"time"
)

// timer ends the wait of a lane or the rest of an endpoint. One that was
// overtaken by a later one, or whose lane was let go, is passed over.
type timer struct {
	at       time.Time
	lane     *lane
	endpoint *endpoint
}

type timers []timer

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].at.Before(t[j].at) }
func (t timers) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *timers) Push(x any)        { *t = append(*t, x.(timer)) }
func (t *timers) Pop() any {
	old := *t
	last := old[len(old)-1]
	old[len(old)-1] = timer{}
	*t = old[:len(old)-1]
	return last
}

// Wake returns when Next is to be called again although nothing else happened.
func (m *Machine) Wake() (time.Time, bool) {
	if len(m.timers) == 0 {
		return time.Time{}, false
	}
	return m.timers[0].at, true
}

func (m *Machine) expire(now time.Time) {
	for len(m.timers) > 0 && !m.timers[0].at.After(now) {
		t, _ := heap.Pop(&m.timers).(timer)
		if l := t.lane; l != nil {
			if l.state == parked && l.until.Equal(t.at) && l.endpoint.lanes[l.key.Instance] == l {
				m.parked--
				m.makeReady(l)
			}
			continue
		}
		if e := t.endpoint; e.until.Equal(t.at) {
			m.enqueue(e)
		}
	}
}
