// Package lane decides which delivery is tried next. It is a pure machine: it
// does no I/O, starts nothing and is given the time.
//
// A lane is what one endpoint is owed of one instance, and is strictly serial:
// its head is tried until it is taken, dropped or given up, and nothing behind
// it moves before. Lanes of one endpoint share a window of concurrent attempts,
// all lanes share the machine's limit.
//
// An endpoint whose attempts fail must not take slots from others. Its window
// shrinks to one at a failure and doubles at each success; endpoints without a
// success since their last failure share half of the slots; after five failures
// in a row that are the endpoint's own fault it rests, and then one head is
// tried at a time.
//
// Memory stays bounded whatever is owed: a lane holds at most Config.Buffer
// payloads, all lanes Config.BufferBytes, and a lane that waits for a retry none.
// What is not held is in the stream, and is fetched from there by the lane's
// cursor. The machine is told of every message by the feed, and a lane is fetched
// no further than the feed has come, so that no message is ever seen twice.
package lane

import (
	"container/heap"
	"time"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/retry"
)

// Key names a lane.
type Key struct {
	Endpoint string
	Instance instance.ID
}

// Item is one message of the stream DELIVERIES.
type Item struct {
	// Seq is its number in the stream.
	Seq    uint64
	Stored time.Time
	Trace  string
	Owed   *pb.OwedDelivery
}

// Size is what the item costs in memory, about.
func (i *Item) Size() int { return 200 + len(i.Owed.GetBody()) }

// EndpointState is what the machine has to know of an endpoint.
type EndpointState int

// The states of an endpoint.
const (
	// Unknown: its record was not seen; its lanes wait.
	Unknown EndpointState = iota
	// Enabled: its lanes run.
	Enabled
	// Disabled: its lanes wait, and what it is owed stays.
	Disabled
)

// Config of a machine; all but Random are required.
type Config struct {
	// EndpointLimit is the most attempts in flight to one endpoint.
	EndpointLimit int
	// GlobalLimit is the most attempts in flight.
	GlobalLimit int
	// Buffer is the most payloads that one lane holds.
	Buffer int
	// BufferBytes is the most that all lanes together hold.
	BufferBytes int
	// RestAfter is how many failures in a row, the endpoint's fault, make it rest.
	RestAfter int
	// Rest is how long it rests at first; the pause doubles up to MaxRest.
	Rest, MaxRest time.Duration
	// Random spreads pauses; retry.Random when nil.
	Random func() float64
}

// DefaultConfig is what production uses.
func DefaultConfig() Config {
	return Config{EndpointLimit: 8, GlobalLimit: 256, Buffer: 16, BufferBytes: 32 << 20,
		RestAfter: 5, Rest: 5 * time.Second, MaxRest: 5 * time.Minute}
}

// Work is the head of a lane, to be tried. Every Work ends with one call of Finished.
type Work struct {
	Key Key
	// Item is the head, or nil: then it is the first message of the lane's subject
	// with a number from From to To.
	Item *Item
	From uint64
	To   uint64
	// Failed is how often the head has failed under this ownership.
	Failed int
	// Resumed says that an earlier owner may have tried the head.
	Resumed bool

	lane *lane
}

// Result is how a Work ended.
type Result int

// The results of a Work.
const (
	// Done: the head is not owed any more: delivered.
	Done Result = iota
	// Skipped: the head is not owed any more: dropped or given up. It says nothing of the endpoint.
	Skipped
	// Empty: there was no message from From to To.
	Empty
	// Failed: the attempt failed.
	Failed
	// Trouble: our own side failed; the attempt does not count.
	Trouble
)

// Outcome is what Finished is told.
type Outcome struct {
	Result Result
	// Seq of the head; 0 for Empty, and for Trouble before it was known.
	Seq uint64
	// Failures of the head so far, this one included; for Failed.
	Failures int
	// Pause of the lane; for Failed and Trouble.
	Pause time.Duration
	// EndpointFault and EndpointPause: see policy.Verdict. They count with Skipped too.
	EndpointFault bool
	EndpointPause time.Duration
}

