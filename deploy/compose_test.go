package deploy_test

import (
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// compose is as much of the Compose file format as ours uses. Decoding is strict, so a
// misspelt key fails the test.
type compose struct {
	Name     string                    `json:"name"`
	Services map[string]composeService `json:"services"`
	Volumes  map[string]*struct{}      `json:"volumes"`
	Configs  map[string]composeFile    `json:"configs"`
	Secrets  map[string]composeFile    `json:"secrets"`
}

type composeFile struct {
	File string `json:"file"`
}

type composeMount struct {
	Source string `json:"source"`
	Target string `json:"target"`
}

type composeService struct {
	Image string `json:"image"`
	Build struct {
		Context    string            `json:"context"`
		Dockerfile string            `json:"dockerfile"`
		Args       map[string]string `json:"args"`
	} `json:"build"`
	Command   []string `json:"command"`
	DependsOn map[string]struct {
		Condition string `json:"condition"`
	} `json:"depends_on"`
	Environment map[string]string `json:"environment"`
	EnvFile     string            `json:"env_file"`
	Healthcheck *struct {
		Test        []string `json:"test"`
		Interval    string   `json:"interval"`
		Timeout     string   `json:"timeout"`
		Retries     int      `json:"retries"`
		StartPeriod string   `json:"start_period"`
	} `json:"healthcheck"`
	Init            bool           `json:"init"`
	ReadOnly        bool           `json:"read_only"`
	User            string         `json:"user"`
	Tmpfs           []string       `json:"tmpfs"`
	CapDrop         []string       `json:"cap_drop"`
	SecurityOpt     []string       `json:"security_opt"`
	Restart         string         `json:"restart"`
	StopGracePeriod string         `json:"stop_grace_period"`
	StopSignal      string         `json:"stop_signal"`
	Volumes         []string       `json:"volumes"`
	Ports           []string       `json:"ports"`
	Configs         []composeMount `json:"configs"`
	Secrets         []composeMount `json:"secrets"`
}

func readCompose(t *testing.T) compose {
	t.Helper()
	content, err := os.ReadFile("../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := yaml.UnmarshalStrict(content, &all); err != nil {
		t.Fatal(err)
	}
	// Extensions (x-…) are only what the rest refers to.
	maps.DeleteFunc(all, func(key string, _ any) bool { return strings.HasPrefix(key, "x-") })
	merged, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	var c compose
	if err := yaml.UnmarshalStrict(merged, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// postgres is the one image that is not built from this repository.
const postgres = "postgres:17"

func TestComposeFileIsWhole(t *testing.T) {
	c := readCompose(t)
	made := generate(t)
	exists := func(file string) bool {
		path := filepath.Join("..", file)
		if rest, ok := strings.CutPrefix(strings.TrimPrefix(file, "./"), "deploy/secrets/"); ok {
			path = filepath.Join(made, rest)
		}
		_, err := os.Stat(path)
		return err == nil
	}
	kinds := map[string]int{}
	for name, s := range c.Services {
		t.Run(name, func(t *testing.T) {
			data := "/data"
			if s.Image == postgres {
				data = "/var/lib/postgresql/data"
			} else {
				checkImage(t, s.Image)
				checkProgram(t, s.Build.Args["PROGRAM"])
				if "pairgate-"+s.Build.Args["PROGRAM"] != s.Image || !exists(s.Build.Dockerfile) {
					t.Errorf("image %s is built as %s by %s", s.Image, s.Build.Args["PROGRAM"], s.Build.Dockerfile)
				}
			}
			kinds[s.Build.Args["PROGRAM"]]++
			if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.SecurityOpt) != 1 || s.Restart == "" {
				t.Error("may do more than it needs, or is not started again")
			}
			if grace, err := time.ParseDuration(s.StopGracePeriod); err != nil || grace < 15*time.Second {
				t.Errorf("is killed %v after it is told to end", s.StopGracePeriod)
			}
			for other, d := range s.DependsOn {
				on, ok := c.Services[other]
				if !ok || d.Condition != "service_healthy" && d.Condition != "service_completed_successfully" ||
					(d.Condition == "service_healthy") != (on.Healthcheck != nil) {
					t.Errorf("waits for %s to be %s", other, d.Condition)
				}
			}
			for _, v := range s.Volumes {
				source, target, _ := strings.Cut(v, ":")
				switch _, declared := c.Volumes[source]; {
				case strings.HasPrefix(source, "./"):
					if !exists(source) || !strings.HasSuffix(target, ":ro") {
						t.Errorf("mounts %s", v)
					}
				case !declared || target != data:
					t.Errorf("mounts %s", v)
				}
			}
			for _, p := range s.Ports {
				if !strings.HasPrefix(p, "127.0.0.1:") {
					t.Errorf("port %s is open to the world without TLS", p)
				}
			}
			for files, mounts := range map[*map[string]composeFile][]composeMount{&c.Configs: s.Configs, &c.Secrets: s.Secrets} {
				for _, m := range mounts {
					if f, ok := (*files)[m.Source]; !ok || !exists(f.File) || filepath.Base(f.File) != filepath.Base(m.Target) {
						t.Errorf("is given %s as %s", m.Source, m.Target)
					}
				}
			}
			checkComposeRole(t, name, s, made)
		})
	}
	want := map[string]int{"": 1, "nats-server": 3, "provision": 1, "instance-registry": 1, "session-worker": 2, "qr-renderer": 1, "webhook-dispatcher": 1, "gateway": 2}
	if !maps.Equal(kinds, want) {
		t.Errorf("runs %v, want %v", kinds, want)
	}
}

// checkComposeRole checks what is another matter for NATS, the provisioning and the services.
func checkComposeRole(t *testing.T, name string, s composeService, made string) {
	t.Helper()
	program := s.Build.Args["PROGRAM"]
	if s.Image == postgres {
		if name != "postgres" || s.User != "postgres" || s.Healthcheck == nil || len(s.Tmpfs) == 0 || len(s.Ports) > 0 {
			t.Errorf("runs as %q with the ports %v", s.User, s.Ports)
		}
		return
	}
	if program == "nats-server" {
		if s.Environment["NATS_NODE"] != name || !strings.Contains(s.Environment["NATS_ROUTES"], "tls://"+name+":6222") {
			t.Errorf("is called %s in a cluster of %s", s.Environment["NATS_NODE"], s.Environment["NATS_ROUTES"])
		}
		return
	}
	if program != "provision" && (s.Healthcheck == nil || !slices.Equal(s.Healthcheck.Test, []string{"CMD", "/probe", "http://127.0.0.1:9090/readyz"})) {
		t.Error("has no health check of its readiness")
	}
	env := maps.Clone(s.Environment)
	if s.EnvFile != "" {
		if s.EnvFile != "deploy/secrets/"+program+"/service.env" {
			t.Errorf("reads %s", s.EnvFile)
		}
		maps.Copy(env, readEnv(t, filepath.Join(made, strings.TrimPrefix(s.EnvFile, "deploy/secrets/"))))
	}
	if s.Volumes[0] != "./deploy/secrets/"+program+":/etc/pairgate:ro" {
		t.Errorf("is at NATS as %s", s.Volumes[0])
	}
	checkEnvironment(t, name, env, made, program)
	if program == "session-worker" {
		checkDatabase(t, env["PAIRGATE_WHATSAPP_DB"], made)
	}
}

// checkDatabase checks that the worker proves who it is to a server that does the
// same, with files that it has.
func checkDatabase(t *testing.T, dsn, made string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil || u.Host != "postgres:5432" || u.User.String() != "session-worker" || u.Path != "/pairgate" || u.Query().Get("sslmode") != "verify-full" {
		t.Errorf("the database is %s (%v)", dsn, err)
		return
	}
	for _, file := range []string{"sslrootcert", "sslcert", "sslkey"} {
		name, ok := strings.CutPrefix(u.Query().Get(file), "/etc/pairgate/")
		if _, err := os.Stat(filepath.Join(made, "session-worker", name)); err != nil || !ok {
			t.Errorf("%s is %s (%v)", file, u.Query().Get(file), err)
		}
	}
}
