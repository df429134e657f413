package bus

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// How a stream is followed.
//
// A feed hands a handler every message of one stream, in stream order, each
// once. It has one position, applied: everything up to it has been handed over
// or does not exist any more.
//
//  1. It subscribes to what the server publishes again from the stream, and
//     only then reads a snapshot: the last message of each subject.
//  2. From then on the message with sequence applied+1 is handed over as it
//     comes. One at or below applied is a repetition and is dropped. One above
//     applied+1 shows a gap.
//  3. A gap is closed from the stream itself: everything from applied+1 to the
//     message that showed the gap is read, that message included, so nothing
//     has to be held back and sorted.
//  4. Once a second, at each reconnect, and when somebody waits for a revision,
//     the stream's last sequence is asked for. When it is ahead and stays ahead for a moment, that
//     is a gap too. The answer also proves that silence is only idleness.
//
// Compare-and-set decides, republishing wakes, reading repairs. There is no
// standing consumer: a watch notices the loss of its node after ten seconds and
// more, the check above after one; and it counts against the consumers of the
// stream.
//
// When the stream was made anew (its creation time differs, or its last
// sequence stays behind ours) the feed starts over with a snapshot.
const (
	// checkEvery is how often the stream's last sequence is asked for.
	checkEvery = time.Second
	// checkTimeout bounds one such request.
	checkTimeout = 2 * time.Second
	// settleFor is what a message that is stored may take to arrive before it counts as missed.
	settleFor = 100 * time.Millisecond
	// liveBuffer is how many republished messages may wait while the feed is
	// busy. More are dropped and read from the stream.
	liveBuffer = 8192
	// backwardsChecks is how many checks in a row must show the stream behind us
	// before it counts as another one: a new leader may lag for a moment.
	backwardsChecks = 3
	repairBackoff   = 250 * time.Millisecond
	maxRepairPause  = 5 * time.Second
	restartBackoff  = 250 * time.Millisecond
	maxRestartPause = 30 * time.Second
)

var (
	errFeedStopped = errors.New("the follower was stopped")
	errStartOver   = errors.New("the stream is another one")
)

// feedHandler is told what a feed reads. All calls come from one goroutine.
type feedHandler interface {
	// beginSnapshot starts a snapshot. It may come again before endSnapshot, when the one before failed.
	beginSnapshot(incarnation string)
	snapshot(m stored)
	// endSnapshot makes the snapshot what the handler holds. It is complete up to the sequence.
	endSnapshot(upTo uint64)
	live(m stored)
	tick(now time.Time)
}

type feedConfig struct {
	stream string
	// live is the subject of what is published again.
	live string
	// filters choose the subjects of the snapshot.
	filters []string
	// snapshotAfter is the age of a gap above which a snapshot repairs it, and
	// not the range of messages: expiry markers in the range may have gone. 0: never.
	snapshotAfter time.Duration
}

type feed struct {
	conn    *Conn
	cfg     feedConfig
	handler feedHandler
	log     *zap.Logger
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	ready   chan struct{}
	hint    chan uint64
	started atomic.Bool
	alive   atomic.Pointer[time.Time]

	// step is held while one message is handed over, so that a subscriber can
	// know the exact position from which it hears.
	step sync.Mutex

	mu      sync.Mutex
	stopped bool
	applied uint64
	changed chan struct{}

	// Of the feed's goroutine only.
	reader      *streamReader
	whole       bool // a snapshot was taken
	incarnation string
	target      uint64 // known to be stored
	backwards   int
}

func newFeed(conn *Conn, cfg feedConfig, handler feedHandler, log *zap.Logger) *feed {
	if log == nil {
		log = zap.NewNop()
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &feed{conn: conn, cfg: cfg, handler: handler, log: log.With(zap.String("stream", cfg.stream)), ctx: ctx, cancel: cancel,
		ready: make(chan struct{}), hint: make(chan uint64, 16)}
	return f
}

// start begins to follow; only its first call does anything.
func (f *feed) start() {
	if f.started.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped || f.started.Load() {
		return
	}
	now := time.Now()
	f.alive.Store(&now)
	f.reader = &streamReader{js: f.conn.JetStream(), nc: f.conn.NATS(), name: f.cfg.stream}
	f.started.Store(true)
	f.wg.Go(f.run)
}

// stop ends the feed and waits for its goroutines. It must not be called from a callback.
func (f *feed) stop() {
	f.mu.Lock()
	f.stopped = true
	f.mu.Unlock()
	f.cancel()
	f.wg.Wait()
}

func (f *feed) position() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.applied
}

