// Command readme writes the configuration table of the README from the struct
// tags that the programs read. With -check it fails when the table is another.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"pairgate.dev/pkg/service"
	"pairgate.dev/services/gateway"
	registry "pairgate.dev/services/instance-registry"
	renderer "pairgate.dev/services/qr-renderer"
	worker "pairgate.dev/services/session-worker"
	"pairgate.dev/services/standalone"
	"pairgate.dev/services/standalone/internal/cli"
	dispatcher "pairgate.dev/services/webhook-dispatcher"
)

const (
	begin = "<!-- configuration: written by make generate -->\n"
	end   = "<!-- end of configuration -->\n"
)

func main() {
	check := flag.Bool("check", false, "fail when the table is not what would be written")
	flag.Parse()
	if err := run(flag.Arg(0), *check); err != nil {
		fmt.Fprintln(os.Stderr, "readme:", err)
		os.Exit(1)
	}
}

func run(path string, check bool) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(content), begin)
	_, after, found := strings.Cut(rest, end)
	if !ok || !found {
		return fmt.Errorf("%s has no place for the configuration", path)
	}
	written := before + begin + "\n" + table() + "\n" + end + after
	switch {
	case written == string(content):
		return nil
	case check:
		return fmt.Errorf("%s is not up to date; run: make generate", path)
	}
	return os.WriteFile(path, []byte(written), 0o644)
}

// table lists what each program reads. A variable that several read stands once,
// under the first.
func table() string {
	parts := []struct {
		title  string
		config []any
	}{
		{"The one-process program", []any{standalone.Own{}}},
		{"Each service as a program of its own", []any{service.Common{}}},
		{"gateway", []any{gateway.Config{}}},
		{"instance-registry", []any{registry.Config{}}},
		{"session-worker", []any{worker.Config{}}},
		{"qr-renderer", []any{renderer.Config{}}},
		{"webhook-dispatcher", []any{dispatcher.Config{}}},
		{"The commands for people", []any{cli.Own{}}},
	}
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "#### %s\n\n%s\n", p.title, service.MarkdownTable(p.config...))
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}
