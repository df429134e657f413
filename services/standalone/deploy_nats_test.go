package standalone_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/standalone/internal/e2e"
)

// deployed is NATS as deploy/ describes it, with secrets of its own.
type deployed struct {
	t *testing.T
	// programs and secrets are directories: of the programs of deploy/, and of what deployment-secrets made.
	programs, secrets string
	urls              []string
}

// deployNATS starts as many servers as asked from a configuration file of deploy/nats.
// Only addresses and directories are changed: tests listen on loopback alone.
func deployNATS(t *testing.T, config string, servers int) *deployed {
	t.Helper()
	d := &deployed{t: t, programs: t.TempDir(), secrets: filepath.Join(t.TempDir(), "secrets")}
	run(t, d.program("deployment-secrets", "-hosts", "127.0.0.1", d.secrets))
	files, err := filepath.Glob("../../deploy/nats/*.conf")
	if err != nil || len(files) < 3 {
		t.Fatalf("deploy/nats has the configurations %v (%v)", files, err)
	}
	home := filepath.Join(d.secrets, "nats")
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, filepath.Base(file)), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	routes := freePorts(t, servers)
	list := make([]string, servers)
	for i, port := range routes {
		list[i] = fmt.Sprintf("tls://127.0.0.1:%d", port)
	}
	encoded, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NATS_ROUTES", string(encoded))
	var started []*server.Server
	for i, port := range routes {
		t.Setenv("NATS_NODE", fmt.Sprintf("nats-%d", i+1))
		options := readConfig(t, home, config)
		options.Host, options.Port, options.HTTPHost, options.HTTPPort = "127.0.0.1", -1, "127.0.0.1", -1
		options.StoreDir, options.NoSigs = t.TempDir(), true
		if servers > 1 {
			options.Cluster.Host, options.Cluster.Port = "127.0.0.1", port
		}
		s, err := server.NewServer(options)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		s.Start()
		started = append(started, s)
	}
	bustest.CheckFor(t, 30*time.Second, func() error {
		for _, s := range started {
			if !s.ReadyForConnections(10 * time.Millisecond) {
				return errors.New("a NATS server is not ready")
			}
			if s.NumRoutes() == 0 && servers > 1 {
				return errors.New("a NATS server is alone")
			}
		}
		if servers > 1 && !slices.ContainsFunc(started, (*server.Server).JetStreamIsLeader) {
			return errors.New("the cluster has no leader")
		}
		return nil
	})
	for _, s := range started {
		d.urls = append(d.urls, fmt.Sprintf("tls://127.0.0.1:%d", s.Addr().(*net.TCPAddr).Port))
	}
	return d
}

// program builds a program of deploy/ and returns the command that runs it.
func (d *deployed) program(name string, args ...string) *exec.Cmd {
	d.t.Helper()
	build := exec.Command("go", "build", "-o", d.programs+string(filepath.Separator), "./cmd/"+name)
	build.Dir = "../../deploy"
	run(d.t, build)
	return exec.Command(filepath.Join(d.programs, name), args...)
}

// readConfig reads a server's configuration in the directory that its file names are relative to.
func readConfig(t *testing.T, dir, file string) *server.Options {
	t.Helper()
	before, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chdir(dir); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(file)
	if back := os.Chdir(before); back != nil {
		t.Fatal(back)
	}
	if err != nil {
		t.Fatal(err)
	}
	return options
}

// env is how a user of accounts.conf reaches NATS.
func (d *deployed) env(user string) map[string]string {
	own := filepath.Join(d.secrets, user)
	return map[string]string{"PAIRGATE_NATS_URL": strings.Join(d.urls, ","), "PAIRGATE_NATS_NKEY": filepath.Join(own, "nats.seed"),
		"PAIRGATE_NATS_CA": filepath.Join(own, "ca.pem"), "PAIRGATE_NATS_CERT": filepath.Join(own, "cert.pem"),
		"PAIRGATE_NATS_KEY": filepath.Join(own, "key.pem"), "PAIRGATE_STREAMS": "check"}
}

// connect connects as a user of accounts.conf.
func (d *deployed) connect(user string, more ...nats.Option) *nats.Conn {
	d.t.Helper()
	env := d.env(user)
	key, err := nats.NkeyOptionFromSeed(env["PAIRGATE_NATS_NKEY"])
	if err != nil {
		d.t.Fatal(err)
	}
	options := append([]nats.Option{key, nats.RootCAs(env["PAIRGATE_NATS_CA"]),
		nats.ClientCert(env["PAIRGATE_NATS_CERT"], env["PAIRGATE_NATS_KEY"]), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})}, more...)
	nc, err := nats.Connect(env["PAIRGATE_NATS_URL"], options...)
	if err != nil {
		d.t.Fatalf("%s: %v", user, err)
	}
	d.t.Cleanup(nc.Close)
	return nc
}

func run(t *testing.T, command *exec.Cmd) string {
	t.Helper()
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(command.Path), err, output)
	}
	return string(output)
}

