package lease

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
)

// ReadBarrier gives fn the last message of every subject that the filters match, in the
// order of the stream, and returns when it has read up to the barrier: the sequence of an
// owner record that the caller has claimed. The filters must match that owner record and
// must not overlap one another. A replica that lags behind is waited for; this is what the
// barrier is for.
//
// Afterwards fn has seen the last message below the barrier of every subject, save for
// subjects that got a newer one during the reading, whose last message may be shown instead
// or not at all. A partition that the caller owns has no such subject, as long as it is written
// by its owner alone.
//
// With barrier 0 everything that is there when the reading begins is read; when there is
// nothing it returns at once.
//
// fn may be called again for a subject, with a later message, when the reading had to begin
// anew after a fault. It ends with fn's error, or with ctx's. Faults of the connection are
// repaired until ctx ends, so ctx should.
func ReadBarrier(ctx context.Context, conn *bus.Conn, stream string, filters []string, barrier uint64, fn func(jetstream.Msg) error) error {
	var refused error // fn's error
	r := &reading{conn: conn, stream: stream, filters: filters}
	r.begun = func(pending uint64) bool { return barrier == 0 && pending == 0 }
	r.message = func(m jetstream.Msg) (bool, error) {
		meta, err := m.Metadata()
		if err != nil {
			return false, err
		}
		if refused = fn(m); refused != nil {
			return true, refused
		}
		r.from = meta.Sequence.Stream + 1
		return barrier > 0 && meta.Sequence.Stream >= barrier || barrier == 0 && meta.NumPending == 0, nil
	}
	for {
		err := r.run(ctx)
		if err == nil || refused != nil {
			return refused
		}
		if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrOverlappingFilterSubjects) {
			return err
		}
		if !pause(ctx, 100*time.Millisecond) {
			return ctx.Err()
		}
	}
}
