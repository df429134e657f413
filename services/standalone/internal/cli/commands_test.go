package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/services/standalone/internal/e2e"
)

// TestCommands drives one process with every command, as people and scripts do.
func TestCommands(t *testing.T) {
	d := e2e.One(t, &binaries)
	t.Run("transcript", func(t *testing.T) { wholeWay(t, d) })
	t.Run("import", func(t *testing.T) { imports(t, d) })
	t.Run("deliveries", func(t *testing.T) { deliveries(t, d) })
	t.Run("json", func(t *testing.T) { scripts(t, d) })
	t.Run("events", func(t *testing.T) { follows(t, d) })
	t.Run("connect without a terminal", func(t *testing.T) { connectsInAPipe(t, d) })
	t.Run("connect with a code to type", func(t *testing.T) { connectsByCode(t, d) })
	t.Run("connect that fails", func(t *testing.T) { connectFails(t, d) })
	t.Run("connect in a terminal", func(t *testing.T) { connectsInATerminal(t, d) })
	t.Run("connect in a small terminal", func(t *testing.T) { connectsInASmallTerminal(t, d) })
	t.Run("delete in a terminal", func(t *testing.T) { asksBeforeItDeletes(t, d) })
	t.Run("Ctrl-C", func(t *testing.T) { interrupted(t, d) })
}

func wholeWay(t *testing.T, d *e2e.Deployment) {
	receiver := e2e.NewReceiver(t)
	s := &transcript{user: userOf(t, d)}
	s.do("create", "shop", "--provider", "simulated", "--phone", "+1 555 010 0051", "--webhook", receiver.URL())
	s.do("create", "--provider=simulated", "shop")
	s.do("create", "a/b", "--provider", "telegram", "--number", "12")
	s.do("ls")
	s.do("ls", "--phase", "online")
	s.do("ls", "--phase", "asleep", "--provider", "fax")
	s.do("status", "shop")
	s.do("status", "nobody")
	s.do("restart", "shop")
	s.do("logout", "shop")
	s.do("token", "shop")
	s.do("webhooks", "ls", "--instance", "shop")
	added := s.do("webhooks", "add", receiver.URL(), "--events", "status,deleted", "--header", "X-Shop=1")
	id := regexp.MustCompile(`added (\S+)`).FindStringSubmatch(added.out)[1]
	s.do("webhooks", "ls")
	s.do("webhooks", "test", id)
	s.do("webhooks", "add", "ftp://example.com", "--format", "xml")
	s.do("webhooks", "rm", id)
	s.do("webhooks", "rm", id)
	s.do("request", "pairgate.v1.instances.get", `{"ref":"nobody"}`)
	s.do("request", "pairgate.v1.qr.render", `{"text":"","format":"gif"}`)
	s.do("request", "pairgate.v1.nothing")
	s.do("delete", "shop")
	s.do("delete", "shop", "--yes")
	s.do("ls")
	golden(t, "transcript", settled(s.text.String()))
}

func imports(t *testing.T, d *e2e.Deployment) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const token = "a-token-of-the-old-system-1"
	table := write("table.csv", "name,provider,number,token,phone\n"+
		"north,simulated,71000001,"+token+",\n"+
		"a/b,telegram,12,,\n"+
		"\"south, east\",simulated,,,15550100052\n")
	s := &transcript{user: userOf(t, d)}
	s.show = func(path string) string { return filepath.Base(path) }
	s.do("import", table)
	s.do("import", table)
	s.do("import", write("table.json", `[{"name":"west","provider":"simulated","number":71000003},{"name":"west","provider":"simulated"}]`))
	s.do("import", write("bad.csv", "name,colour\nx,red\n"))
	s.do("import", write("empty.csv", ""))
	golden(t, "import", settled(s.text.String()))
	if strings.Contains(s.text.String(), token) {
		t.Error("a token was shown")
	}
	// The imported token is the instance's.
	d.API.With(token).Want(200, "GET", "/v1/instances/north", nil)
}

func deliveries(t *testing.T, d *e2e.Deployment) {
	u := userOf(t, d)
	receiver := e2e.NewReceiver(t)
	u.ok("create", "told", "--provider", "simulated", "--webhook", receiver.URL())
	id := regexp.MustCompile(`(?m)^\S{36}`).FindString(u.ok("webhooks", "ls", "--instance", "told"))
	bustest.CheckFor(t, 20*time.Second, func() error {
		out := u.ok("deliveries", id, "--state", "delivered")
		if !regexp.MustCompile(`\d+ +created +delivered +1 +204 +-\n`).MatchString(out) {
			return fmt.Errorf("deliveries says:\n%s", out)
		}
		return nil
	})
	if o := u.run("deliveries", "nothing"); o.code != 1 || !strings.Contains(o.err, "webhook_not_found") {
		t.Errorf("of an unknown webhook: %+v", o)
	}
}

// scripts checks that --json prints what the gateway answers, a JSON value a line.
func scripts(t *testing.T, d *e2e.Deployment) {
	u := userOf(t, d)
	u.in = `[{"name":"imported","provider":"simulated"}]`
	receiver := e2e.NewReceiver(t)
	for _, args := range []string{"create scripted --provider simulated", "status scripted", "ls", "token scripted", "logout scripted", "restart scripted",
		"webhooks add " + receiver.URL(), "webhooks ls", "request pairgate.v1.instances.get {\"ref\":\"scripted\"}", "events scripted", "import -", "delete scripted --yes"} {
		out := u.ok(append(strings.Fields(args), "--json")...)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		for _, line := range lines {
			if !json.Valid([]byte(line)) {
				t.Errorf("%s printed %q", args, line)
			}
		}
	}
	var listed struct{ Instances []struct{ Name string } }
	if err := json.Unmarshal([]byte(u.ok("ls", "--name", "imported", "--json")), &listed); err != nil || len(listed.Instances) != 1 {
		t.Fatalf("ls --json: %v, %d instances", err, len(listed.Instances))
	}
	u.env = append(u.env, "PAIRGATE_ADMIN_KEY=not-the-key-of-this-gateway")
	if o := u.run("ls", "--json"); o.code != 1 || o.out != "" || !strings.Contains(o.err, "unauthorized") {
		t.Errorf("with a wrong key: %+v", o)
	}
	u.env = append(u.env, "PAIRGATE_URL=http://127.0.0.1:1")
	if o := u.run("ls"); o.code != 1 || !strings.Contains(o.err, "no answer from the gateway at http://127.0.0.1:1") {
		t.Errorf("without a gateway: %+v", o)
	}
	u.env = append(u.env, "PAIRGATE_NATS_PASSWORD=wrong", "PAIRGATE_NATS_USER=nobody")
	if o := u.run("request", "pairgate.v1.instances.list"); o.code != 1 || !strings.Contains(o.err, "NATS refuses us") {
		t.Errorf("with a wrong NATS user: %+v", o)
	}
}
