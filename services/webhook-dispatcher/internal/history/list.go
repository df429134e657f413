package history

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/journal"
	"pairgate.dev/services/webhook-dispatcher/internal/owed"
)

// windowSize is how many deliveries of each stream are looked at for one page; it
// bounds the memory of a list to a few megabytes.
const windowSize = 20_000

// maxPageBytes ends a page before it outgrows a message of NATS, 1 MiB: receivers'
// answers are up to 4 KiB each, several times that in JSON.
const maxPageBytes = 512 << 10

// Query says what a list shows.
type Query struct {
	Endpoint string
	// State is one of journal.States; empty for all.
	State string
	// Before shows only events earlier in the stream than this one; 0 for all.
	Before uint64
	// Size is the most deliveries, at least 1.
	Size int
}

// List returns deliveries, those of the newest events first. next is the Before of
// the next page, 0 after the last; a page may be shorter than Size before that. The
// error is the server's, or ctx's.
func (r *Reader) List(ctx context.Context, q Query) (page []*pb.Delivery, next uint64, err error) {
	all, floor, err := r.merge(ctx, q)
	if err != nil {
		return nil, 0, err
	}
	if floor > 0 {
		next = floor + 1
	}
	if len(all) > q.Size {
		all = all[:q.Size]
		next = all[q.Size-1].event
	}
	bytes := 0
	for i, e := range all {
		d, err := r.load(ctx, q.Endpoint, e)
		if err != nil {
			return nil, 0, err
		}
		// It may have gone or changed since.
		if d == nil || q.State != "" && d.GetState() != q.State {
			continue
		}
		body, err := bus.EncodeJSON(d)
		if err != nil {
			return nil, 0, err
		}
		if bytes += len(body); bytes > maxPageBytes && len(page) > 0 {
			return page, all[i-1].event, nil
		}
		page = append(page, d)
	}
	return page, next, nil
}

// merged is a delivery, and where it is found.
type merged struct {
	entry
	// owedAt is its number in DELIVERIES, deadAt in DEADLETTERS; tried says that it is in ATTEMPTS.
	owedAt, deadAt uint64
	tried          bool
}

// merge returns the deliveries of the query later than floor, newest first.
func (r *Reader) merge(ctx context.Context, q Query) (all []merged, floor uint64, err error) {
	newest := func() *window { return &window{size: windowSize, before: q.Before} }
	pending, tried, dead := newest(), newest(), newest()
	// In this order: what moves on meanwhile moves to a stream that is read later.
	if err := r.owed(ctx, []string{bus.LanesOfEndpoint(q.Endpoint)}, pending.add); err != nil {
		return nil, 0, err
	}
	if q.State != journal.Pending {
		if err := r.recorded(ctx, bus.StreamDeadLetters, []string{bus.DeadLettersOf(q.Endpoint)}, dead.add); err != nil {
			return nil, 0, err
		}
	}
	if err := r.recorded(ctx, bus.StreamAttempts, []string{bus.AttemptsOf(q.Endpoint)}, tried.add); err != nil {
		return nil, 0, err
	}
	floor = max(pending.floor, tried.floor, dead.floor)
	byID := map[string]*merged{}
	for _, e := range dead.entries {
		byID[e.id] = &merged{entry: e, deadAt: e.at}
	}
	for _, e := range tried.entries {
		byID[e.id] = &merged{entry: e, tried: true}
	}
	for _, e := range pending.entries {
		m := byID[e.id]
		if m == nil {
			m = &merged{entry: e}
			byID[e.id] = m
		}
		if m.tried && m.series == e.series && m.state != journal.Pending {
			continue // done; the message is about to be deleted
		}
		m.entry, m.owedAt = e, e.at
	}
	for _, m := range byID {
		if m.event > floor && (q.State == "" || m.state == q.State) {
			all = append(all, *m)
		}
	}
	slices.SortFunc(all, func(a, b merged) int { return newestFirst(a.entry, b.entry) })
	return all, floor, nil
}

// load reads what is shown of a delivery; nil when nothing is left of it.
func (r *Reader) load(ctx context.Context, endpoint string, m merged) (*pb.Delivery, error) {
	var record *pb.Delivery
	var err error
	if m.tried {
		if record, _, err = r.lastAttempt(ctx, endpoint, m.id); err != nil {
			return nil, err
		}
	}
	switch {
	case m.owedAt > 0 && (record == nil || record.GetSeries() != m.series):
		o, err := r.owedAt(ctx, m.owedAt)
		if o != nil || err != nil {
			return o, err
		}
	case m.deadAt > 0 && record == nil:
		return r.deadAt(ctx, m.deadAt)
	}
	return record, nil
}

// lastAttempt returns the last record of a delivery in the log of attempts and its
// number there; nil when there is none. The endpoint may be "*".
func (r *Reader) lastAttempt(ctx context.Context, endpoint, id string) (*pb.Delivery, uint64, error) {
	m, err := r.attempts.GetLastMsgForSubject(ctx, bus.AttemptSubject(endpoint, id))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("history: %w", err)
	}
	d, err := journal.Decode(m.Data)
	return d, m.Sequence, err
}

func (r *Reader) deadAt(ctx context.Context, at uint64) (*pb.Delivery, error) {
	m, err := r.dead.GetMsg(ctx, at)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	return journal.Decode(m.Data)
}

func (r *Reader) owedAt(ctx context.Context, at uint64) (*pb.Delivery, error) {
	m, err := r.deliveries.GetMsg(ctx, at)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	o, err := owed.Decode(m.Subject, m.Data)
	if err != nil {
		return nil, nil // it is buried when its turn comes
	}
	return Owed(o), nil
}

// Owed is what is shown of a delivery that was not tried yet.
func Owed(o *pb.OwedDelivery) *pb.Delivery {
	return &pb.Delivery{Id: o.GetId(), WebhookId: o.GetWebhookId(), InstanceId: o.GetInstanceId(), EventId: o.GetEventId(),
		Kind: o.GetKind(), Sequence: o.GetSequence(), State: journal.Pending, Series: o.GetSeries()}
}
