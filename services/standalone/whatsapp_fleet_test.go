package standalone_test

import (
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/session-worker/driver/whatsapp/keys/pgtest"
)

// TestWhatsAppSessionsMoveToTheOtherWorker kills one of two workers that share a
// PostgreSQL database. Its sessions come online on the other one, from the keys
// in the database; WhatsApp never sees a device twice, so it replaces none.
func TestWhatsAppSessionsMoveToTheOtherWorker(t *testing.T) {
	bustest.CheckGoroutines(t)
	const ttl, instances = 3 * time.Second, 12
	server := bustest.Server(t, bustest.Listen)
	options := server.ConnOptions("test", nil)
	f := newFleet(t, bustest.Conn(t, server, bustest.LeaseTTL(ttl)), instance.WhatsApp, map[string]string{"PAIRGATE_NATS_URL": server.URL(),
		"PAIRGATE_NATS_USER": options.User, "PAIRGATE_NATS_PASSWORD": options.Password, "PAIRGATE_LEASE_TTL": ttl.String(),
		"PAIRGATE_WHATSAPP_DB": pgtest.Start(t).Database(t)})
	// A worker that is alone takes every partition; one that goes in good order lets two share at once.
	first := f.worker("first", nil)
	f.steady("first")
	a := f.worker("a", nil)
	b := f.worker("b", nil)
	if code := first.Stop(); code != 0 {
		t.Fatalf("the first worker ended with status %d", code)
	}
	f.create(instances)
	f.connect()
	f.link(instances)
	f.steady("a", "b")
	before := f.history.snapshot(f.ids)
	t.Logf("a holds %d sessions and b %d", count(before, "a"), count(before, "b"))
	if count(before, "a") == 0 || count(before, "b") == 0 {
		t.Fatal("one worker holds all instances")
	}

	a.Kill()
	f.steady("b")
	f.checkTakeOver(before, f.history.snapshot(f.ids), "a")
	f.wantOneConnectionEach(instances)
	f.wantNever(instance.ReasonReplaced, instance.ReasonInternal)

	// In good order it is the same, and faster.
	f.worker("a", nil)
	if code := b.Stop(); code != 0 {
		t.Fatalf("worker b ended with status %d", code)
	}
	f.steady("a")
	f.wantOneConnectionEach(instances)
	f.wantNever(instance.ReasonReplaced, instance.ReasonInternal)
}

// wantOneConnectionEach checks with the messenger that each phone has linked one
// device, which has one connection and never had two.
func (f *fleet) wantOneConnectionEach(instances int) {
	f.t.Helper()
	for i := range instances {
		account, err := f.lab.Account(f.t.Context(), phoneOf(i))
		if err != nil {
			f.t.Fatal(err)
		}
		if len(account.Devices) != 1 {
			f.t.Errorf("phone %d has %d devices", i, len(account.Devices))
			continue
		}
		if d := account.Devices[0]; d.Connections != 1 || d.MostConnections != 1 {
			f.t.Errorf("the device of phone %d has %d connections and had %d at once", i, d.Connections, d.MostConnections)
		}
	}
}

// wantNever reads every status there is for one with such a reason: replaced by its
// own keys elsewhere, or refused them because they were still held (internal).
func (f *fleet) wantNever(reasons ...instance.Reason) {
	f.t.Helper()
	stream, err := f.conn.JetStream().Stream(f.t.Context(), bus.StreamEvents)
	if err != nil {
		f.t.Fatal(err)
	}
	consumer, err := stream.OrderedConsumer(f.t.Context(), jetstream.OrderedConsumerConfig{FilterSubjects: []string{bus.EventsOfKind(instance.KindStatus)}})
	if err != nil {
		f.t.Fatal(err)
	}
	info, err := consumer.Info(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	for range info.NumPending {
		m, err := consumer.Next()
		if err != nil {
			f.t.Fatal(err)
		}
		e, err := bus.DecodeEvent(m.Data())
		if err != nil {
			f.t.Fatal(err)
		}
		if reason := instance.Reason(e.GetStatus().GetReason()); slices.Contains(reasons, reason) {
			f.t.Errorf("%s was %s with the reason %s: %s", e.GetInstance().GetId(), e.GetStatus().GetPhase(), reason, e.GetStatus().GetDetail())
		}
	}
}
