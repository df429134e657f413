package registry

import (
	"fmt"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
)

func benchRegistry(b *testing.B) *registry {
	conn := bustest.Conn(b, bustest.Server(b))
	views := bus.NewViews(conn, zap.NewNop())
	b.Cleanup(views.Close)
	r, err := newRegistry(b.Context(), testConfig(), Deps{Bus: conn, Log: zap.NewNop(), Views: views})
	if err != nil {
		b.Fatal(err)
	}
	if !r.viewsReady(b.Context()) {
		b.Fatal("views not ready")
	}
	return r
}

func BenchmarkCreate(b *testing.B) {
	r := benchRegistry(b)
	var n atomic.Int64
	b.SetParallelism(16)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := r.create(b.Context(), simple(fmt.Sprint("shop ", n.Add(1)))); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "creations/s")
}

func BenchmarkDeriveCreated(b *testing.B) {
	r := benchRegistry(b)
	recs := make([]record, b.N)
	for n := range recs {
		reply, err := r.create(b.Context(), simple(fmt.Sprint("shop ", n)))
		if err != nil {
			b.Fatal(err)
		}
		if recs[n], err = r.resolve(b.Context(), reply.GetInstance().GetId()); err != nil {
			b.Fatal(err)
		}
	}
	l := newLifecycle(r)
	b.ResetTimer()
	for _, rec := range recs {
		if err := l.derive(b.Context(), rec); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
