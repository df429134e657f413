package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/services/lab/labclient"
)

// Deployment is a running Pairgate, however many processes it is.
type Deployment struct {
	tb testing.TB
	// API speaks to the gateway with the admin key.
	API *API
	// Lab are the emulated phones.
	Lab *labclient.Client
	// NATS is a connection of some other service's.
	NATS *nats.Conn
	// Processes by name; "pairgate" in one process.
	Processes map[string]*Process
	// DataDir is that of the one process.
	DataDir string
	// StopNATS ends the NATS server of five processes.
	StopNATS func()
	// restart starts a process of five again, as it was started.
	restart map[string]func() *Process
}

// Restart starts a process of five again, with the same configuration and data
// directory. It was killed or stopped before.
func (d *Deployment) Restart(name string) {
	d.tb.Helper()
	d.Processes[name] = d.restart[name]()
}

// Deploy starts a deployment for a test.
type Deploy func(tb testing.TB, b *Binaries) *Deployment

// One starts `pairgate serve --lab` on a fresh data directory.
func One(tb testing.TB, b *Binaries) *Deployment {
	tb.Helper()
	return OneIn(tb, b, filepath.Join(tb.TempDir(), "data"), nil)
}

// OneIn starts `pairgate serve --lab` on a data directory, with more environment.
func OneIn(tb testing.TB, b *Binaries, dataDir string, env map[string]string) *Deployment {
	tb.Helper()
	d, line := serve(tb, b, dataDir, env, "--lab")
	d.Lab = labclient.New(strings.TrimPrefix(line["labControl"].(string), "http://"))
	tb.Cleanup(d.Lab.Close)
	return d
}

// ServeAt starts `pairgate serve` without a lab of its own; env says where the
// messengers are. Lab of the deployment is nil.
func ServeAt(tb testing.TB, b *Binaries, dataDir string, env map[string]string) *Deployment {
	tb.Helper()
	d, _ := serve(tb, b, dataDir, env)
	return d
}

func serve(tb testing.TB, b *Binaries, dataDir string, env map[string]string, flags ...string) (*Deployment, map[string]any) {
	tb.Helper()
	full := map[string]string{"PAIRGATE_DATA_DIR": dataDir, "PAIRGATE_HTTP_ADDR": "127.0.0.1:0", "PAIRGATE_NATS_ADDR": "127.0.0.1:0",
		"PAIRGATE_LAB_CONTROL_ADDR": "127.0.0.1:0", "PAIRGATE_RATE_LIMIT": "0"}
	maps.Copy(full, env)
	p := Start(tb, b.Build(tb, "pairgate"), append([]string{"serve"}, flags...), full)
	line := p.AwaitLine("serving")
	d := &Deployment{tb: tb, Processes: map[string]*Process{"pairgate": p}, DataDir: dataDir}
	d.API = NewAPI(tb, line["http"].(string), readFile(tb, filepath.Join(dataDir, "admin-key")))
	d.API.AwaitReady()
	d.NATS = connect(tb, line["nats"].(string), readFile(tb, filepath.Join(dataDir, "nats-user")), readFile(tb, filepath.Join(dataDir, "nats-password")))
	return d, line
}

// Five starts a NATS server in this process, and a process for each service and for the lab.
func Five(tb testing.TB, b *Binaries) *Deployment {
	tb.Helper()
	server := bustest.Server(tb, bustest.Listen)
	options := server.ConnOptions("test", nil)
	d := FiveAt(tb, b, func(string) map[string]string {
		return map[string]string{"PAIRGATE_NATS_URL": server.URL(), "PAIRGATE_NATS_USER": options.User, "PAIRGATE_NATS_PASSWORD": options.Password}
	})
	d.StopNATS = server.Shutdown
	d.NATS = connect(tb, server.URL(), options.User, options.Password)
	return d
}

// FiveAt starts a process for each service and for the lab, at a NATS server that
// runs already. at returns the environment by which a service reaches it, and may
// hold more of it. NATS and StopNATS of the deployment are the caller's to set.
func FiveAt(tb testing.TB, b *Binaries, at func(service string) map[string]string) *Deployment {
	tb.Helper()
	d := &Deployment{tb: tb, Processes: map[string]*Process{}, restart: map[string]func() *Process{}}
	lab := Start(tb, b.Build(tb, "lab"), []string{"--control-addr", "127.0.0.1:0", "--data-dir", tb.TempDir()}, nil)
	said := func(prefix string) string {
		return strings.TrimPrefix(lab.Await("the line "+prefix, prefixed(prefix)), prefix)
	}
	control := said("control http://")
	messengers := map[string]string{"PAIRGATE_SIMULATED_ENDPOINT": said("simulated "),
		"PAIRGATE_WHATSAPP_ENDPOINT": said("whatsapp "), "PAIRGATE_WHATSAPP_NOISE_ROOT": said("whatsapp-noise-root ")}
	d.Processes["lab"] = lab
	d.Lab = labclient.New(control)
	tb.Cleanup(d.Lab.Close)

	key, adminKey := seal.NewMasterKey().Reveal(), seal.NewToken()
	start := func(name string) *Process {
		own := map[string]string{"PAIRGATE_DATA_DIR": tb.TempDir(), "PAIRGATE_MASTER_KEY": key, "PAIRGATE_ADMIN_KEY": adminKey,
			"PAIRGATE_WEBHOOK_ALLOW": "127.0.0.0/8", "PAIRGATE_HTTP_ADDR": "127.0.0.1:0", "PAIRGATE_RATE_LIMIT": "0"}
		maps.Copy(own, messengers)
		maps.Copy(own, at(name))
		d.restart[name] = func() *Process { return Start(tb, b.Build(tb, name), nil, own) }
		d.Processes[name] = d.restart[name]()
		return d.Processes[name]
	}
	for _, name := range []string{"instance-registry", "session-worker", "qr-renderer", "webhook-dispatcher"} {
		start(name)
	}
	line := start("gateway").AwaitLine("serving HTTP")
	d.API = NewAPI(tb, "http://"+line["address"].(string), adminKey)
	d.API.AwaitReady()
	return d
}

func prefixed(prefix string) func(string) bool {
	return func(line string) bool { return strings.HasPrefix(line, prefix) }
}

func connect(tb testing.TB, url, user, password string) *nats.Conn {
	tb.Helper()
	nc, err := nats.Connect(url, nats.UserInfo(user, password))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	return nc
}

func readFile(tb testing.TB, path string) string {
	tb.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}
