package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// EnsureOptions say how big and how safe the streams are to be.
type EnsureOptions struct {
	// Replicas of every stream; 1 when 0. Three need a cluster of three servers.
	Replicas int
	// LeaseTTL is the life of a lease in WORKERS, at least 1 s; by default 5 s
	// with one replica and 20 s with more.
	LeaseTTL time.Duration
	// MaxBytes overrides default sizes by the names of Names, in bytes, -1 for
	// no limit. A name that is absent has its default.
	MaxBytes map[string]int64
	// CheckOnly creates and changes nothing: Ensure waits until every stream is
	// there and reports the differences. It is for services whose NATS user may not
	// create streams.
	CheckOnly bool
}

func (o EnsureOptions) withDefaults() EnsureOptions {
	o.Replicas = max(o.Replicas, 1)
	if o.LeaseTTL == 0 {
		o.LeaseTTL = LeaseTTLSingle
		if o.Replicas > 1 {
			o.LeaseTTL = LeaseTTLReplicated
		}
	}
	sizes := maps.Clone(maxBytes)
	maps.Copy(sizes, o.MaxBytes)
	o.MaxBytes = sizes
	return o
}

func (o EnsureOptions) validate() error {
	if o.LeaseTTL < time.Second {
		return fmt.Errorf("bus: lease TTL %v is shorter than the server's minimum of 1s", o.LeaseTTL)
	}
	for name, size := range o.MaxBytes {
		if _, ours := maxBytes[name]; !ours {
			return fmt.Errorf("bus: MaxBytes names %q, which is no stream or bucket of ours; known are %v", name, Names())
		}
		if size == 0 || size < -1 {
			return fmt.Errorf("bus: MaxBytes of %s is %d; give a positive number of bytes, or -1 for no limit", name, size)
		}
	}
	return nil
}

// Report says what Ensure found and did. It can be logged with zap.Object.
type Report struct {
	// Created names the streams that were missing and are there now.
	Created []string
	// Differences lists every setting in which declaration and server differed.
	Differences []Difference
}

// Difference is one setting of one stream.
type Difference struct {
	Stream, Setting  string
	Declared, Server string
	// Applied is false where applying it could lose messages or the server does
	// not offer it; the server's value then stands until an operator decides.
	Applied bool
}

// Pending returns the differences that were not applied.
func (r Report) Pending() []Difference {
	var pending []Difference
	for _, d := range r.Differences {
		if !d.Applied {
			pending = append(pending, d)
		}
	}
	return pending
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (r Report) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	zap.Strings("created", r.Created).AddTo(enc)
	lines := make([]string, 0, len(r.Differences))
	for _, d := range r.Differences {
		lines = append(lines, d.String())
	}
	zap.Strings("differences", lines).AddTo(enc)
	return nil
}

// String is one line for a log.
func (d Difference) String() string {
	done := "left as it is on the server"
	if d.Applied {
		done = "applied"
	}
	return fmt.Sprintf("%s: %s declared %s, server has %s: %s", d.Stream, d.Setting, d.Declared, d.Server, done)
}

// Ensure brings the server to the declaration: it creates what is missing and
// applies those differences that lose nothing, such as a raised limit; it never
// shrinks, removes or moves anything. It is retried with back-off (0.1 to 5 s)
// until ctx ends, because the server or its cluster may just be starting; then
// the last error is returned with what was done so far. A refusal that waiting
// cannot heal, such as an invalid setting or a full store, is returned at once.
// Several services may call it at the same time.
func Ensure(ctx context.Context, c *Conn, o EnsureOptions) (Report, error) {
	o = o.withDefaults()
	var report Report
	if err := o.validate(); err != nil {
		return report, err
	}
	for _, want := range Declaration(o) {
		if err := c.ensureStream(ctx, want, o.CheckOnly, &report); err != nil {
			return report, fmt.Errorf("bus: stream %s: %w", want.Name, err)
		}
	}
	return report, nil
}

func (c *Conn) ensureStream(ctx context.Context, want jetstream.StreamConfig, checkOnly bool, report *Report) error {
	delay := newBackoff(100*time.Millisecond, 5*time.Second)
	for {
		created, diffs, err := c.tryStream(ctx, want, checkOnly)
		if err == nil {
			if created {
				report.Created = append(report.Created, want.Name)
			}
			report.Differences = append(report.Differences, diffs...)
			return nil
		}
		if isFinal(err) {
			return err
		}
		c.log.Debug("stream not ready, trying again", zap.String("stream", want.Name), zap.Error(err))
		if delay.wait(ctx) != nil {
			return fmt.Errorf("not ready in time: %w", err)
		}
	}
}

// tryStream makes one attempt, bounded so that a silent server is asked again.
func (c *Conn) tryStream(ctx context.Context, want jetstream.StreamConfig, checkOnly bool) (created bool, diffs []Difference, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s, err := c.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) && !checkOnly {
		_, err = c.js.CreateStream(ctx, want)
		if err == nil {
			return true, nil, nil
		}
		if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return false, nil, err
		}
		// Another service was faster, with other options.
		s, err = c.js.Stream(ctx, want.Name)
	}
	if err != nil {
		return false, nil, err
	}
	next, diffs := reconcile(s.CachedInfo().Config, want)
	if checkOnly {
		for i := range diffs {
			diffs[i].Applied = false
		}
		return false, diffs, nil
	}
	for _, d := range diffs {
		if d.Applied {
			_, err = c.js.UpdateStream(ctx, next)
			break
		}
	}
	return false, diffs, err
}

// isFinal says whether trying again cannot help.
func isFinal(err error) bool {
	switch apiErrorCode(err) {
	case codeInvalidConfig, codeStorageExceeded, codeMemoryExceeded, codeReplicasNotSupported:
		return true
	}
	return errors.Is(err, jetstream.ErrInvalidStreamName)
}
