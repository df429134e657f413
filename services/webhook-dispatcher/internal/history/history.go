// Package history tells what became of deliveries: those still owed, in DELIVERIES;
// those tried, in ATTEMPTS; those given up, in DEADLETTERS.
//
// Nothing of it is kept in memory. A list reads the headers of everything that the
// streams hold of one endpoint, in bounded memory, and the bodies of what it shows.
package history

import (
	"context"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/services/webhook-dispatcher/internal/journal"
	"pairgate.dev/services/webhook-dispatcher/internal/owed"
)

// Reader reads the three streams; it is safe for concurrent use.
type Reader struct {
	js                         jetstream.JetStream
	deliveries, attempts, dead jetstream.Stream
}

// New makes a reader. The error is the server's.
func New(ctx context.Context, conn *bus.Conn) (*Reader, error) {
	r := &Reader{js: conn.JetStream()}
	var err error
	for _, s := range []struct {
		name   string
		stream *jetstream.Stream
	}{{bus.StreamDeliveries, &r.deliveries}, {bus.StreamAttempts, &r.attempts}, {bus.StreamDeadLetters, &r.dead}} {
		if *s.stream, err = r.js.Stream(ctx, s.name); err != nil {
			return nil, fmt.Errorf("history: stream %s: %w", s.name, err)
		}
	}
	return r, nil
}

// entry is what the headers of a message say.
type entry struct {
	id     string
	series uint64
	// event is the number of the event in EVENTS, at that of the message in its stream.
	event, at uint64
	state     string
}

// OwedIDs returns the ids of the deliveries that an endpoint is owed now.
func (r *Reader) OwedIDs(ctx context.Context, endpoint string) (map[string]struct{}, error) {
	ids := map[string]struct{}{}
	err := r.owed(ctx, []string{bus.LanesOfEndpoint(endpoint)}, func(e entry) { ids[e.id] = struct{}{} })
	return ids, err
}

// owed reads DELIVERIES.
func (r *Reader) owed(ctx context.Context, filters []string, each func(entry)) error {
	return Scan(ctx, r.js, bus.StreamDeliveries, headersOf(filters, jetstream.DeliverAllPolicy), func(m jetstream.Msg, meta *jetstream.MsgMetadata) bool {
		id, series, ok := owed.ParseMessageID(m.Headers().Get(nats.MsgIdHdr))
		event, err := strconv.ParseUint(m.Headers().Get(owed.HeaderSequence), 10, 64)
		if ok && err == nil {
			each(entry{id: id, series: series, event: event, at: meta.Sequence.Stream, state: journal.Pending})
		}
		return true
	})
}

// recorded reads ATTEMPTS, the last record of each delivery, or DEADLETTERS.
func (r *Reader) recorded(ctx context.Context, stream string, filters []string, each func(entry)) error {
	policy := jetstream.DeliverAllPolicy
	if stream == bus.StreamAttempts {
		policy = jetstream.DeliverLastPerSubjectPolicy
	}
	return Scan(ctx, r.js, stream, headersOf(filters, policy), func(m jetstream.Msg, meta *jetstream.MsgMetadata) bool {
		h := m.Headers()
		event, bad := strconv.ParseUint(h.Get(owed.HeaderSequence), 10, 64)
		series, worse := strconv.ParseUint(h.Get(journal.HeaderSeries), 10, 64)
		if id := h.Get(journal.HeaderDelivery); id != "" && bad == nil && worse == nil {
			each(entry{id: id, series: series, event: event, at: meta.Sequence.Stream, state: h.Get(journal.HeaderState)})
		}
		return true
	})
}

func headersOf(filters []string, policy jetstream.DeliverPolicy) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{FilterSubjects: filters, DeliverPolicy: policy, HeadersOnly: true}
}
