package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
)

// Ack is the stream's answer to a write.
type Ack struct {
	// Sequence is that of the message in the stream.
	Sequence uint64
	// Duplicate says that an earlier write with the same Nats-Msg-Id was stored, at Sequence.
	Duplicate bool
}

// Writer writes to the stream for one partition under one epoch. Its methods may be
// called from several goroutines.
type Writer struct {
	conn      *bus.Conn
	log       *zap.Logger
	met       *metrics
	partition Partition
	subject   string
	timeout   time.Duration
	// refused is called when the server says that the epoch is over.
	refused func()

	// turn holds a token while nobody writes. A replicated server refuses a second write on
	// a fence while one is in flight, so there is one at a time. Waiting is first come, first served.
	turn   chan struct{}
	ctx    context.Context
	cancel context.CancelCauseFunc
}

func newWriter(conn *bus.Conn, log *zap.Logger, met *metrics, p Partition, subject string, timeout time.Duration, refused func()) *Writer {
	w := &Writer{conn: conn, log: log, met: met, partition: p, subject: subject, timeout: timeout, refused: refused,
		turn: make(chan struct{}, 1)}
	w.ctx, w.cancel = context.WithCancelCause(context.Background())
	w.turn <- struct{}{}
	return w
}

// Partition returns the number of the partition.
func (w *Writer) Partition() instance.Partition { return w.partition.Number }

// Epoch returns the epoch under which the Writer writes.
func (w *Writer) Epoch() uint64 { return w.partition.Epoch }

// Done is closed when the partition is lost and writes are refused.
func (w *Writer) Done() <-chan struct{} { return w.ctx.Done() }

// Publish is PublishAck for callers that do not care about duplicates.
func (w *Writer) Publish(ctx context.Context, m *nats.Msg) (sequence uint64, err error) {
	ack, err := w.PublishAck(ctx, m)
	return ack.Sequence, err
}

// PublishAck stores the message in the stream if the partition is still owned under the
// Writer's epoch, and returns when the stream has it. The message must have a Nats-Msg-Id,
// unique in the stream; it is not changed. Its subject must be one of the stream's, and it
// must not carry expectations of its own on sequences.
//
// Messages are stored in the order in which the calls began. A write whose outcome is unknown
// (time-out, no responders, election) is sent again as it was until ctx ends, so that the
// answer is certain. When ctx ends first, the write may or may not be stored: repeat the call
// with the same message.
//
// Errors: ErrNoMessageID; an error wrapping ErrLost, ErrFenced, ErrRevoked, ErrReleased or
// ErrClosed when the partition is not ours any more; ctx's error; and what else the stream
// refuses, such as a full stream (bus.IsStreamFull), in which case nothing is stored.
func (w *Writer) PublishAck(ctx context.Context, m *nats.Msg) (Ack, error) {
	if m.Header.Get(nats.MsgIdHdr) == "" {
		return Ack{}, ErrNoMessageID
	}
	select {
	case <-w.turn:
	case <-ctx.Done():
		return Ack{}, ctx.Err()
	case <-w.ctx.Done():
		return Ack{}, w.gone()
	}
	defer func() { w.turn <- struct{}{} }()
	if w.ctx.Err() != nil {
		return Ack{}, w.gone()
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.ctx, cancel)()

	fenced := &nats.Msg{Subject: m.Subject, Header: nats.Header{}, Data: m.Data}
	for k, v := range m.Header {
		fenced.Header[k] = v
	}
	expect(fenced, w.subject, w.partition.Epoch)
	for n := 0; ; n++ {
		ack, err := publish(ctx, w.conn, fenced, w.timeout)
		switch {
		case err == nil:
			return Ack{Sequence: ack.Sequence, Duplicate: ack.Duplicate}, nil
		case bus.IsStale(err):
			w.met.refused.Inc()
			w.log.Warn("write refused: the partition has another owner", zap.Stringer("partition", w.partition.Number),
				zap.Uint64("epoch", w.partition.Epoch))
			w.close(ErrLost)
			w.refused()
			return Ack{}, w.gone()
		case w.ctx.Err() != nil:
			return Ack{}, w.gone()
		case ctx.Err() != nil:
			return Ack{}, fmt.Errorf("lease: outcome of the write is unknown: %w", errors.Join(ctx.Err(), err))
		case !isRetryable(err):
			return Ack{}, fmt.Errorf("lease: the stream refuses the write: %w", err)
		}
		w.met.retries.Inc()
		if !pause(ctx, retryPause(n, err)) {
			if w.ctx.Err() != nil {
				return Ack{}, w.gone()
			}
			return Ack{}, fmt.Errorf("lease: outcome of the write is unknown: %w", errors.Join(ctx.Err(), err))
		}
	}
}

// close refuses all further writes and cancels the one in flight.
func (w *Writer) close(why error) { w.cancel(why) }

// settle waits until no write is in flight and lets none begin.
func (w *Writer) settle(why error) {
	w.close(why)
	<-w.turn
	w.turn <- struct{}{}
}

func (w *Writer) gone() error { return context.Cause(w.ctx) }
