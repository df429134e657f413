package bus_test

import (
	"fmt"
	"testing"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
)

// BenchmarkInstanceViewSnapshot is the time from nothing to 20,000 instances held and indexed.
func BenchmarkInstanceViewSnapshot(b *testing.B) {
	c := bustest.Conn(b, bustest.Server(b))
	const n = 20_000
	fill(b, c, n, func(i int) (string, []byte) {
		id := newID()
		rec := record(id, fmt.Sprintf("instance %d", i), 1101000000+uint64(i), "a")
		rec.TokenHash = fmt.Sprintf("%064x", i)
		return bus.BucketSubject(bus.BucketInstances, bus.InstanceKey(id)), encode(b, rec)
	})
	for b.Loop() {
		v := bus.NewViews(c, nil)
		<-v.Instances.Ready()
		if v.Instances.Count() != n {
			b.Fatalf("holds %d instances", v.Instances.Count())
		}
		v.Close()
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "instances/s")
}
