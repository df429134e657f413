package lane

import (
	"time"
)

// Next returns the next head to try, or false when nothing can be tried now.
func (m *Machine) Next(now time.Time) (Work, bool) {
	m.expire(now)
	if m.inflight() >= m.cfg.GlobalLimit {
		return Work{}, false
	}
	m.turn = (m.turn + 1) % classes
	for again := true; again; {
		again = false
		for n := range classes {
			c := (m.turn + n) % classes
			if m.flying[c] >= m.limit(c) {
				continue
			}
			e, moved := m.dequeue(c, now)
			if e != nil {
				return m.start(e), true
			}
			again = again || moved
		}
	}
	return Work{}, false
}

// dequeue returns the next endpoint of the class that can run. moved says that
// one was put into the queue of another class, which is to be looked at again.
func (m *Machine) dequeue(c class, now time.Time) (next *endpoint, moved bool) {
	queue := &m.queues[c]
	for len(*queue) > 0 {
		e := (*queue)[0]
		(*queue)[0] = nil
		*queue = (*queue)[1:]
		e.queued = false
		if !m.runnable(e, now) {
			continue
		}
		if e.class == c {
			return e, moved
		}
		m.enqueue(e)
		moved = true
	}
	return nil, moved
}

func (m *Machine) inflight() int {
	n := 0
	for _, of := range m.flying {
		n += of
	}
	return n
}

func (m *Machine) limit(c class) int {
	switch c {
	case untested:
		return max(m.cfg.GlobalLimit/2, 1)
	case failing:
		return max(m.cfg.GlobalLimit/4, 1)
	default:
		return m.cfg.GlobalLimit
	}
}

func (m *Machine) start(e *endpoint) Work {
	l := e.ready[0]
	e.ready[0] = nil
	e.ready = e.ready[1:]
	l.state = running
	e.inflight++
	m.flying[e.class]++
	w := Work{Key: l.key, From: l.cursor, To: l.tail, Failed: l.failed, Resumed: l.resumed, lane: l}
	if len(l.items) > 0 {
		w.Item = l.items[0]
	}
	m.enqueue(e)
	return w
}

func (m *Machine) makeReady(l *lane) {
	l.state = ready
	l.endpoint.ready = append(l.endpoint.ready, l)
	m.enqueue(l.endpoint)
}

func (m *Machine) runnable(e *endpoint, now time.Time) bool {
	return e.state == Enabled && len(e.ready) > 0 && e.inflight < e.window && !e.until.After(now)
}

// enqueue puts an endpoint where Next finds it. Next looks again at whether it
// can run; a rest is ended by its timer.
func (m *Machine) enqueue(e *endpoint) {
	if e.queued || e.state != Enabled || len(e.ready) == 0 || e.inflight >= e.window {
		return
	}
	e.queued = true
	m.queues[e.class] = append(m.queues[e.class], e)
}
