package renderer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/service"
)

const (
	// ackWait is how long a member may be silent about a code before another one
	// gets it: long against drawing and storing (some milliseconds), short against
	// the life of a code (20 seconds and more).
	ackWait = 10 * time.Second

	// maxAckPending bounds what all members together have taken and not settled.
	maxAckPending = 1024

	// inHand is how many codes a member works on for each processor: most of them
	// wait for it or for the server's answer. As many again wait in the subscription.
	// All of them are done long before ackWait even where drawing takes 50 ms.
	inHand = 16

	// stallAfter is when a subscription without codes is made anew. It costs one
	// request, and a pull that the server has forgotten would wait for ever.
	stallAfter = 30 * time.Second

	// takeoverTime bounds how long what was delivered is taken over from a
	// subscription that ends.
	takeoverTime = 2 * time.Second
)

// consumerConfig is the durable consumer that all members share. Sharing breaks
// the order of delivery, which the condition on each picture makes harmless.
func consumerConfig() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:       bus.DurableRenderer,
		Description:   "Codes that need a picture",
		FilterSubject: bus.EventsOfKind(instance.KindCode),
		// A renderer that is new here draws the codes of now, not those of the past.
		DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxAckPending: maxAckPending,
		// A code that could not be settled comes back until it has expired.
		MaxDeliver: -1,
	}
}

// worker takes codes and settles them.
type worker struct {
	bus       *bus.Conn
	log       *zap.Logger
	health    *service.Health
	events    publisher
	instances *bus.InstanceView
	metrics   *metrics
	slots     chan struct{} // one for each picture that is drawn at a time
	seen      newest
	backlog   backlog
}

func newWorker(cfg Config, deps Deps, m *metrics) *worker {
	return &worker{
		bus: deps.Bus, log: deps.Log, health: deps.Health, events: deps.Bus.JetStream(), instances: deps.Views.Instances, metrics: m,
		slots:   make(chan struct{}, cfg.workers()),
		seen:    newest{sequence: map[string]uint64{}},
		backlog: backlog{gauge: m.pending},
	}
}

// inHand is how many codes the member has in hand at a time.
func (w *worker) inHand() int { return inHand * cap(w.slots) }

// run takes codes until ctx ends, and returns when those it has taken are settled
// or, after work has ended too, given back.
func (w *worker) run(ctx, work context.Context) {
	codes := make(chan jetstream.Msg)
	var hands sync.WaitGroup
	for range w.inHand() {
		hands.Go(func() {
			for msg := range codes {
				w.settle(work, msg)
			}
		})
	}
	w.take(ctx, codes)
	close(codes)
	hands.Wait()
}

// take hands over codes until ctx ends, subscribing again after every failure.
func (w *worker) take(ctx context.Context, codes chan<- jetstream.Msg) {
	const shortest, longest = 100 * time.Millisecond, 5 * time.Second
	delay := shortest
	for ctx.Err() == nil {
		started := time.Now()
		err := w.subscribe(ctx, codes)
		if err == nil || ctx.Err() != nil {
			continue
		}
		w.log.Warn("codes are not delivered, subscribing again", zap.Error(err))
		w.health.Set(service.Followers, errors.New("codes are not delivered"))
		if time.Since(started) > longest {
			delay = shortest
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		delay = min(2*delay, longest)
	}
}

// subscribe makes the consumer if it is missing, and hands over what it delivers
// until ctx ends or nothing comes for a while (nil), or an error ends it.
func (w *worker) subscribe(ctx context.Context, codes chan<- jetstream.Msg) error {
	consumer, err := w.bus.JetStream().CreateOrUpdateConsumer(ctx, bus.StreamEvents, consumerConfig())
	if err != nil {
		return fmt.Errorf("consumer %s: %w", bus.DurableRenderer, err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(w.inHand()))
	if err != nil {
		return fmt.Errorf("consumer %s: %w", bus.DurableRenderer, err)
	}
	w.health.Set(service.Followers, nil)
	err = w.receive(ctx, messages, stallAfter, codes)
	// What the server has delivered already is ours to settle.
	messages.Drain()
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeoverTime)
	defer cancel()
	rest := w.receive(after, messages, takeoverTime, codes)
	messages.Stop()
	if err == nil {
		err = rest
	}
	return err
}

// receive hands over codes until ctx ends, the subscription is closed, or no code
// has come for the time of patience; all three are nil.
func (w *worker) receive(ctx context.Context, messages jetstream.MessagesContext, patience time.Duration, codes chan<- jetstream.Msg) error {
	for {
		turn, cancel := context.WithTimeout(ctx, patience)
		msg, err := messages.Next(jetstream.NextContext(turn))
		cancel()
		switch {
		case err == nil:
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
			return nil
		case errors.Is(err, jetstream.ErrMsgIteratorClosed) && !errors.Is(err, jetstream.ErrConnectionClosed):
			return nil
		default:
			return err
		}
		if meta, err := msg.Metadata(); err == nil {
			w.seen.note(msg.Subject(), meta.Sequence.Stream)
			w.backlog.taken(meta.NumPending)
		} else {
			w.backlog.taken(0)
		}
		codes <- msg
	}
}
