package standalone_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// list returns what `go list` says of every package of the workspace that is ours, tests left out.
func list(t *testing.T) map[string]listed {
	t.Helper()
	command := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "work")
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := map[string]listed{}
	for decoder := json.NewDecoder(strings.NewReader(string(output))); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages[p.ImportPath] = p
	}
}

func under(path string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return path == root || strings.HasPrefix(path, root+"/") })
}

const (
	pkgs     = "pairgate.dev/pkg"
	services = "pairgate.dev/services"
)

// TestDependencyRules keeps the layers of the architecture apart.
func TestDependencyRules(t *testing.T) {
	packages := list(t)
	if len(packages) < 20 {
		t.Fatalf("go list found %d packages only", len(packages))
	}
	ours := func(deps []string) (o []string) {
		for _, d := range deps {
			if under(d, "pairgate.dev") {
				o = append(o, d)
			}
		}
		return o
	}
	service := func(path string) string {
		rest, ok := strings.CutPrefix(path, services+"/")
		if !ok {
			return ""
		}
		name, _, _ := strings.Cut(rest, "/")
		return name
	}
	for path, p := range packages {
		switch {
		case path == pkgs+"/instance" || path == pkgs+"/seal":
			for _, d := range p.Deps {
				if strings.Contains(strings.SplitN(d, "/", 2)[0], ".") {
					t.Errorf("%s imports %s; it is to need the standard library only", path, d)
				}
			}
		case under(path, pkgs):
			for _, d := range ours(p.Deps) {
				if under(d, services) {
					t.Errorf("%s imports the service package %s", path, d)
				}
			}
		}
		if name := service(path); name != "" && name != "standalone" {
			for _, d := range ours(p.Deps) {
				if other := service(d); other != "" && other != name {
					t.Errorf("%s imports %s of another service", path, d)
				}
			}
		}
		if under(path, services+"/session-worker/driver") {
			for _, d := range ours(p.Imports) {
				if !under(d, pkgs+"/instance", pkgs+"/simwire", services+"/session-worker/driver") {
					t.Errorf("%s imports %s; a driver knows the domain and its own protocol only", path, d)
				}
			}
		}
		if slices.ContainsFunc(p.Imports, func(d string) bool { return under(d, "github.com/nats-io/nats-server") }) &&
			!under(path, pkgs+"/bus/embedded", pkgs+"/bus/bustest") {
			t.Errorf("%s imports the NATS server", path)
		}
		if natsInside(path) && slices.ContainsFunc(p.Imports, func(d string) bool { return under(d, "github.com/nats-io/nats.go") }) {
			t.Errorf("%s imports nats.go; NATS types belong to pkg/bus, pkg/lease and the edge of a service", path)
		}
	}
	for path, p := range packages {
		if strings.Contains(path, "/cmd/") && service(path) != "standalone" &&
			slices.ContainsFunc(p.Deps, func(d string) bool { return under(d, "github.com/nats-io/nats-server") }) {
			t.Errorf("%s links the NATS server", path)
		}
	}
}

// natsInside says whether the package lies where NATS types do not belong.
func natsInside(path string) bool {
	return under(path, pkgs+"/instance", pkgs+"/seal", pkgs+"/service", services+"/session-worker/driver",
		services+"/session-worker/internal/session", services+"/qr-renderer/internal/picture", services+"/gateway/internal/native",
		services+"/webhook-dispatcher/signature", services+"/webhook-dispatcher/internal/sender", services+"/lab")
}