type laneState int

const (
	ready laneState = iota
	running
	parked
)

type lane struct {
	key      Key
	endpoint *endpoint
	state    laneState
	// items are the first messages of the lane; overflow says that the stream has
	// more, from cursor to tail, that are not held.
	items    []*Item
	overflow bool
	cursor   uint64
	tail     uint64
	failed   int
	resumed  bool
	until    time.Time
}

type endpoint struct {
	id       string
	state    EndpointState
	lanes    map[instance.ID]*lane
	ready    []*lane
	inflight int
	window   int
	// proven: there was a success since the last failure.
	proven bool
	faults int
	until  time.Time
	queued bool
}

// Machine is the state of all lanes of a dispatcher. It is not safe for concurrent use.
type Machine struct {
	cfg       Config
	endpoints map[string]*endpoint
	proven    []*endpoint
	unproven  []*endpoint
	turn      bool
	inflight  int
	probing   int
	bytes     int
	parked    int
	lanes     int
	timers    timers
}

// New makes a machine.
func New(cfg Config) *Machine {
	if cfg.Random == nil {
		cfg.Random = retry.Random
	}
	return &Machine{cfg: cfg, endpoints: map[string]*endpoint{}}
}

// Arrived tells of a message that the feed brought. Messages of one lane arrive
// in the order of their numbers. resumed says that an earlier owner may have
// tried it.
func (m *Machine) Arrived(key Key, item *Item, resumed bool) {
	e := m.endpoints[key.Endpoint]
	if e == nil {
		e = &endpoint{id: key.Endpoint, lanes: map[instance.ID]*lane{}, window: 1}
		m.endpoints[key.Endpoint] = e
	}
	l := e.lanes[key.Instance]
	if l == nil {
		l = &lane{key: key, endpoint: e, cursor: item.Seq, resumed: resumed}
		e.lanes[key.Instance] = l
		m.lanes++
		m.makeReady(l)
	}
	if item.Seq <= l.tail {
		return
	}
	l.tail = item.Seq
	size := item.Size()
	if l.overflow || l.state == parked || len(l.items) >= m.cfg.Buffer || m.bytes+size > m.cfg.BufferBytes {
		l.overflow = true
		return
	}
	l.items = append(l.items, item)
	m.bytes += size
}

// SetEndpoint tells what became of an endpoint's record. It makes no difference
// for an endpoint that nothing is owed.
func (m *Machine) SetEndpoint(id string, s EndpointState) {
	e := m.endpoints[id]
	if e == nil || e.state == s {
		return
	}
	e.state = s
	if s == Enabled {
		e.faults, e.until = 0, time.Time{}
	}
	m.enqueue(e)
}

// EndpointState returns what SetEndpoint said last; ok is false for an endpoint
// that nothing is owed.
func (m *Machine) EndpointState(id string) (s EndpointState, ok bool) {
	e := m.endpoints[id]
	if e == nil {
		return Unknown, false
	}
	return e.state, true
}

// Forget lets go of an endpoint with all its lanes: it was deleted, or its
// partition is lost. Works in flight are still to be finished.
func (m *Machine) Forget(id string) {
	e := m.endpoints[id]
	if e == nil {
		return
	}
	delete(m.endpoints, id)
	for _, l := range e.lanes {
		m.release(l)
	}
	clear(e.lanes)
	e.ready = nil
}

// ForgetPartition is Forget for every endpoint of the partition.
func (m *Machine) ForgetPartition(p instance.Partition) {
	for id := range m.endpoints {
		if instance.PartitionOf(id) == p {
			m.Forget(id)
		}
	}
}

