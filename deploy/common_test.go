// Package deploy_test checks what is in deploy and docker-compose.yml: it can be built
// and started only where there are containers.
package deploy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pairgate.dev/deploy/internal/secrets"
	"pairgate.dev/pkg/service"
)

// generate makes secrets and returns their directory.
func generate(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "secrets")
	if err := secrets.Generate(dir, []string{"localhost"}, []string{"postgres"}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// readEnv reads a file of NAME=value lines.
func readEnv(t *testing.T, file string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
	}
	env := map[string]string{}
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		env[name] = value
	}
	return env
}

// checkEnvironment checks that a service takes the environment, and finds what it names
// in the directory of its NATS user.
func checkEnvironment(t *testing.T, name string, env map[string]string, secretsDir, user string) {
	t.Helper()
	var environ []string
	for k, v := range env {
		environ = append(environ, k+"="+v)
	}
	var common service.Common
	if err := service.Parse(environ, &common); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	for _, file := range []string{common.NATSNKey, common.NATSCA, common.NATSCert, common.NATSKey} {
		rest, ok := strings.CutPrefix(file, "/etc/pairgate/")
		if !ok {
			t.Errorf("%s looks for the file %q", name, file)
			continue
		}
		if _, err := os.Stat(filepath.Join(secretsDir, user, rest)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if common.Streams != "check" || common.Replicas != 3 || common.MetricsAddr == "" {
		t.Errorf("%s: streams %s, %d replicas, metrics at %q", name, common.Streams, common.Replicas, common.MetricsAddr)
	}
}

// checkImage checks that the image is one that is built here.
func checkImage(t *testing.T, image string) {
	t.Helper()
	program, ok := strings.CutPrefix(strings.TrimSuffix(image, ":dev"), "pairgate-")
	if !ok || strings.Contains(image, "/") {
		t.Errorf("image %s is not built from this repository", image)
		return
	}
	checkProgram(t, program)
}

// checkProgram checks that the Dockerfile can build the program.
func checkProgram(t *testing.T, program string) {
	t.Helper()
	if program == "nats-server" {
		return
	}
	for _, pattern := range []string{"../services/*/cmd/" + program, "cmd/" + program} {
		if found, err := filepath.Glob(pattern); err == nil && len(found) == 1 {
			return
		}
	}
	t.Errorf("there is no program %s", program)
}