func freePorts(t *testing.T, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports
}

// TestServicesDoTheirJobWithTheRightsOfTheDeployment is the main job with five
// processes, TLS on both sides, and the users and rights that deploy/nats gives them.
func TestServicesDoTheirJobWithTheRightsOfTheDeployment(t *testing.T) {
	for config, servers := range map[string]int{"server.conf": 1, "cluster.conf": 3} {
		t.Run(config, func(t *testing.T) {
			at := deployNATS(t, config, servers)
			replicas := fmt.Sprintf("PAIRGATE_REPLICAS=%d", servers)
			provision := at.program("provision")
			provision.Env = []string{"PAIRGATE_LOG_FORMAT=json", replicas}
			for name, value := range at.env("provision") {
				provision.Env = append(provision.Env, name+"="+value)
			}
			logs := map[string]func() string{}
			output := run(t, provision)
			logs["provision"] = func() string { return output }

			d := e2e.FiveAt(t, &binaries, func(service string) map[string]string {
				env := at.env(service)
				env["PAIRGATE_REPLICAS"] = fmt.Sprint(servers)
				return env
			})
			for name, p := range d.Processes {
				logs[name] = p.Log
			}
			client := at.connect("client")
			events, err := client.SubscribeSync("pairgate.live.v1.events.>")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ask(client, bus.SubjectInstancesList, map[string]string{}); err != nil {
				t.Fatalf("another service asks for a list of instances: %v", err)
			}
			askAboutDeliveries(t, d, client)
			askAsGreenAPI(t, d)
			(&evolution{T: t, d: d, messenger: instance.WhatsApp, key: d.API.Key()}).job()
			mainJob(t, d, instance.Simulated)
			if _, err := events.NextMsg(5 * time.Second); err != nil {
				t.Errorf("another service hears no event: %v", err)
			}
			if err := client.LastError(); err != nil {
				t.Errorf("another service: %v", err)
			}
			for name, log := range logs {
				for line := range strings.Lines(log()) {
					if strings.Contains(line, "NATS denies us a subject") || strings.Contains(line, "ermissions") {
						t.Errorf("%s: %s", name, line)
					}
				}
			}
		})
	}
}

// askAboutDeliveries makes each request about deliveries, as another service. None of
// them may need a right that nobody has.
func askAboutDeliveries(t *testing.T, d *e2e.Deployment, client *nats.Conn) {
	t.Helper()
	receiver := e2e.NewReceiver(t)
	webhook := create(t, d, "asked", receiver)["webhooks"].([]any)[0].(map[string]any)["id"].(string)
	delivery := receiver.Await("created", func(w e2e.Webhook) bool { return w.Kind == "created" }).ID
	bustest.CheckFor(t, 20*time.Second, func() error {
		list, err := ask(client, bus.SubjectWebhooksDeliveries, map[string]string{"webhookId": webhook, "state": "delivered"})
		if err == nil && !strings.Contains(list, delivery) {
			err = errors.New("the delivery is not listed")
		}
		return err
	})
	for subject, request := range map[string]map[string]string{
		bus.SubjectWebhooksTest:      {"webhookId": webhook, "ref": "asked"},
		bus.SubjectWebhooksRedeliver: {"deliveryId": delivery},
		bus.SubjectWebhooksReplay:    {"webhookId": webhook, "since": time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)},
	} {
		if _, err := ask(client, subject, request); err != nil {
			t.Errorf("%s: %v", subject, err)
		}
	}
	d.API.Want(http.StatusNoContent, http.MethodDelete, "/v1/instances/asked", nil)
}

// ask makes a request as a program without our library does.
func ask(nc *nats.Conn, subject string, request map[string]string) (string, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return "", err
	}
	answer, err := nc.Request(subject, body, 20*time.Second)
	if err != nil {
		return "", err
	}
	if code := answer.Header.Get("Nats-Service-Error-Code"); code != "" {
		return "", fmt.Errorf("%s: %s", code, answer.Data)
	}
	return string(answer.Data), nil
}

