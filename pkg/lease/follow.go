package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
)

// errGap: messages were lost between server and client.
var errGap = errors.New("messages were lost on the way")

// followHeartbeat is how often an idle consumer shows that it lives. A consumer dies
// with its server; two missing beats, and another one is made.
const followHeartbeat = time.Second

// reading is one reading of a stream in order.
type reading struct {
	conn    *bus.Conn
	stream  string
	filters []string
	// from is the sequence to begin at; 0 begins with the last message of each subject.
	from uint64
	// begun is told how many messages were there when the reading began; true ends it.
	begun func(pending uint64) (done bool)
	// message returns true to end the reading.
	message func(jetstream.Msg) (done bool, err error)
}

// run reads until message is done, ctx ends, or the consumer fails; then the
// reading may be run again.
func (r *reading) run(ctx context.Context) error {
	cfg := jetstream.ConsumerConfig{
		Name:              "lease-" + uuid.NewString(),
		DeliverPolicy:     jetstream.DeliverLastPerSubjectPolicy,
		AckPolicy:         jetstream.AckNonePolicy,
		InactiveThreshold: 30 * time.Second,
		Replicas:          1,
		MemoryStorage:     true,
		FilterSubjects:    r.filters,
	}
	if len(r.filters) == 1 {
		cfg.FilterSubject, cfg.FilterSubjects = r.filters[0], nil
	}
	if r.from > 0 {
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, r.from
	}
	js := r.conn.JetStream()
	cctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cons, err := js.CreateConsumer(cctx, r.stream, cfg)
	if err != nil {
		return fmt.Errorf("reading %s: %w", r.stream, err)
	}
	defer func() {
		// Left alone it would go by its inactivity.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if r.conn.Connected() {
			_ = js.DeleteConsumer(ctx, r.stream, cfg.Name)
		}
	}()
	if r.begun(cons.CachedInfo().NumPending) {
		return nil
	}
	msgs, err := cons.Messages(jetstream.PullMaxMessages(2000), jetstream.PullHeartbeat(followHeartbeat), jetstream.PullExpiry(30*time.Second))
	if err != nil {
		return fmt.Errorf("reading %s: %w", r.stream, err)
	}
	defer msgs.Stop()
	for received := uint64(1); ; received++ {
		m, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("reading %s: %w", r.stream, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("reading %s: %w", r.stream, err)
		}
		if meta.Sequence.Consumer != received {
			return fmt.Errorf("reading %s: %w", r.stream, errGap)
		}
		done, err := r.message(m)
		if done || err != nil {
			return err
		}
	}
}
