package router_test

import (
	"testing"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/router"
)

func TestWants(t *testing.T) {
	rec := func(enabled bool, from uint64, kinds ...string) *pb.EndpointRecord {
		return &pb.EndpointRecord{FromSequence: from, Webhook: &pb.Webhook{Enabled: enabled, Events: kinds}}
	}
	for _, c := range []struct {
		name string
		rec  *pb.EndpointRecord
		kind instance.Kind
		seq  uint64
		want bool
	}{
		{"NoneMeansAll", rec(true, 5), instance.KindCode, 6, true},
		{"Listed", rec(true, 5, "qr", "status"), instance.KindStatus, 6, true},
		{"NotListed", rec(true, 5, "qr"), instance.KindStatus, 6, false},
		{"NotLater", rec(true, 6), instance.KindStatus, 6, false},
		{"Disabled", rec(false, 0), instance.KindStatus, 6, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := router.Wants(c.rec, c.kind, c.seq); got != c.want {
				t.Fatal(got)
			}
		})
	}
}
