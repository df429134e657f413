//go:build soak

package standalone_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/encoding/protojson"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/standalone/internal/e2e"
)

// TestSoakHundredThousandInstances measures what a hundred thousand instances
// cost one process in memory and at its start, and checks that a kill loses none.
// Memory and times are printed, not judged.
func TestSoakHundredThousandInstances(t *testing.T) {
	const many = 100_000
	dataDir := filepath.Join(t.TempDir(), "data")
	// Creation is not what is measured, so it need not wait for the disk each time.
	d := e2e.OneIn(t, &binaries, dataDir, map[string]string{"PAIRGATE_NATS_SYNC": "1s"})
	process := d.Processes["pairgate"]
	empty := e2e.SettledRSS(t, process, time.Minute)

	started := time.Now()
	created := createMany(t, d, many)
	creating := time.Since(started)
	awaitTold(t, d, many)
	full := e2e.SettledRSS(t, process, 2*time.Minute)
	report(t, "%d instances created in %v, %.0f each second (sync: 1s)", many, creating.Round(time.Millisecond), many/creating.Seconds())
	report(t, "memory: %d MiB without instances, %d MiB with %d: %d bytes for each (sync: 1s, after their creation)",
		empty>>20, full>>20, many, (full-empty)/many)
	started = time.Now()
	checkListed(t, d, created)
	report(t, "all listed over HTTP, 500 on a page, in %v", time.Since(started).Round(time.Millisecond))

	for _, setting := range []string{"always", "1s"} {
		before := lastOwnerRecord(t, d)
		process.Kill()
		started = time.Now()
		d = e2e.OneIn(t, &binaries, dataDir, map[string]string{"PAIRGATE_NATS_SYNC": setting})
		ready := time.Since(started)
		awaitOwned(t, d, before)
		owned := time.Since(started)
		process = d.Processes["pairgate"]
		report(t, "start after kill -9 with %d instances: /readyz says yes after %v, and every partition is owned after %v (sync: %s)",
			many, ready.Round(time.Millisecond), owned.Round(time.Millisecond), setting)
		again := e2e.SettledRSS(t, process, 2*time.Minute)
		report(t, "memory after that start: %d MiB, %d bytes for each instance (sync: %s)", again>>20, (again-empty)/many, setting)
		checkListed(t, d, created)
	}
}

// report prints a line that stays readable without -v.
func report(t *testing.T, format string, args ...any) {
	t.Helper()
	line := fmt.Sprintf(format, args...)
	t.Log(line)
	fmt.Println("soak: " + line)
}

// createMany creates instances over NATS and returns their names by id.
func createMany(t *testing.T, d *e2e.Deployment, n int) map[string]string {
	t.Helper()
	names := map[string]string{}
	var mu sync.Mutex
	var done atomic.Int64
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(64)
	for i := range n {
		group.Go(func() error {
			name := fmt.Sprintf("instance %06d", i)
			id, err := createOne(ctx, d, name)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			mu.Lock()
			names[id] = name
			mu.Unlock()
			if made := done.Add(1); made%20_000 == 0 {
				t.Logf("%d created", made)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(names) != n {
		t.Fatalf("%d instances have %d ids", n, len(names))
	}
	return names
}

func createOne(ctx context.Context, d *e2e.Deployment, name string) (id string, err error) {
	body, err := protojson.Marshal(&pb.CreateInstanceRequest{Name: name, Provider: string(instance.Simulated)})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	m, err := d.NATS.RequestWithContext(ctx, bus.SubjectInstancesCreate, body)
	if err != nil {
		return "", err
	}
	if code := m.Header.Get("Nats-Service-Error-Code"); code != "" {
		return "", fmt.Errorf("%s: %s", code, m.Data)
	}
	reply := &pb.CreateInstanceReply{}
	if err := bus.DecodeJSON(m.Data, reply); err != nil {
		return "", err
	}
	return reply.GetInstance().GetId(), nil
}

func events(t *testing.T, d *e2e.Deployment) jetstream.Stream {
	t.Helper()
	js, err := jetstream.New(d.NATS)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), bus.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// awaitTold waits until the creation of each instance is told.
func awaitTold(t *testing.T, d *e2e.Deployment, n int) {
	t.Helper()
	stream := events(t, d)
	bustest.CheckFor(t, 5*time.Minute, func() error {
		info, err := stream.Info(t.Context())
		if err != nil {
			return err
		}
		if got := info.State.NumSubjects - instance.Partitions; got < uint64(n) {
			return fmt.Errorf("%d of %d creations are told", got, n)
		}
		return nil
	})
}

// lastOwnerRecord returns the sequence of the last owner record.
func lastOwnerRecord(t *testing.T, d *e2e.Deployment) uint64 {
	t.Helper()
	m, err := events(t, d).GetLastMsgForSubject(t.Context(), bus.AllOwners)
	if err != nil {
		t.Fatal(err)
	}
	return m.Sequence
}

// awaitOwned waits until each partition has an owner record later than the sequence.
func awaitOwned(t *testing.T, d *e2e.Deployment, after uint64) {
	t.Helper()
	consumer, err := events(t, d).OrderedConsumer(t.Context(), jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{bus.AllOwners}, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1})
	if err != nil {
		t.Fatal(err)
	}
	for owned := map[string]bool{}; len(owned) < instance.Partitions; {
		m, err := consumer.Next(jetstream.FetchMaxWait(time.Minute))
		if err != nil {
			t.Fatalf("%d of %d partitions are owned: %v", len(owned), instance.Partitions, err)
		}
		owned[m.Subject()] = true
	}
}

// checkListed lists all instances by pages and checks that they are exactly these, names by id.
func checkListed(t *testing.T, d *e2e.Deployment, want map[string]string) {
	t.Helper()
	got := make(map[string]string, len(want))
	for token, page := "", 0; ; page++ {
		query := url.Values{"pageSize": {"500"}}
		if token != "" {
			query.Set("pageToken", token)
		}
		var list struct {
			Instances []struct {
				ID   string `json:"id"`
				Name string `json:"name"`
			} `json:"instances"`
			NextPageToken string `json:"nextPageToken"`
		}
		reply := d.API.Want(http.StatusOK, http.MethodGet, "/v1/instances?"+query.Encode(), nil)
		if err := json.Unmarshal(reply.Raw, &list); err != nil {
			t.Fatal(err)
		}
		for _, i := range list.Instances {
			if _, twice := got[i.ID]; twice {
				t.Fatalf("%s is on two pages", i.ID)
			}
			got[i.ID] = i.Name
		}
		if token = list.NextPageToken; token == "" {
			break
		}
		if page > len(want) {
			t.Fatal("the pages have no end")
		}
	}
	if !maps.Equal(got, want) {
		t.Fatalf("%d instances are listed, %d were created, or they differ", len(got), len(want))
	}
}
