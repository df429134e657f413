package again

import (
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/history"
	"pairgate.dev/services/webhook-dispatcher/internal/owed"
)

// ReplayLimit is the most deliveries that one replay makes owed.
const ReplayLimit = 10_000

const (
	// replayTime is how long a replay goes on; replayReserve is what it keeps of its
	// deadline to say how far it came.
	replayTime    = 20 * time.Second
	replayReserve = 2 * time.Second
	// replayLanes is how many deliveries are stored at a time, each of another lane.
	replayLanes = 16
)

// Replay is what is to be owed again.
type Replay struct {
	Hook *pb.Webhook
	// Since is the time of storage of the first event, Until that of the first that is
	// left out; zero for all there are.
	Since, Until time.Time
	// Kinds of events; none for those of the webhook.
	Kinds []string
	// Limit is the most deliveries; ReplayLimit at most.
	Limit int
}

// Replay makes deliveries owed again, in the order of the stream for each lane. It
// passes over what is owed now or has expired, and leaves what the router has not come
// to yet to the router. When it stops at its limit or runs out of time, the answer says
// where to go on.
//
// The error is a problem: CodeConflict when the webhook is disabled, CodeUnavailable
// when DELIVERIES is full; or the server's. Some of the deliveries may be owed then;
// repeating the replay passes over those.
func (a *Again) Replay(ctx context.Context, q Replay) (*pb.ReplayReply, error) {
	if !q.Hook.GetEnabled() {
		return nil, errDisabled
	}
	r, err := a.replay(ctx, q)
	if err != nil {
		return nil, err
	}
	err = history.Scan(ctx, a.o.Conn.JetStream(), bus.StreamEvents, q.consumer(), r.next)
	if err := errors.Join(r.end(), err); err != nil {
		return nil, err
	}
	reply := &pb.ReplayReply{Deliveries: r.stored.Load(), Skipped: r.skipped.Load(), Limit: uint64(q.Limit)}
	if !r.goOn.IsZero() {
		reply.ContinueSince = timestamppb.New(r.goOn)
	}
	return reply, nil
}

// consumer finds the events of a replay.
func (q Replay) consumer() jetstream.ConsumerConfig {
	kinds := q.Kinds
	if len(kinds) == 0 {
		kinds = q.Hook.GetEvents()
	}
	kinds = slices.Compact(slices.Sorted(slices.Values(kinds)))
	id := instance.ID(q.Hook.GetInstanceId())
	var filters []string
	for _, k := range kinds {
		if id == "" {
			filters = append(filters, bus.EventsOfKind(instance.Kind(k)))
		} else {
			filters = append(filters, bus.EventSubject(id, instance.Kind(k)))
		}
	}
	switch {
	case len(filters) > 0:
	case id == "":
		filters = []string{bus.AllEvents}
	default:
		filters = []string{bus.EventsOf(id)}
	}
	return jetstream.ConsumerConfig{FilterSubjects: filters, DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &q.Since}
}

// replaying is one replay. Events are read by one goroutine and stored by several;
// those of one lane by the same one, so that they stay in order.
type replaying struct {
	*Again
	q      Replay
	at     bus.RolePosition
	series uint64
	owed   map[string]struct{}
	buried map[string][]uint64
	stopAt time.Time
	// begun counts what was handed to a lane, goOn is the first event that was not.
	begun int
	goOn  time.Time

	ctx             context.Context
	cancel          context.CancelCauseFunc
	lanes           [replayLanes]chan replayed
	workers         sync.WaitGroup
	stored, skipped atomic.Uint64
}

type replayed struct {
	owed  *pb.OwedDelivery
	trace string
}

func (a *Again) replay(ctx context.Context, q Replay) (*replaying, error) {
	r := &replaying{Again: a, q: q, stopAt: time.Now().Add(replayTime)}
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-replayReserve).Before(r.stopAt) {
		r.stopAt = deadline.Add(-replayReserve)
	}
	var err error
	if r.at, err = bus.ReadRolePosition(ctx, a.o.Conn, bus.RoleRouter); err != nil {
		return nil, err
	}
	if r.series, err = a.o.History.NextSeries(ctx); err != nil {
		return nil, err
	}
	if r.owed, err = a.o.History.OwedIDs(ctx, q.Hook.GetId()); err != nil {
		return nil, err
	}
	if r.buried, err = a.o.History.Buried(ctx, bus.DeadLettersOf(q.Hook.GetId())); err != nil {
		return nil, err
	}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	for i := range r.lanes {
		r.lanes[i] = make(chan replayed)
		r.workers.Go(func() { r.store(r.lanes[i]) })
	}
	return r, nil
}

// next hands one event to its lane; it returns false when the replay is over.
func (r *replaying) next(m jetstream.Msg, meta *jetstream.MsgMetadata) bool {
	if meta.Sequence.Stream > r.at.Sequence || !r.q.Until.IsZero() && !meta.Timestamp.Before(r.q.Until) {
		return false
	}
	if r.begun >= r.q.Limit || time.Now().After(r.stopAt) {
		r.goOn = meta.Timestamp
		return false
	}
	ev, err := bus.DecodeEventMsg(m)
	if err != nil {
		r.skipped.Add(1) // the router could not read it either
		return true
	}
	ev.Incarnation = r.at.Incarnation
	all, skip, err := r.render(r.ctx, r.q.Hook, ev, r.series)
	if err != nil {
		r.cancel(err)
		return false
	}
	if skip != nil {
		r.skipped.Add(1)
		return true
	}
	if r.begun > 0 && r.begun+len(all) > r.q.Limit {
		r.goOn = meta.Timestamp
		return false
	}
	for _, o := range all {
		if _, still := r.owed[o.GetId()]; still {
			r.skipped.Add(1)
			continue
		}
		r.begun++
		lane := fnv.New32a()
		_, _ = lane.Write([]byte(o.GetInstanceId()))
		select {
		case r.lanes[lane.Sum32()%replayLanes] <- replayed{o, m.Headers().Get(owed.HeaderTrace)}:
		case <-r.ctx.Done():
			return false
		}
	}
	return true
}

// store makes what it is given owed, one after another. After a failure nothing more
// is stored, lest a later event overtake an earlier one.
func (r *replaying) store(lane <-chan replayed) {
	for d := range lane {
		if r.ctx.Err() != nil {
			continue
		}
		duplicate, err := r.publish(r.ctx, d.owed, d.trace)
		switch {
		case err != nil:
			r.cancel(err)
		case duplicate:
			r.skipped.Add(1)
		default:
			r.stored.Add(1)
			r.unbury(r.ctx, r.buried[d.owed.GetId()])
		}
	}
}

// end waits until everything is stored, and returns what went wrong first.
func (r *replaying) end() error {
	for _, lane := range r.lanes {
		close(lane)
	}
	r.workers.Wait()
	err := context.Cause(r.ctx)
	r.cancel(nil)
	return err
}