// Next returns the next head to try, or false when nothing can be tried now.
func (m *Machine) Next(now time.Time) (Work, bool) {
	m.expire(now)
	if m.inflight >= m.cfg.GlobalLimit {
		return Work{}, false
	}
	m.turn = !m.turn
	order := [2]*[]*endpoint{&m.proven, &m.unproven}
	if m.turn {
		order[0], order[1] = order[1], order[0]
	}
	moved := false
	for _, queue := range order {
		if queue == &m.unproven && m.probing >= max(m.cfg.GlobalLimit/2, 1) {
			continue
		}
		for len(*queue) > 0 {
			e := (*queue)[0]
			(*queue)[0] = nil
			*queue = (*queue)[1:]
			e.queued = false
			if !m.runnable(e, now) {
				continue
			}
			if e.proven != (queue == &m.proven) {
				m.enqueue(e)
				moved = true
				continue
			}
			return m.start(e), true
		}
	}
	if moved {
		return m.Next(now)
	}
	return Work{}, false
}

func (m *Machine) start(e *endpoint) Work {
	l := e.ready[0]
	e.ready[0] = nil
	e.ready = e.ready[1:]
	l.state = running
	m.inflight++
	e.inflight++
	if !e.proven {
		m.probing++
	}
	w := Work{Key: l.key, From: l.cursor, To: l.tail, Failed: l.failed, Resumed: l.resumed, lane: l}
	if len(l.items) > 0 {
		w.Item = l.items[0]
	}
	m.enqueue(e)
	return w
}

// Finished tells how a Work ended.
func (m *Machine) Finished(now time.Time, w Work, o Outcome) {
	l, e := w.lane, w.lane.endpoint
	m.inflight--
	e.inflight--
	if !e.proven {
		m.probing--
	}
	m.judge(now, e, o)
	if e.lanes[l.key.Instance] == l {
		m.advance(now, l, w, o)
	}
	m.enqueue(e)
	if len(e.lanes) == 0 && e.inflight == 0 && !e.until.After(now) && m.endpoints[e.id] == e {
		delete(m.endpoints, e.id)
	}
}

// judge draws conclusions about the endpoint. While works are in flight the
// count of unproven ones must follow a change of proven.
func (m *Machine) judge(now time.Time, e *endpoint, o Outcome) {
	was := e.proven
	switch {
	case o.EndpointFault:
		e.faults++
		e.window, e.proven = 1, false
		if over := e.faults - m.cfg.RestAfter; over >= 0 {
			rest := min(m.cfg.Rest<<min(over, 20), m.cfg.MaxRest)
			m.rest(e, now.Add(retry.Jitter(rest, m.cfg.Random())))
		}
	case o.Result == Done:
		e.faults = 0
		e.window, e.proven = min(e.window*2, m.cfg.EndpointLimit), true
	case o.Result == Failed:
		// It answers, so it is alive.
		e.faults = 0
	}
	if o.EndpointPause > 0 {
		m.rest(e, now.Add(o.EndpointPause))
	}
	if was && !e.proven {
		m.probing += e.inflight
	} else if !was && e.proven {
		m.probing -= e.inflight
	}
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
	if e.proven {
		m.proven = append(m.proven, e)
	} else {
		m.unproven = append(m.unproven, e)
	}
}

// Stats are counts for metrics.
type Stats struct {
	// Endpoints that are owed something, and of them those that rest and those that are disabled.
	Endpoints, Resting, DisabledEndpoints int
	// Lanes that are owed something, and of them those that wait for a retry.
	Lanes, Parked int
	// InFlight are attempts, BufferedBytes payloads held.
	InFlight, BufferedBytes int
}

// Stats counts.
func (m *Machine) Stats(now time.Time) Stats {
	s := Stats{Endpoints: len(m.endpoints), Lanes: m.lanes, Parked: m.parked, InFlight: m.inflight, BufferedBytes: m.bytes}
	for _, e := range m.endpoints {
		if e.until.After(now) {
			s.Resting++
		}
		if e.state == Disabled {
			s.DisabledEndpoints++
		}
	}
	return s
}
