package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

const (
	// readStall is how long a consumer may deliver nothing before a read goes on without it.
	readStall = 3 * time.Second
	// readBatch is how many messages of a read are asked for at once.
	readBatch = 1000
	// smallRange is how many messages are read one by one. That needs no
	// consumer, and so works while the cluster has no leader to create one: just
	// after a node died, when a gap of one or two messages is likely.
	smallRange = 64
	// readTimeout bounds one request to the server.
	readTimeout = 2 * time.Second
)

var (
	errReadGap   = errors.New("the consumer skipped a message")
	errReadStale = errors.New("the stream's leader has not caught up with what was published")
)

// stored is one message of a stream, however it came.
type stored struct {
	subject string
	header  nats.Header
	data    []byte
	seq     uint64
	time    time.Time
}

// marker says whether the message is the server's or a bucket's note that the
// subject has no message any more.
func (m *stored) marker() bool {
	if m.header == nil {
		return false
	}
	return m.header.Get(HeaderMarkerReason) != "" || m.header.Get(HeaderKVOperation) != ""
}

// streamReader reads ranges of one stream. What it says is complete has been
// confirmed by the stream's leader: a consumer may stand on a replica that lags.
type streamReader struct {
	js   jetstream.JetStream
	nc   *nats.Conn
	name string
}

func (r *streamReader) stream(ctx context.Context) (jetstream.Stream, *jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	s, err := r.js.Stream(ctx, r.name)
	if err != nil {
		return nil, nil, fmt.Errorf("stream %s: %w", r.name, err)
	}
	return s, s.CachedInfo(), nil
}

// next returns the first message at or after seq whose subject matches, as the leader has it.
func (r *streamReader) next(ctx context.Context, s jetstream.Stream, seq uint64, subject string) (stored, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	m, err := s.GetMsg(ctx, max(seq, 1), jetstream.WithGetMsgSubject(subject))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return stored{}, false, nil
	}
	if err != nil {
		return stored{}, false, fmt.Errorf("read %s from %d: %w", r.name, seq, err)
	}
	return stored{subject: m.Subject, header: m.Header, data: m.Data, seq: m.Sequence, time: m.Time}, true, nil
}

// span hands fn every message that still exists between from and to, both
// included, in order. It ends without error only when the leader has nothing
// more in the range. subject filters; ">" for all.
func (r *streamReader) span(ctx context.Context, from, to uint64, subject string, fn func(stored) error) error {
	s, info, err := r.stream(ctx)
	if err != nil {
		return err
	}
	if info.State.LastSeq < to {
		return errReadStale
	}
	inRange := func(m stored) error {
		if m.seq > to {
			return nil
		}
		return fn(m)
	}
	for from <= to {
		if to-from >= smallRange {
			last, err := r.read(ctx, jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(from, 1)},
				[]string{subject}, func() (uint64, error) { return to, nil }, inRange)
			if err != nil {
				return err
			}
			from = max(from, last+1)
		}
		for n := 0; n < smallRange && from <= to; n++ {
			m, found, err := r.next(ctx, s, from, subject)
			if err != nil {
				return err
			}
			if !found || m.seq > to {
				// A leader that was elected between the two answers may not have
				// known the range when it said that there is nothing.
				return r.confirm(ctx, to)
			}
			if err := fn(m); err != nil {
				return err
			}
			from = m.seq + 1
		}
	}
	return nil
}

func (r *streamReader) confirm(ctx context.Context, to uint64) error {
	_, info, err := r.stream(ctx)
	if err != nil {
		return err
	}
	if info.State.LastSeq < to {
		return errReadStale
	}
	return nil
}

