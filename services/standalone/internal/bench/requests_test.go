//go:build bench

package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/micro"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/standalone/internal/e2e"
)

// request asks a service over NATS, as a program that is not ours does.
func request(d *e2e.Deployment, subject string, body []byte) ([]byte, error) {
	m, err := d.NATS.Request(subject, body, time.Minute)
	if err != nil {
		return nil, err
	}
	if code := m.Header.Get("Nats-Service-Error-Code"); code != "" {
		return nil, fmt.Errorf("%s: %s: %s", subject, code, m.Data)
	}
	return m.Data, nil
}

func encoded(t *testing.T, m proto.Message) []byte {
	t.Helper()
	body, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// createBody is a request for an instance that has nothing but a name.
func createBody(name string) []byte {
	body, _ := json.Marshal(map[string]string{"name": name, "provider": string(instance.Simulated)})
	return body
}

func create(d *e2e.Deployment, name string) (*pb.Instance, error) {
	answer, err := request(d, bus.SubjectInstancesCreate, createBody(name))
	if err != nil {
		return nil, err
	}
	reply := &pb.CreateInstanceReply{}
	if err := bus.DecodeJSON(answer, reply); err != nil {
		return nil, err
	}
	return reply.GetInstance(), nil
}

// createMany creates instances, 64 at a time.
func createMany(t *testing.T, d *e2e.Deployment, n int) []*pb.Instance {
	t.Helper()
	created := make([]*pb.Instance, n)
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(64)
	for i := range n {
		group.Go(func() (err error) {
			if err := ctx.Err(); err != nil {
				return err
			}
			created[i], err = create(d, fmt.Sprintf("instance %06d", i))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return created
}

// TestRegistry compares create and get with an echo that is a NATS service on the
// same server and does nothing. The echo answers over a socket, the registry within
// the server's process.
func TestRegistry(t *testing.T) {
	d := e2e.One(t, &binaries)
	echo, err := micro.AddService(d.NATS, micro.Config{Name: "echo", Version: "1.0.0",
		Endpoint: &micro.EndpointConfig{Subject: "bench.echo", Handler: micro.HandlerFunc(func(r micro.Request) { _ = r.Respond(r.Data()) })}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = echo.Stop() }()
	if err := d.NATS.Flush(); err != nil {
		t.Fatal(err)
	}
	i, err := create(d, "one")
	if err != nil {
		t.Fatal(err)
	}
	get := encoded(t, &pb.GetInstanceRequest{Ref: i.GetId()})
	floor := rate(t, func() error { _, err := request(d, "bench.echo", get); return err })
	perSecond(t, "registry get over NATS; floor: echo service", rate(t, func() error { _, err := request(d, bus.SubjectInstancesGet, get); return err }), floor, "", syncAlways)
	var n atomic.Int64
	perSecond(t, "registry create over NATS; floor: echo service", rate(t, func() error { _, err := create(d, fmt.Sprint("shop ", n.Add(1))); return err }), floor, "", syncAlways)
}

// TestGateway compares the status of an instance with the same bytes from a handler
// that does nothing else. It is in this process, the gateway in its own.
func TestGateway(t *testing.T) {
	d := e2e.One(t, &binaries)
	i, err := create(d, "one")
	if err != nil {
		t.Fatal(err)
	}
	// A linked instance is what people ask for: one that was never connected has no status.
	const phone = "15550100900"
	if _, err := d.Lab.AddAccount(t.Context(), labapi.NewAccount{Provider: "simulated", Phone: phone}); err != nil {
		t.Fatal(err)
	}
	code, _ := d.API.Want(http.StatusOK, http.MethodPost, "/v1/instances/"+i.GetId()+"/connect?wait=20", nil).Body["qr"].(map[string]any)
	text, _ := code["code"].(string)
	if err := d.Lab.ScanCode(t.Context(), phone, text); err != nil {
		t.Fatal(err)
	}
	path := "/v1/instances/" + i.GetId() + "/status"
	if err := d.API.Poll(path, func(status map[string]any) bool { return status["phase"] == string(instance.Online) }); err != nil {
		t.Fatal(err)
	}
	answer := d.API.Want(http.StatusOK, http.MethodGet, path, nil)
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer.Raw)
	}))
	defer bare.Close()
	key, err := os.ReadFile(filepath.Join(d.DataDir, "admin-key"))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients, DialContext: (&net.Dialer{}).DialContext}}
	defer client.CloseIdleConnections()
	get := func(url string) func() error {
		return func() error {
			r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
			if err != nil {
				return err
			}
			r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(key)))
			response, err := client.Do(r)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				return err
			}
			if response.StatusCode != http.StatusOK {
				return fmt.Errorf("%s: %s", url, response.Status)
			}
			return nil
		}
	}
	floor := rate(t, get(bare.URL+path))
	perSecond(t, "gateway GET status; floor: bare net/http handler", rate(t, get(d.API.URL()+path)), floor, "≥ 0.5", syncAlways)
}
