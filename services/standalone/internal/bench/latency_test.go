//go:build bench

package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/lab"
	"pairgate.dev/services/session-worker/driver"
	"pairgate.dev/services/session-worker/driver/drivertest"
	"pairgate.dev/services/session-worker/driver/simulated"
	"pairgate.dev/services/standalone/internal/e2e"
)

const (
	publications = 500
	connects     = 30
)

// TestEventLatency compares the way of an event from its publication, through the
// stream's disk, to an HTTP client with that of a message that NATS just passes on.
func TestEventLatency(t *testing.T) {
	for _, setting := range []string{syncAlways, syncSecond} {
		t.Run(setting, func(t *testing.T) { eventLatency(t, setting) })
	}
}

func eventLatency(t *testing.T, setting string) {
	d := e2e.OneIn(t, &binaries, t.TempDir(), map[string]string{"PAIRGATE_NATS_SYNC": setting})
	i, err := create(d, "one")
	if err != nil {
		t.Fatal(err)
	}
	updated := func() *nats.Msg {
		m, err := bus.EncodeEvent(&pb.Event{Id: bus.NewEventID(), Kind: string(instance.KindUpdated), Time: timestamppb.Now(), Revision: 1 << 30,
			Instance: &pb.InstanceRef{Id: i.GetId(), Name: i.GetName(), Number: i.GetNumber(), Provider: i.GetProvider()}, Body: &pb.Event_Spec{Spec: i}})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	publish := func(m *nats.Msg) time.Time {
		at := time.Now()
		if err := d.NATS.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
		return at
	}

	sub, err := d.NATS.SubscribeSync("bench.event")
	if err != nil {
		t.Fatal(err)
	}
	var floor, ours []time.Duration
	for range publications {
		m := updated()
		m.Subject = "bench.event"
		at := publish(m)
		if _, err := sub.NextMsg(10 * time.Second); err != nil {
			t.Fatal(err)
		}
		floor = append(floor, time.Since(at))
	}
	s := follow(t, d, "/v1/events")
	for range publications {
		at := publish(updated())
		ours = append(ours, s.next(t, func(a arrival) bool { return a.kind == string(instance.KindUpdated) }).at.Sub(at))
	}
	durations(t, "event published → Server-Sent Events client, median; floor: core NATS publish → subscriber", quantile(ours, 0.5), quantile(floor, 0.5), "", setting)
	durations(t, "the same, 99th percentile", quantile(ours, 0.99), quantile(floor, 0.99), "", setting)
}

// driverTimes is how long the driver alone takes to the first code of each of n
// sessions, so many at once, with an emulated messenger as the program's own is.
func driverTimes(t *testing.T, n, atOnce int) []time.Duration {
	t.Helper()
	emulated, err := lab.Start(t.Context(), lab.Config{ControlAddr: "127.0.0.1:0", DataDir: t.TempDir()}, lab.Deps{Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = emulated.Close() }()
	drv, err := simulated.New(simulated.Options{Endpoint: emulated.Addrs().Simulated, Vault: &drivertest.MemoryVault{}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = drv.Close() }()
	times := make([]time.Duration, n)
	var group errgroup.Group
	group.SetLimit(atOnce)
	began := time.Now()
	for i := range n {
		group.Go(func() error {
			at := began
			if atOnce == 1 {
				at = time.Now()
			}
			issued := make(chan time.Time, 100)
			session := drv.Pair(context.Background(), driver.PairParams{Common: driver.Common{Instance: drivertest.NewID()}, Method: instance.MethodQR},
				func(e instance.SessionEvent) {
					if _, ok := e.(instance.CodeIssued); ok {
						issued <- time.Now()
					}
				})
			defer session.Close()
			select {
			case end := <-issued:
				times[i] = end.Sub(at)
				return nil
			case <-time.After(30 * time.Second):
				return errors.New("the driver gave no code")
			}
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return times
}

// instanceOf returns the instance that an event is of.
func instanceOf(t *testing.T, a arrival) string {
	t.Helper()
	var event struct {
		Instance struct {
			ID string `json:"id"`
		} `json:"instance"`
	}
	if err := json.Unmarshal([]byte(a.data), &event); err != nil {
		t.Fatal(err)
	}
	return event.Instance.ID
}

// TestFirstQR measures how long a client that asks for a connection waits for the
// picture, less what the driver alone takes for its code.
func TestFirstQR(t *testing.T) {
	driverAlone := quantile(driverTimes(t, connects, 1), 0.5)
	for _, setting := range []string{syncAlways, syncSecond} {
		d := e2e.OneIn(t, &binaries, t.TempDir(), map[string]string{"PAIRGATE_NATS_SYNC": setting})
		s := follow(t, d, "/v1/events")
		var ours []time.Duration
		for _, i := range createMany(t, d, connects) {
			at := time.Now()
			d.API.Want(http.StatusAccepted, http.MethodPost, "/v1/instances/"+i.GetId()+"/connect", nil)
			first := s.next(t, func(a arrival) bool { return a.kind == string(instance.KindQR) && instanceOf(t, a) == i.GetId() })
			ours = append(ours, first.at.Sub(at))
		}
		whole := quantile(ours, 0.5)
		durations(t, "connect → first QR picture at an HTTP client, median; floor: the driver alone", whole, driverAlone, "", setting)
		figure(t, "the same beyond the driver's own time", short(whole-driverAlone), "≤ 10 ms", setting)
	}
}

// TestManyPairing lets many instances pair at once, and says how long each waits
// for its first picture and what memory it takes, with the messenger's side of it.
func TestManyPairing(t *testing.T) {
	floor := driverTimes(t, *pairing, *pairing)
	for _, setting := range []string{syncAlways} {
		t.Run(setting, func(t *testing.T) { manyPairing(t, setting, floor) })
	}
}

func manyPairing(t *testing.T, setting string, floor []time.Duration) {
	d := e2e.OneIn(t, &binaries, t.TempDir(), map[string]string{"PAIRGATE_NATS_SYNC": setting})
	s := follow(t, d, "/v1/events")
	created := createMany(t, d, *pairing)
	idle := e2e.SettledRSS(t, d.Processes["pairgate"], time.Minute)
	waiting := make(map[string]bool, len(created))
	failed := make(chan error, len(created))
	began := time.Now()
	for _, i := range created {
		waiting[i.GetId()] = true
		go func() {
			r, err := d.API.Try(http.MethodPost, "/v1/instances/"+i.GetId()+"/connect", nil)
			// The code may be there before the answer is: 200 then.
			if err == nil && r.Status != http.StatusAccepted && r.Status != http.StatusOK {
				err = fmt.Errorf("connect: %d %s", r.Status, r.Raw)
			}
			failed <- err
		}()
	}
	var times []time.Duration
	for range created {
		if err := <-failed; err != nil {
			t.Fatal(err) // Its picture would be awaited in vain.
		}
	}
	for len(waiting) > 0 {
		a := s.next(t, func(a arrival) bool { return a.kind == string(instance.KindQR) })
		if id := instanceOf(t, a); waiting[id] {
			delete(waiting, id)
			times = append(times, a.at.Sub(began))
		}
	}
	with := d.Processes["pairgate"].RSS()
	what := fmt.Sprintf("%d connect at once → first QR picture at an HTTP client, ", len(created))
	durations(t, what+"median; floor: the driver alone", quantile(times, 0.5), quantile(floor, 0.5), "", setting)
	durations(t, what+"99th percentile; floor: the driver alone", quantile(times, 0.99), quantile(floor, 0.99), "", setting)
	figure(t, fmt.Sprintf("memory of each of %d pairing instances, the emulated messenger's side and garbage included", len(created)),
		fmt.Sprintf("%.1f KB", float64(with-idle)/float64(len(created))/1000), "", setting)
	t.Logf("the stream was cut off %d times", s.cut.Load())
}
