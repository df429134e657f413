package standalone_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pairgate.dev/pkg/bus/bustest"
)

const (
	alertRules = "../../deploy/prometheus/alerts.yml"
	dashboard  = "../../deploy/grafana/pairgate.json"
)

// TestAlertsFireWhenTheyShould has promtool check the rules and run their tests.
func TestAlertsFireWhenTheyShould(t *testing.T) {
	for _, arguments := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		command := exec.CommandContext(t.Context(), "promtool", arguments...)
		command.Dir = "../../deploy/prometheus"
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v (scripts/install-promtool installs it)\n%s", strings.Join(arguments, " "), err, output)
		}
	}
	rules, tests := read(t, alertRules), read(t, "../../deploy/prometheus/alerts_test.yml")
	for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(rules, -1) {
		if !strings.Contains(tests, "alertname: "+m[1]) {
			t.Errorf("%s has no test", m[1])
		}
	}
}

// TestDashboardAndAlertsShowWhatIsExported runs everything and scrapes it: a
// panel or an alert about a metric that nobody exports would stay silent for ever.
func TestDashboardAndAlertsShowWhatIsExported(t *testing.T) {
	o := observe(t, "")
	var exported map[string]bool
	// Some are counted a moment after what they count was seen.
	bustest.CheckFor(t, 30*time.Second, func() error {
		exported = families(string(o.api.Want(http.StatusOK, http.MethodGet, "/metrics", nil).Raw))
		return missing(exported, map[string]string{"dashboard": read(t, dashboard), "alerts": read(t, alertRules)})
	})

	var d struct {
		Panels []struct {
			ID          int
			Title, Type string
			GridPos     struct{ X, Y, W, H int }
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, dashboard)), &d); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	rules := &strings.Builder{}
	rules.WriteString("groups:\n- name: panels\n  rules:\n")
	for _, p := range d.Panels {
		if ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %d %q is not in order", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			expr, err := json.Marshal(strings.NewReplacer("$__rate_interval", "5m", "$namespace", ".*").Replace(target.Expr))
			if err != nil {
				t.Fatal(err)
			}
			rules.WriteString("  - record: panel\n    expr: " + string(expr) + "\n")
		}
	}
	// As rules, so that promtool says whether they are PromQL.
	file := t.TempDir() + "/panels.yml"
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.CommandContext(t.Context(), "promtool", "check", "rules", "--lint=none", file).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, output)
	}
}

// families returns the names under which samples are exported.
func families(scrape string) map[string]bool {
	names := map[string]bool{}
	for line := range strings.Lines(scrape) {
		if name, _, ok := strings.Cut(line, "{"); ok || !strings.HasPrefix(line, "#") {
			name, _, _ = strings.Cut(name, " ")
			names[name] = true
		}
	}
	return names
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

var metricName = regexp.MustCompile(`\b(pairgate|go|process)_[a-z0-9_]+`)

type missingMetrics []string

func (m missingMetrics) Error() string { return "not exported: " + strings.Join(m, ", ") }

// missing returns a missingMetrics of what the files name and nobody exports.
func missing(exported map[string]bool, files map[string]string) error {
	var absent missingMetrics
	for file, content := range files {
		for _, name := range metricName.FindAllString(content, -1) {
			if entry := name + " (" + file + ")"; !exported[name] && !slices.Contains(absent, entry) {
				absent = append(absent, entry)
			}
		}
	}
	if absent == nil {
		return nil
	}
	slices.Sort(absent)
	return absent
}