func (f *feed) advance(seq uint64) {
	f.mu.Lock()
	f.applied = seq
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
	f.mu.Unlock()
}

// silentFor is the time since the feed last knew that it had everything.
func (f *feed) silentFor() time.Duration {
	f.start()
	at := f.alive.Load()
	if at == nil {
		return 0
	}
	return time.Since(*at)
}

func (f *feed) isReady() bool {
	select {
	case <-f.ready:
		return true
	default:
		return false
	}
}

// wait returns when everything up to seq has been applied.
func (f *feed) wait(ctx context.Context, seq uint64) error {
	f.start()
	hinted := false
	for {
		f.mu.Lock()
		if f.applied >= seq {
			f.mu.Unlock()
			return nil
		}
		if f.changed == nil {
			f.changed = make(chan struct{})
		}
		changed := f.changed
		f.mu.Unlock()
		if !hinted {
			hinted = true
			select {
			case f.hint <- seq:
			default: // enough others hint
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-f.ctx.Done():
			return errFeedStopped
		}
	}
}

func (f *feed) run() {
	connected := f.conn.NATS().StatusChanged(nats.CONNECTED)
	defer f.conn.NATS().RemoveStatusListener(connected)
	pause := restartBackoff
	for f.ctx.Err() == nil {
		began := time.Now()
		err := f.follow(connected)
		if f.ctx.Err() != nil {
			return
		}
		if errors.Is(err, errStartOver) || time.Since(began) > maxRestartPause {
			pause = restartBackoff
		}
		f.log.Warn("following again", zap.Error(err), zap.Duration("after", pause))
		timer := time.NewTimer(jitter(pause))
		select {
		case <-timer.C:
		case <-connected:
			pause = restartBackoff
		case <-f.ctx.Done():
		}
		timer.Stop()
		pause = min(2*pause, maxRestartPause)
	}
}

func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// check is the answer to the question for the stream's last sequence.
type check struct {
	at          time.Time
	applied     uint64 // when it was asked
	last        uint64
	incarnation string
	err         error
	urgent      bool
}

func incarnationOf(info *jetstream.StreamInfo) string {
	return info.Created.UTC().Format(time.RFC3339Nano)
}

// follow runs from a subscription to its end; it returns only with an error.
func (f *feed) follow(connected chan nats.Status) error {
	nc := f.conn.NATS()
	if !nc.IsConnected() {
		return nats.ErrDisconnected // a new connection ends the pause
	}
	live := make(chan *nats.Msg, liveBuffer)
	sub, err := nc.ChanSubscribe(f.cfg.live, live)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	fctx, cancel := context.WithTimeout(f.ctx, readTimeout)
	err = nc.FlushWithContext(fctx)
	cancel()
	if err != nil {
		return err
	}
	_, info, err := f.reader.stream(f.ctx)
	if err != nil {
		return err
	}
	if !f.whole || incarnationOf(info) != f.incarnation {
		if err := f.takeSnapshot(incarnationOf(info)); err != nil {
			return err
		}
	}

	checks := make(chan check, 1)
	checking := false
	var running sync.WaitGroup
	defer running.Wait()
	ask := func(urgent bool) {
		// Without a connection the questions would pile up in the client's buffer.
		if checking || !nc.IsConnected() {
			return
		}
		checking = true
		c := check{at: time.Now(), applied: f.position(), urgent: urgent}
		running.Go(func() {
			ctx, cancel := context.WithTimeout(f.ctx, checkTimeout)
			defer cancel()
			_, info, err := f.reader.stream(ctx)
			if c.err = err; err == nil {
				c.last, c.incarnation = info.State.LastSeq, incarnationOf(info)
			}
			checks <- c
		})
	}
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	repair := time.NewTimer(time.Hour) // due when a gap is to be closed
	repair.Stop()
	defer repair.Stop()
	armed := false
	arm := func(d time.Duration) {
		if !armed {
			armed = true
			repair.Reset(d)
		}
	}
	pause := time.Duration(0) // not 0 after a repair that failed

	ask(true)
	for {
		select {
		case <-f.ctx.Done():
			return f.ctx.Err()
		case <-connected:
			if pause > 0 {
				pause = repairBackoff
			}
			ask(true)
		case m := <-live:
			if !f.hear(m) && pause == 0 {
				armed = true
				repair.Reset(0)
			}
		case seq := <-f.hint:
			if seq > f.applied && seq > f.target {
				// Only what the stream itself confirms becomes the target.
				ask(false)
			} else if f.target > f.applied {
				arm(settleFor)
			}
		case now := <-tick.C:
			f.handler.tick(now)
			ask(false)
		case c := <-checks:
			checking = false
			if err := f.judge(c); err != nil {
				return err
			}
			if c.err == nil && f.target > f.applied {
				wait := settleFor
				if c.urgent {
					wait = settleFor / 4
				}
				arm(max(wait, pause))
			}
		case <-repair.C:
			armed = false
			if f.target <= f.applied {
				pause = 0
				continue
			}
			if !nc.IsConnected() {
				continue // the first check of the new connection arms it again
			}
			if err := f.repair(); err != nil {
				if f.ctx.Err() != nil || errors.Is(err, errStartOver) {
					return err
				}
				pause = min(max(2*pause, repairBackoff), maxRepairPause)
				f.log.Warn("could not read what was missed", zap.Error(err), zap.Uint64("from", f.applied+1), zap.Uint64("to", f.target), zap.Duration("again", pause))
				arm(jitter(pause))
				continue
			}
			pause = 0
		}
	}
}

// hear takes a republished message and reports false when it shows a gap.
func (f *feed) hear(m *nats.Msg) bool {
	seq, err := strconv.ParseUint(m.Header.Get(HeaderSequence), 10, 64)
	if err != nil || seq <= f.applied || m.Header.Get(HeaderStream) != f.cfg.stream {
		return true
	}
	if seq > f.applied+1 {
		f.target = max(f.target, seq)
		return false
	}
	at, _ := time.Parse(time.RFC3339Nano, m.Header.Get(HeaderTime))
	f.deliver(stored{subject: m.Header.Get(HeaderSubject), header: m.Header, data: m.Data, seq: seq, time: at})
	return true
}

func (f *feed) deliver(m stored) {
	f.step.Lock()
	f.handler.live(m)
	f.advance(m.seq)
	f.step.Unlock()
	if f.applied >= f.target {
		f.prove(time.Now())
	}
}

func (f *feed) prove(at time.Time) { f.alive.Store(&at) }

// judge draws the conclusions from a check.
func (f *feed) judge(c check) error {
	if c.err != nil {
		return nil // silence grows; the next check may do better
	}
	if c.incarnation != f.incarnation {
		return errStartOver
	}
	if c.last < c.applied {
		if f.backwards++; f.backwards >= backwardsChecks {
			f.whole = false
			return errStartOver
		}
		return nil
	}
	f.backwards = 0
	if c.last <= f.applied {
		f.prove(c.at)
		return nil
	}
	f.target = max(f.target, c.last)
	return nil
}

func (f *feed) repair() error {
	// The wall clock counts too: the other one stands still while a machine sleeps.
	at := *f.alive.Load()
	age := max(time.Since(at), time.Since(at.Round(0)))
	if f.cfg.snapshotAfter > 0 && age > f.cfg.snapshotAfter {
		return f.takeSnapshot(f.incarnation)
	}
	to := f.target
	err := f.reader.span(f.ctx, f.applied+1, to, ">", func(m stored) error {
		if m.seq > f.applied {
			f.deliver(m)
		}
		return nil
	})
	if err != nil {
		return err
	}
	f.step.Lock()
	f.advance(max(f.applied, to))
	f.step.Unlock()
	f.prove(time.Now())
	return nil
}

func (f *feed) takeSnapshot(incarnation string) error {
	began := time.Now()
	f.handler.beginSnapshot(incarnation)
	upTo, err := f.reader.lastPerSubject(f.ctx, f.cfg.filters, func(m stored) error {
		f.handler.snapshot(m)
		return nil
	})
	if err != nil {
		return err
	}
	// The stream may have been made anew while it was read.
	_, info, err := f.reader.stream(f.ctx)
	if err != nil {
		return err
	}
	if incarnationOf(info) != incarnation {
		return errStartOver
	}
	f.step.Lock()
	f.handler.endSnapshot(upTo)
	f.advance(upTo)
	f.step.Unlock()
	f.whole, f.incarnation, f.target, f.backwards = true, incarnation, upTo, 0
	f.prove(began)
	if !f.isReady() {
		close(f.ready)
	}
	f.log.Debug("snapshot taken", zap.Uint64("sequence", upTo), zap.Duration("took", time.Since(began)))
	return nil
}
