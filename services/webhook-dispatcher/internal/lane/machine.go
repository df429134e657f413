// Package lane decides which delivery is tried next. It is a pure machine: it
// does no I/O, starts nothing and is given the time.
//
// A lane is what one endpoint is owed of one instance, and is strictly serial:
// its head is tried until it is taken, dropped or given up, and nothing behind
// it moves before. Lanes of one endpoint share a window of concurrent attempts,
// all lanes share the machine's limit.
//
// An endpoint whose attempts fail must not take slots from others. Its window
// shrinks to one at a failure and doubles at each success. Endpoints that fail
// share a quarter of the slots, those that nothing is known of yet half, so that
// those that are known to work always find some. After five failures in a row
// that are the endpoint's own fault it rests, and then one head is tried at a time.
//
// Memory stays bounded whatever is owed: a lane holds at most Config.Buffer
// payloads, all lanes Config.BufferBytes, and a lane that waits for a retry none.
// What is not held is in the stream, and is fetched from there by the lane's
// cursor. The machine is told of every message by the feed, and a lane is fetched
// no further than the feed has come, so that no message is ever seen twice.
package lane

import (
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
	// GlobalLimit is the most attempts in flight, at least 4.
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
	// MaxRest, when it is not 0, is the longest that the endpoint rests because of this.
	MaxRest time.Duration
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

// class is what is known of an endpoint.
type class int

const (
	// proven: there was a success since the last fault.
	proven class = iota
	// untested: there was neither.
	untested
	// failing: its last attempt failed by its own fault.
	failing
	classes
)

// endpoint is kept while its partition is owned and its record exists, also when
// it is owed nothing: what is known of it is what protects the others.
type endpoint struct {
	id       string
	state    EndpointState
	lanes    map[instance.ID]*lane
	ready    []*lane
	inflight int
	window   int
	class    class
	faults   int
	until    time.Time
	queued   bool
}

// Machine is the state of all lanes of a dispatcher. It is not safe for concurrent use.
type Machine struct {
	cfg       Config
	endpoints map[string]*endpoint
	// queues hold the endpoints that can run, by class; turn is whose turn it is.
	queues [classes][]*endpoint
	turn   class
	flying [classes]int
	bytes  int
	parked int
	lanes  int
	timers timers
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
		e = &endpoint{id: key.Endpoint, lanes: map[instance.ID]*lane{}, window: 1, class: untested}
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
// for an endpoint that was never owed anything.
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

// Changed tells that somebody has changed an endpoint, or enabled it again: what its
// lanes wait for may be over, so they are tried now instead of hours later.
func (m *Machine) Changed(id string) {
	e := m.endpoints[id]
	if e == nil {
		return
	}
	e.faults, e.until = 0, time.Time{}
	for _, l := range e.lanes {
		if l.state == parked {
			m.parked--
			m.makeReady(l)
		}
	}
	m.enqueue(e)
}

// EndpointState returns what SetEndpoint said last; ok is false for an endpoint
// that was never owed anything.
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
