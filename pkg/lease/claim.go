package lease

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
)

// claimer claims and releases owner records.
type claimer struct {
	conn    *bus.Conn
	view    *view
	timeout time.Duration
	met     *metrics
	// never and rollup: what the stream's settings make necessary or allow.
	never, rollup bool
}

// errTaken: the owner record is not at the sequence expected, and not ours.
var errTaken = errors.New("the owner record has changed")

// replace stores the record where the last sequence of the partition's subject is
// p.Epoch (0: there is none), and returns its sequence. An attempt whose answer was lost is read back from
// the leader; the record is recognised by worker, nonce and what it says.
// It tries until ctx ends.
func (c *claimer) replace(ctx context.Context, p Partition, rec Owner) (uint64, error) {
	subject := c.view.group.subject(p.Number)
	for n := 0; ; n++ {
		m := nats.NewMsg(subject)
		m.Data = encode(rec)
		// No Nats-Msg-Id: with an expectation on its own subject, a repeated write is refused
		// before it could be recognised as a duplicate.
		m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(p.Epoch, 10))
		if c.never {
			m.Header.Set(jetstream.MsgTTLHeader, "never") // or the age limit of the stream would remove it
		}
		if c.rollup {
			m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
		}
		ack, err := publish(ctx, c.conn, m, c.timeout)
		if err == nil {
			c.view.owner(p.Number, rec, ack.Sequence)
			return ack.Sequence, nil
		}
		if bus.IsStale(err) {
			switch now, rerr := c.reread(ctx, p.Number); {
			case rerr != nil:
				err = rerr
			case now.sequence > p.Epoch && now.Worker == rec.Worker && now.Nonce == rec.Nonce && now.Released == rec.Released:
				return now.sequence, nil
			default:
				return 0, errTaken
			}
		} else if !isRetryable(err) {
			return 0, err
		}
		c.met.retries.Inc()
		if !pause(ctx, retryPause(n, err)) {
			return 0, errors.Join(ctx.Err(), err)
		}
	}
}

func (c *claimer) reread(ctx context.Context, p instance.Partition) (seenOwner, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return c.view.reread(ctx, p)
}
