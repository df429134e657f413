package bus

import (
	"slices"
	"sort"
	"time"

	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

type ringLimits struct {
	age   time.Duration
	bytes int
}

// eventRing is a queue of events, the oldest of which are let go of.
type eventRing struct {
	// events are all there were after floor, in the order of their sequences.
	events []ringEvent
	size   int
	floor  uint64
	// head is the last sequence that is known to have been seen.
	head uint64
	// anew says that what came before belongs to another stream.
	anew bool
}

type ringEvent struct {
	event *pb.Event
	size  int
	at    time.Time
}

func (r *eventRing) append(ev *pb.Event, at time.Time) {
	if n := len(r.events); n > 0 && ev.GetSequence() <= r.events[n-1].event.GetSequence() {
		return
	}
	e := ringEvent{event: ev, size: proto.Size(ev), at: at}
	r.events = append(r.events, e)
	r.size += e.size
	r.head = max(r.head, ev.GetSequence())
}

// prepend puts what came before in front, unless something between is lost already.
func (r *eventRing) prepend(past eventRing) {
	if r.anew || r.floor > past.head {
		return
	}
	r.events = slices.Concat(past.events, r.events)
	r.size += past.size
	r.floor = past.floor
}

func (r *eventRing) evict(limits ringLimits, now time.Time) {
	n := 0
	for n < len(r.events) && (now.Sub(r.events[n].at) > limits.age || r.size > limits.bytes) {
		r.size -= r.events[n].size
		r.floor = max(r.floor, r.events[n].event.GetSequence())
		r.events[n] = ringEvent{}
		n++
	}
	r.events = r.events[n:]
	if len(r.events) == 0 {
		r.events = nil // and with it the array behind
	}
}

// since returns the events after the sequence, of one instance or, for the
// empty id, of all; ok is false when there may be others.
func (r *eventRing) since(sequence uint64, id instance.ID) (events []*pb.Event, ok bool) {
	if sequence < r.floor {
		return nil, false
	}
	from := sort.Search(len(r.events), func(i int) bool { return r.events[i].event.GetSequence() > sequence })
	for _, e := range r.events[from:] {
		if id == "" || e.event.GetInstance().GetId() == string(id) {
			events = append(events, e.event)
		}
	}
	return events, true
}