// TestOneWriterForEachTruth asks as every user for every right that matters, and
// finds it given to those alone who need it. There are no streams here, so that
// what is let through changes nothing.
func TestOneWriterForEachTruth(t *testing.T) {
	at := deployNATS(t, "server.conf", 1)
	const id = "019a0000-0000-7000-8000-000000000001"
	users := []string{"provision", "instance-registry", "session-worker", "qr-renderer", "webhook-dispatcher", "gateway", "client"}
	publish := map[string][]string{
		"$KV.INSTANCES.i.000." + id:                    {"instance-registry"},
		"$KV.ENDPOINTS.e.x":                            {"instance-registry"},
		"$KV.SETTINGS.settings":                        {"instance-registry"},
		"$KV.VAULT.v.000." + id:                        {"session-worker"},
		"$KV.WORKERS.w.session-worker.x":               {"session-worker"},
		"$KV.WORKERS.w.webhook-dispatcher.x":           {"webhook-dispatcher"},
		"pairgate.v1.owners.000":                       {"session-worker"},
		"pairgate.v1.events." + id + ".status":         {"session-worker"},
		"pairgate.v1.events." + id + ".code":           {"session-worker"},
		"pairgate.v1.events." + id + ".qr":             {"qr-renderer"},
		"pairgate.v1.events." + id + ".created":        {"instance-registry"},
		"pairgate.v1.events." + id + ".deleted":        {"instance-registry"},
		"pairgate.v1.deliveries.000.x." + id:           {"webhook-dispatcher"},
		"pairgate.v1.roles.webhook-router":             {"webhook-dispatcher"},
		"pairgate.v1.sessions.000." + id + ".password": {"instance-registry"},
		"pairgate.v1.instances.create":                 {"gateway", "client"},
		"pairgate.v1.instances.resolve-token":          {"gateway"},
		"pairgate.v1.instances.reveal":                 {"gateway"},
		"pairgate.v1.queue." + id:                      {"webhook-dispatcher"},
		"pairgate.v1.queue-owners.queue-projector":     {"webhook-dispatcher"},
		"$JS.API.STREAM.MSG.GET.QUEUE":                 {"webhook-dispatcher", "gateway"},
		"$JS.API.STREAM.MSG.DELETE.QUEUE":              {"gateway"},
		"pairgate.v1.settings.update":                  {"gateway"},
		"pairgate.live.v1.events." + id + ".status":    nil,
		"$JS.API.STREAM.CREATE.X":                      {"provision"},
		"$JS.API.STREAM.DELETE.EVENTS":                 nil,
		"$JS.API.STREAM.MSG.DELETE.EVENTS":             nil,
		"$JS.API.STREAM.MSG.DELETE.DELIVERIES":         {"webhook-dispatcher"},
		"$JS.API.STREAM.MSG.GET.KV_VAULT":              {"session-worker"},
		"$JS.API.STREAM.PURGE.EVENTS":                  {"instance-registry"},
		"$JS.API.CONSUMER.CREATE.KV_VAULT.x":           nil,
		"$JS.API.CONSUMER.CREATE.DELIVERIES.x":         {"webhook-dispatcher"},
		"$JS.API.CONSUMER.DELETE.EVENTS.qr-renderer.x": nil,
		"_INBOX_gateway.anything":                      nil,
		"_INBOX.anything":                              nil,
		"anything":                                     nil,
	}
	subscribe := map[string][]string{
		"_INBOX_gateway.>":                            {"gateway"},
		"_INBOX_session-worker.>":                     {"session-worker"},
		"_INBOX.>":                                    {"client"},
		"pairgate.v1.instances.create":                {"instance-registry"},
		"pairgate.v1.sessions.000." + id + ".passkey": {"session-worker"},
		"pairgate.v1.events.>":                        nil,
		"pairgate.live.kv.INSTANCES.>":                {"instance-registry", "session-worker", "qr-renderer", "webhook-dispatcher", "gateway"},
		"pairgate.live.v1.events.>":                   {"instance-registry", "gateway", "client"},
		"$KV.>":                                       nil,
		">":                                           nil,
	}
	for _, user := range users {
		nc := at.connect(user)
		refused := func(ask func() error) bool {
			before := nc.LastError()
			if err := ask(); err != nil {
				t.Fatal(err)
			}
			// The answer to the ping stands behind that to what was asked.
			if err := nc.FlushTimeout(5 * time.Second); err != nil {
				t.Fatal(err)
			}
			after := nc.LastError()
			return after != nil && after != before && errors.Is(after, nats.ErrPermissionViolation)
		}
		for subject, allowed := range publish {
			got := !refused(func() error { return nc.Publish(subject, nil) })
			if want := slices.Contains(allowed, user); got != want {
				t.Errorf("%s may publish %s: %v, want %v", user, subject, got, want)
			}
		}
		for subject, allowed := range subscribe {
			got := !refused(func() error { _, err := nc.SubscribeSync(subject); return err })
			if want := slices.Contains(allowed, user); got != want {
				t.Errorf("%s may subscribe to %s: %v, want %v", user, subject, got, want)
			}
		}
	}

	env := at.env("gateway")
	key, err := nats.NkeyOptionFromSeed(env["PAIRGATE_NATS_NKEY"])
	if err != nil {
		t.Fatal(err)
	}
	for name, options := range map[string][]nats.Option{
		"without a certificate": {key, nats.RootCAs(env["PAIRGATE_NATS_CA"])},
		"without a key":         {nats.RootCAs(env["PAIRGATE_NATS_CA"]), nats.ClientCert(env["PAIRGATE_NATS_CERT"], env["PAIRGATE_NATS_KEY"])},
	} {
		if nc, err := nats.Connect(env["PAIRGATE_NATS_URL"], options...); err == nil {
			nc.Close()
			t.Errorf("connected %s", name)
		}
	}
}
