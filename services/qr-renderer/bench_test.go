package renderer_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"

	renderer "pairgate.dev/services/qr-renderer"
)

// BenchmarkCodes is the way from a code in the stream to its picture in the stream,
// with as many codes at once as iterations; each has the length of a WhatsApp code.
// The streams are on disk, flushed each second.
func BenchmarkCodes(b *testing.B) {
	srv := bustest.Server(b)
	conn := bustest.Conn(b, srv)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- renderer.Run(ctx, renderer.Config{}, renderer.Deps{Bus: bustest.Conn(b, srv)}) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}()
	pictures, err := conn.JetStream().OrderedConsumer(ctx, bus.StreamEvents,
		jetstream.OrderedConsumerConfig{FilterSubjects: []string{bus.EventsOfKind(instance.KindQR)}})
	if err != nil {
		b.Fatal(err)
	}
	messages, err := pictures.Messages()
	if err != nil {
		b.Fatal(err)
	}
	defer messages.Stop()

	b.ResetTimer()
	for n := range b.N {
		msg, err := bus.EncodeEvent(codeEvent(n, 1, 1, fmt.Sprintf("2@%08d%s", n, strings.Repeat("Aa+/0123", 28)), 5*time.Minute))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := conn.JetStream().PublishMsgAsync(msg, jetstream.WithStallWait(time.Minute)); err != nil {
			b.Fatal(err)
		}
	}
	for range b.N {
		if _, err := messages.Next(jetstream.NextMaxWait(time.Minute)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pictures/s")
}
