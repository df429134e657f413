package cli_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/standalone/internal/cli"
	"pairgate.dev/services/standalone/internal/e2e"
)

var (
	binaries e2e.Binaries
	update   = flag.Bool("update", false, "write the golden files anew")
)

func TestMain(m *testing.M) {
	code := m.Run()
	binaries.Remove()
	os.Exit(code)
}

// user runs commands as somebody on the machine of a deployment.
type user struct {
	t   *testing.T
	d   *e2e.Deployment
	env []string
	in  string
}

func userOf(t *testing.T, d *e2e.Deployment) user {
	return user{t: t, d: d, env: []string{"PAIRGATE_URL=" + d.API.URL(), "PAIRGATE_DATA_DIR=" + d.DataDir, "PAIRGATE_NATS_URL=" + d.NATS.ConnectedUrl()}}
}

type outcome struct {
	code     int
	out, err string
}

func (u user) run(args ...string) outcome { return u.runIn(u.t.Context(), args...) }

func (u user) runIn(ctx context.Context, args ...string) outcome {
	var out, errs buffer
	code := cli.Run(ctx, args, u.env, cli.Streams{In: strings.NewReader(u.in), Out: &out, Err: &errs})
	return outcome{code, out.String(), errs.String()}
}

// ok runs a command that has to succeed, and returns what it prints.
func (u user) ok(args ...string) string {
	u.t.Helper()
	o := u.run(args...)
	if o.code != 0 || o.err != "" {
		u.t.Fatalf("pairgate %s: status %d\n%s%s", strings.Join(args, " "), o.code, o.out, o.err)
	}
	return o.out
}

// buffer is written by a command and read by its test.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// changing is what is another in each run.
var changing = []struct {
	pattern *regexp.Regexp
	word    string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`), "<id>"},
	{regexp.MustCompile(`\b[0-9a-f]{50}\b`), "<token>"},
	{regexp.MustCompile(`whsec_[A-Za-z0-9+/=]+`), "<secret>"},
	{regexp.MustCompile(`\b9000\d{6}\b`), "<number>"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "<time>"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "<address>"},
}

func settled(text string) string {
	for _, c := range changing {
		text = c.pattern.ReplaceAllString(text, c.word)
	}
	return text
}

// golden compares a text with a file of testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s is not what is printed now (go test -update writes it):\n%s", path, text)
	}
}

// transcript shows commands and what they print, as in a terminal.
type transcript struct {
	user
	text strings.Builder
	// show shortens an argument; may be nil.
	show func(string) string
}

func (s *transcript) do(args ...string) outcome {
	o := s.run(args...)
	shown := slices.Clone(args)
	for i := range shown {
		if s.show != nil {
			shown[i] = s.show(shown[i])
		}
	}
	fmt.Fprintf(&s.text, "$ pairgate %s\n%s", strings.Join(shown, " "), o.out)
	for line := range strings.Lines(o.err) {
		s.text.WriteString("! " + line)
	}
	if o.code != 0 {
		fmt.Fprintf(&s.text, "= %d\n", o.code)
	}
	s.text.WriteByte('\n')
	return o
}

func addPhone(t *testing.T, d *e2e.Deployment, phone string) {
	t.Helper()
	if _, err := d.Lab.AddAccount(t.Context(), labapi.NewAccount{Provider: "simulated", Phone: phone, Name: "Ann"}); err != nil {
		t.Fatal(err)
	}
}
