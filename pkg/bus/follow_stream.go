package bus

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
)

// Message is one stored message of a stream, as a StreamFollower hands it on.
// Receivers must not change it, and copy what they keep of Data.
type Message struct {
	Subject  string
	Header   nats.Header
	Data     []byte
	Sequence uint64
	// Time is when the server stored it.
	Time time.Time
	// Incarnation is the creation time of the stream; see StreamHandler.Begin.
	Incarnation string
}

// Marker says whether the server wrote the message itself to note that the
// last message of the subject has expired or was removed.
func (m *Message) Marker() bool { return (&stored{header: m.Header}).marker() }

// StreamHandler is told what a StreamFollower reads, always from one goroutine:
// its functions must return quickly and must not wait for the follower.
type StreamHandler struct {
	// Begin starts a snapshot: at the start, and when the stream was made anew,
	// which the incarnation shows. It comes again when a snapshot failed halfway.
	Begin func(incarnation string)
	// Snapshot is the last message of a subject, in stream order.
	Snapshot func(Message)
	// End tells that the snapshot is complete up to the sequence.
	End func(upTo uint64)
	// Live is every later message of the stream, in stream order, each once.
	// The last messages of a snapshot may come again here, when the snapshot was
	// read while they were written: a handler compares sequences.
	Live func(Message)
	// Tick comes about once a second; nil for never.
	Tick func(now time.Time)
}

// StreamOptions say which stream is followed.
type StreamOptions struct {
	// Stream is the name of the stream.
	Stream string
	// Live is the core subject on which all of the stream is published again.
	Live string
	// Snapshot filters choose the subjects whose last messages the follower
	// starts from. Live messages are not filtered: the follower sees gaps by
	// their unbroken sequences.
	Snapshot []string
	Handler  StreamHandler
	// Log gets what goes wrong; nil for nothing.
	Log *zap.Logger
}

// StreamFollower reads a stream from the last message of each subject on, and
// hands on every later message exactly once and in stream order, whatever
// happens to the connection or the server in between. Only messages that the
// stream itself has lost meanwhile, to its limits or an expiry, are not seen.
type StreamFollower struct{ feed *feed }

// FollowStream makes a follower of a stream. It starts at its first use; end it with Stop.
func FollowStream(conn *Conn, o StreamOptions) *StreamFollower {
	return &StreamFollower{feed: newFeed(conn, feedConfig{stream: o.Stream, live: o.Live, filters: o.Snapshot}, &streamHandler{h: o.Handler}, o.Log)}
}

// Start begins to follow; every other method does so too.
func (f *StreamFollower) Start() { f.feed.start() }

// Stop ends the follower and waits for its goroutines. It must not be called from a callback.
func (f *StreamFollower) Stop() { f.feed.stop() }

// Ready is closed once the first snapshot has been handed over.
func (f *StreamFollower) Ready() <-chan struct{} {
	f.feed.start()
	return f.feed.ready
}

// SilentFor is that of Follower.
func (f *StreamFollower) SilentFor() time.Duration { return f.feed.silentFor() }

// WaitSequence returns nil once everything up to the sequence has been handed
// over. Otherwise it returns ctx's error, or another one when the follower was stopped.
func (f *StreamFollower) WaitSequence(ctx context.Context, sequence uint64) error {
	return f.feed.wait(ctx, sequence)
}

// Sequence returns the sequence up to which everything has been handed over.
func (f *StreamFollower) Sequence() uint64 { return f.feed.position() }

// at calls fn between two messages, with the sequence of the one before.
func (f *StreamFollower) at(fn func(sequence uint64)) {
	f.feed.start()
	f.feed.step.Lock()
	defer f.feed.step.Unlock()
	fn(f.feed.position())
}

type streamHandler struct {
	h           StreamHandler
	incarnation string
}

func (s *streamHandler) message(m stored) Message {
	return Message{Subject: m.subject, Header: m.header, Data: m.data, Sequence: m.seq, Time: m.time, Incarnation: s.incarnation}
}

func (s *streamHandler) beginSnapshot(incarnation string) {
	s.incarnation = incarnation
	s.h.Begin(incarnation)
}

func (s *streamHandler) snapshot(m stored)       { s.h.Snapshot(s.message(m)) }
func (s *streamHandler) endSnapshot(upTo uint64) { s.h.End(upTo) }
func (s *streamHandler) live(m stored)           { s.h.Live(s.message(m)) }

func (s *streamHandler) tick(now time.Time) {
	if s.h.Tick != nil {
		s.h.Tick(now)
	}
}
