package service

import (
	"context"
	"io"
	"os"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"pairgate.dev/pkg/instance"
)

// LogOptions say how [NewLogger] writes.
type LogOptions struct {
	// Name is the service's; it stands in every line.
	Name  string
	Level zapcore.Level
	// Format is json, console, or empty: console when Output is a terminal, else json.
	Format string
	// Output is [os.Stderr] when nil.
	Output io.Writer
}

// NewLogger returns a logger behind [Redact], and its level, which can be
// changed while it is in use. Times are UTC with milliseconds.
func NewLogger(o LogOptions) (*zap.Logger, zap.AtomicLevel) {
	if o.Output == nil {
		o.Output = os.Stderr
	}
	if o.Format == "" {
		o.Format = "json"
		if isTerminal(o.Output) {
			o.Format = "console"
		}
	}
	ec := zapcore.EncoderConfig{
		TimeKey: "time", LevelKey: "level", NameKey: "service", MessageKey: "msg", StacktraceKey: "stack",
		LineEnding:     zapcore.DefaultLineEnding,
		EncodeTime:     zapcore.TimeEncoderOfLayout("2006-01-02T15:04:05.000Z07:00"),
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		EncodeDuration: zapcore.StringDurationEncoder,
		EncodeName:     zapcore.FullNameEncoder,
	}
	encoder := zapcore.NewJSONEncoder(ec)
	if o.Format == "console" {
		ec.EncodeLevel = zapcore.CapitalLevelEncoder
		ec.ConsoleSeparator = "  "
		encoder = zapcore.NewConsoleEncoder(ec)
	}
	level := zap.NewAtomicLevelAt(o.Level)
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(o.Output)), level)
	return zap.New(Redact(core), zap.WithClock(utcClock{})).Named(o.Name), level
}

// isTerminal takes any character device for a terminal; for the others, such as
// /dev/null, the format does not matter.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// RequestID is the log field for the id of a request.
func RequestID(id string) zap.Field { return zap.String("request", id) }

// InstanceID is the log field for the id of an instance.
func InstanceID(id instance.ID) zap.Field { return zap.String("instance", string(id)) }

// TraceID is the log field for the trace that ctx belongs to; nothing when it
// belongs to none.
func TraceID(ctx context.Context) zap.Field {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.HasTraceID() {
		return zap.Skip()
	}
	return zap.Stringer("trace", sc.TraceID())
}
