package history

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// Scope is where a delivery is looked for.
type Scope struct {
	// Any is every endpoint; otherwise it is Endpoints.
	Any       bool
	Endpoints []string
}

func (s Scope) filters(all string, of func(string) string) []string {
	if s.Any {
		return []string{all}
	}
	filters := make([]string, len(s.Endpoints))
	for i, e := range s.Endpoints {
		filters[i] = of(e)
	}
	return filters
}

// Found is a delivery that was found.
type Found struct {
	// Record is the last that is known of it.
	Record *pb.Delivery
	// Pending says that it is owed now.
	Pending bool
	// Series is the number of the next series, if it is to be owed again.
	Series uint64
}

// Find looks for a delivery by its id; ok is false when nothing in the scope is
// known of it. What was never tried or not for long is looked for in all headers of
// the scope. The error is the server's, or ctx's.
func (r *Reader) Find(ctx context.Context, id string, in Scope) (found Found, ok bool, err error) {
	if parsed, err := uuid.Parse(id); err != nil || parsed.String() != id || !in.Any && len(in.Endpoints) == 0 {
		return Found{}, false, nil
	}
	record, at, err := r.lastAttempt(ctx, "*", id)
	if err != nil {
		return Found{}, false, err
	}
	if record != nil {
		if !in.Any && !slices.Contains(in.Endpoints, record.GetWebhookId()) {
			return Found{}, false, nil
		}
		found = Found{Record: record, Series: at + 1}
		lane := bus.LaneSubject(record.GetWebhookId(), instance.ID(record.GetInstanceId()))
		err := r.owed(ctx, []string{lane}, func(e entry) { found.Pending = found.Pending || e.id == id })
		return found, true, err
	}
	var owedAt, deadAt uint64
	if err := r.owed(ctx, in.filters(bus.AllDeliveries, bus.LanesOfEndpoint), among(id, &owedAt)); err != nil {
		return Found{}, false, err
	}
	if owedAt > 0 {
		found.Record, err = r.owedAt(ctx, owedAt)
		found.Pending = true
		return found, found.Record != nil, err
	}
	if err := r.recorded(ctx, bus.StreamDeadLetters, in.filters(bus.AllDeadLetters, bus.DeadLettersOf), among(id, &deadAt)); err != nil || deadAt == 0 {
		return Found{}, false, err
	}
	if found.Record, err = r.deadAt(ctx, deadAt); err != nil || found.Record == nil {
		return Found{}, false, err
	}
	found.Series, err = r.NextSeries(ctx)
	return found, true, err
}

// among notes where the delivery stands last.
func among(id string, at *uint64) func(entry) {
	return func(e entry) {
		if e.id == id {
			*at = e.at
		}
	}
}

// NextSeries returns a number greater than that of every series that was tried. Until
// the next attempt of anything it is the same, so that a request that is repeated at
// once is recognised.
func (r *Reader) NextSeries(ctx context.Context) (uint64, error) {
	info, err := r.attempts.Info(ctx)
	if err != nil {
		return 0, err
	}
	return info.State.LastSeq + 1, nil
}

// Buried returns where the dead letters that match stand, by the id of the delivery.
func (r *Reader) Buried(ctx context.Context, filter string) (map[string][]uint64, error) {
	at := map[string][]uint64{}
	err := r.recorded(ctx, bus.StreamDeadLetters, []string{filter}, func(e entry) { at[e.id] = append(at[e.id], e.at) })
	return at, err
}

// Unbury removes dead letters whose delivery is owed again. One that cannot be
// removed is listed again once the attempts that came after it are forgotten.
func (r *Reader) Unbury(ctx context.Context, at []uint64) error {
	for _, seq := range at {
		if err := r.dead.DeleteMsg(ctx, seq); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return err
		}
	}
	return nil
}
