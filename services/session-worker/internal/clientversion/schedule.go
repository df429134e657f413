package clientversion

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// How long it is between two questions to WhatsApp Web, give or take a quarter.
const (
	// askEvery is the usual interval.
	askEvery = 6 * time.Hour
	// askRefused is the one while the version in force is refused, or after a failure.
	askRefused = 15 * time.Minute
	// askGap is the least.
	askGap = 10 * time.Second
)

// answer is what came of a question.
type answer struct {
	version Version
	err     error
}

// schedule says when WhatsApp Web is asked next.
type schedule struct {
	rand   func() float64
	asking bool
	// asked is when that was done last, and failed what came of it.
	asked  time.Time
	failed bool
	// share, in [0, 1), spreads the next question.
	share float64
}

// next returns the time until the next question; ok is false when none is to be
// asked for now. A version that an operator chose makes a look idle, unless it is
// refused: then the log names what WhatsApp Web is at.
func (s *schedule) next(now time.Time, pinned, refused, urgent bool) (wait time.Duration, ok bool) {
	switch {
	case s.asking, pinned && !refused:
		return 0, false
	case s.asked.IsZero():
		return 0, true
	}
	wait = askEvery
	if s.failed || refused {
		wait = askRefused
	}
	wait = time.Duration(float64(wait) * (0.75 + s.share/2))
	if urgent {
		wait = askGap
	}
	return max(0, s.asked.Add(wait).Sub(now)), true
}

// arm sets the timer to the next question.
func (k *Keeper) arm(timer *time.Timer) {
	k.mu.Lock()
	pinned, refused, urgent := k.inForce.Source.Pinned(), k.known.refused[k.inForce.Version], k.urgent
	k.mu.Unlock()
	if wait, ok := k.schedule.next(time.Now(), pinned, refused, urgent); ok {
		timer.Reset(wait)
	} else {
		timer.Stop()
	}
}

// begin notes that a question is being asked.
func (k *Keeper) begin() {
	s := &k.schedule
	s.asking, s.asked, s.share = true, time.Now(), s.rand()
	k.mu.Lock()
	k.urgent = false
	k.mu.Unlock()
}

// answered takes what came of a question.
func (k *Keeper) answered(ctx context.Context, a answer) {
	s := &k.schedule
	s.asking, s.failed = false, a.err != nil
	if ctx.Err() != nil {
		return
	}
	if a.err != nil {
		k.metrics.checks.WithLabelValues(checkFailed).Inc()
		k.Log.Warn("WhatsApp Web does not tell its client version; it is asked again later", zap.Error(a.err))
		return
	}
	k.mu.Lock()
	before := k.known.web
	k.known.web = a.version
	newer, pinned := a.version.newerThan(k.known.builtIn), k.inForce.Source.Pinned()
	k.mu.Unlock()
	result := checkCurrent
	if newer {
		result = checkNewer
	}
	k.metrics.checks.WithLabelValues(result).Inc()
	if pinned && a.version != before {
		k.Log.Info("WhatsApp Web is at this client version; another one is set, and stays", zap.String("version", string(a.version)))
	}
}
