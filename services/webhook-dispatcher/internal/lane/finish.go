package lane

import (
	"container/heap"
	"time"

	"pairgate.dev/services/webhook-dispatcher/internal/retry"
)

// Finished tells how a Work ended.
func (m *Machine) Finished(now time.Time, w Work, o Outcome) {
	l, e := w.lane, w.lane.endpoint
	e.inflight--
	m.flying[e.class]--
	m.judge(now, e, o)
	if e.lanes[l.key.Instance] == l {
		m.advance(now, l, w, o)
	}
	m.enqueue(e)
}

// judge draws conclusions about the endpoint.
func (m *Machine) judge(now time.Time, e *endpoint, o Outcome) {
	switch {
	case o.EndpointFault:
		e.faults++
		e.window = 1
		m.reclass(e, failing)
		if over := e.faults - m.cfg.RestAfter; over >= 0 {
			rest := min(m.cfg.Rest<<min(over, 20), m.cfg.MaxRest)
			rest = retry.Jitter(rest, m.cfg.Random())
			if o.MaxRest > 0 {
				rest = min(rest, o.MaxRest)
			}
			m.rest(e, now.Add(rest))
		}
	case o.Result == Done:
		e.faults = 0
		e.window = min(e.window*2, m.cfg.EndpointLimit)
		m.reclass(e, proven)
	case o.Result == Failed && e.class == failing:
		// It answers, so it is alive.
		e.faults = 0
		m.reclass(e, untested)
	}
	if o.EndpointPause > 0 {
		m.rest(e, now.Add(o.EndpointPause))
	}
}

// reclass moves what the endpoint has in flight along with it.
func (m *Machine) reclass(e *endpoint, c class) {
	m.flying[e.class] -= e.inflight
	m.flying[c] += e.inflight
	e.class = c
}

func (m *Machine) rest(e *endpoint, until time.Time) {
	if until.After(e.until) {
		e.until = until
		heap.Push(&m.timers, timer{at: until, endpoint: e})
	}
}

func (m *Machine) advance(now time.Time, l *lane, w Work, o Outcome) {
	switch o.Result {
	case Done, Skipped:
		m.dropHead(l, w)
		l.failed, l.resumed = 0, false
		l.cursor = max(l.cursor, o.Seq+1)
	case Empty:
		l.failed, l.resumed = 0, false
		l.cursor = max(l.cursor, w.To+1)
	case Failed:
		l.failed = o.Failures
		l.resumed = false
		m.park(l, now.Add(o.Pause))
		return
	case Trouble:
		m.park(l, now.Add(o.Pause))
		return
	}
	if len(l.items) == 0 && l.cursor > l.tail {
		m.remove(l)
		return
	}
	m.makeReady(l)
}

// park lets go of the payloads: a lane may wait for hours.
func (m *Machine) park(l *lane, until time.Time) {
	if len(l.items) > 0 {
		l.cursor = l.items[0].Seq
		l.overflow = true
		m.dropItems(l)
	}
	l.state, l.until = parked, until
	m.parked++
	heap.Push(&m.timers, timer{at: until, lane: l})
}

func (m *Machine) dropHead(l *lane, w Work) {
	if w.Item == nil || len(l.items) == 0 {
		return
	}
	m.bytes -= l.items[0].Size()
	l.items[0] = nil
	l.items = l.items[1:]
	if len(l.items) == 0 {
		l.items = nil
	}
}

func (m *Machine) dropItems(l *lane) {
	for _, i := range l.items {
		m.bytes -= i.Size()
	}
	l.items = nil
}

func (m *Machine) remove(l *lane) {
	delete(l.endpoint.lanes, l.key.Instance)
	m.release(l)
}

func (m *Machine) release(l *lane) {
	m.dropItems(l)
	m.lanes--
	if l.state == parked {
		m.parked--
	}
}
