package standalone_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/services/standalone/internal/e2e"
)

// number reads a 64-bit number as JSON shows it.
func number(t *testing.T, v any) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(fmt.Sprint(v), 10, 64)
	if err != nil {
		t.Fatalf("%v is no number", v)
	}
	return n
}

func epochOf(t *testing.T, w e2e.Webhook) string {
	t.Helper()
	epoch, _ := ownership(t, w)
	return epoch
}

func attemptOf(t *testing.T, w e2e.Webhook) string {
	t.Helper()
	_, attempt := ownership(t, w)
	return attempt
}

func ownership(t *testing.T, w e2e.Webhook) (epoch, attempt string) {
	t.Helper()
	var event struct{ Epoch, Attempt string }
	if err := json.Unmarshal(w.Raw, &event); err != nil {
		t.Fatal(err)
	}
	return event.Epoch, event.Attempt
}

// storedEvents returns the kinds of the instance's stored events by stream sequence.
func storedEvents(t *testing.T, d *e2e.Deployment, id string) map[uint64]string {
	t.Helper()
	js, err := jetstream.New(d.NATS)
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := js.OrderedConsumer(t.Context(), bus.StreamEvents, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{"pairgate.v1.events." + id + ".>"}})
	if err != nil {
		t.Fatal(err)
	}
	info, err := consumer.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	events := map[uint64]string{}
	for range info.NumPending {
		m, err := consumer.Next()
		if err != nil {
			t.Fatal(err)
		}
		meta, err := m.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		_, kind, ok := bus.ParseEventSubject(m.Subject())
		if !ok {
			t.Fatalf("subject %s", m.Subject())
		}
		events[meta.Sequence.Stream] = string(kind)
	}
	return events
}

// owedAreDelivered checks that every status and lifecycle event of the
// receiver's instance that is stored was delivered. Codes and pictures may be
// dropped when they are over.
func owedAreDelivered(t *testing.T, d *e2e.Deployment, receiver *e2e.Receiver) {
	t.Helper()
	id := receiver.All()[0].Instance
	stored := storedEvents(t, d, id)
	bustest.CheckFor(t, 60*time.Second, func() error {
		got := map[uint64]bool{}
		for _, w := range receiver.All() {
			if w.Instance == id {
				got[number(t, w.Sequence)] = true
			}
		}
		var errs []error
		for sequence, kind := range stored {
			if lasting := kind == "status" || kind == "created" || kind == "updated" || kind == "deleted"; lasting && !got[sequence] {
				errs = append(errs, fmt.Errorf("the %s at %d was not delivered", kind, sequence))
			}
		}
		return errors.Join(errs...)
	})
}

// readmeSection returns the README's section of that heading, without it.
func readmeSection(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), heading)
	if !found {
		t.Fatalf("the README has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n#")
	return section
}