// lastPerSubject hands fn the last message of every subject that matches one of
// the filters, in stream order, and returns a sequence up to which what fn saw
// is complete. fn may see newer messages too.
func (r *streamReader) lastPerSubject(ctx context.Context, filters []string, fn func(stored) error) (uint64, error) {
	s, info, err := r.stream(ctx)
	if err != nil {
		return 0, err
	}
	whole := info.State.LastSeq
	if whole == 0 {
		return 0, nil
	}
	// Subjects whose last message is newer than the first look are delivered at
	// their new place only; reading on to the end of a second look, taken when
	// the consumer exists, has them all.
	end := func() (uint64, error) {
		_, info, err := r.stream(ctx)
		if err != nil {
			return 0, err
		}
		return info.State.LastSeq, nil
	}
	last, err := r.read(ctx, jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy}, filters, end, fn)
	if err != nil {
		return 0, err
	}
	if last >= whole {
		return whole, nil
	}
	// The consumer had nothing more; ask the leader whether that is so.
	for _, filter := range filters {
		m, found, err := r.next(ctx, s, last+1, filter)
		if err != nil {
			return 0, err
		}
		if found && m.seq <= whole {
			return whole, r.span(ctx, last+1, whole, ">", func(m stored) error {
				for _, filter := range filters {
					if subjectMatches(filter, m.subject) {
						return fn(m)
					}
				}
				return nil
			})
		}
	}
	return whole, r.confirm(ctx, whole)
}

// read delivers from a consumer of its own until it has delivered a message at
// or after the end, has nothing pending, or stalls; it returns the sequence of the last
// message. The caller confirms that nothing is missing after it.
func (r *streamReader) read(ctx context.Context, cfg jetstream.ConsumerConfig, filters []string, end func() (uint64, error), fn func(stored) error) (last uint64, err error) {
	cfg.Name = "reader-" + nuid.Next()
	cfg.AckPolicy = jetstream.AckNonePolicy
	cfg.MemoryStorage = true
	cfg.Replicas = 1
	cfg.InactiveThreshold = 30 * time.Second
	if len(filters) == 1 {
		cfg.FilterSubject = filters[0]
	} else {
		cfg.FilterSubjects = filters
	}
	cctx, cancelCreate := context.WithTimeout(ctx, 2*readTimeout)
	defer cancelCreate()
	cons, err := r.js.CreateConsumer(cctx, r.name, cfg)
	if err != nil {
		return 0, fmt.Errorf("create a reader of %s: %w", r.name, err)
	}
	defer r.remove(ctx, cfg.Name)
	if cons.CachedInfo().NumPending == 0 {
		return 0, nil
	}
	stop, err := end()
	if err != nil {
		return 0, err
	}
	it, err := cons.Messages(jetstream.PullMaxMessages(readBatch), jetstream.PullExpiry(10*time.Second), jetstream.PullHeartbeat(time.Second))
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", r.name, err)
	}
	defer it.Stop()
	rctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stall := time.AfterFunc(readStall, cancel)
	defer stall.Stop()
	for n := uint64(1); ; n++ {
		m, err := it.Next(jetstream.NextContext(rctx))
		if err != nil {
			if ctx.Err() != nil {
				return last, ctx.Err()
			}
			if rctx.Err() != nil {
				return last, nil
			}
			return last, fmt.Errorf("read %s after %d: %w", r.name, last, err)
		}
		stall.Reset(readStall)
		meta, err := m.Metadata()
		if err != nil {
			return last, fmt.Errorf("read %s after %d: %w", r.name, last, err)
		}
		if meta.Sequence.Consumer != n {
			return last, fmt.Errorf("read %s after %d: %w", r.name, last, errReadGap)
		}
		if err := fn(stored{subject: m.Subject(), header: m.Headers(), data: m.Data(), seq: meta.Sequence.Stream, time: meta.Timestamp}); err != nil {
			return last, err
		}
		last = meta.Sequence.Stream
		if last >= stop || meta.NumPending == 0 {
			return last, nil
		}
	}
}

// remove deletes a consumer at once rather than leaving it to its inactivity
// limit, so that readers that come and go do not use up the stream's consumers.
func (r *streamReader) remove(ctx context.Context, name string) {
	if !r.nc.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = r.js.DeleteConsumer(ctx, r.name, name)
}

// subjectMatches says whether a literal subject matches a filter with * and >.
func subjectMatches(filter, subject string) bool {
	for {
		if filter == ">" {
			return subject != ""
		}
		f, fRest, fMore := cutToken(filter)
		s, sRest, sMore := cutToken(subject)
		if f != "*" && f != s || fMore != sMore {
			return false
		}
		if !fMore {
			return true
		}
		filter, subject = fRest, sRest
	}
}

func cutToken(s string) (token, rest string, more bool) {
	for i := range len(s) {
		if s[i] == '.' {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}
