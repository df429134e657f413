package lease

import (
	"context"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
)

// publish sends one message once and waits for the answer of the stream.
func publish(ctx context.Context, conn *bus.Conn, m *nats.Msg, timeout time.Duration) (*jetstream.PubAck, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// The library repeats on "no responders" by itself; we do it, with the rest.
	return conn.JetStream().PublishMsg(ctx, m, jetstream.WithRetryAttempts(0))
}

// expect makes a message conditional on the last sequence of a subject, which must
// be literal: with a wildcard a replicated server lets stale writes in.
func expect(m *nats.Msg, subject string, sequence uint64) {
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(sequence, 10))
	m.Header.Set(jetstream.ExpectedLastSubjSeqSubjHeader, subject)
}

// retryPause is the pause before attempt n (from 0) of a write. A write in flight is
// over in less than a millisecond; an election takes seconds.
func retryPause(n int, err error) time.Duration {
	first, most := 20*time.Millisecond, 500*time.Millisecond
	if bus.IsWriteInFlight(err) || bus.IsDuplicateInFlight(err) {
		first, most = time.Millisecond, 50*time.Millisecond
	}
	d := min(first<<min(n, 10), most)
	return d + rand.N(d/2+1)
}
