package standalone_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/lab/labapi"
)

// conforms runs the exchanges of a file in their order.
func (g *green) conforms(file string, names map[string]string) {
	g.Helper()
	names["{partner}"] = partnerToken
	fill := func(text string) string {
		for name, value := range names {
			text = strings.ReplaceAll(text, name, value)
		}
		return strings.ReplaceAll(text, "<large>", `{"name":"`+strings.Repeat("x", 100<<10)+`"}`)
	}
	for _, x := range readExchanges(g.T, "green-api", file) {
		a := g.send(x.method, fill(x.path), fill(x.body), x.header...)
		if want := fill(x.answer); a.status != x.status || !matchesPattern(g.T, patterns, want, a.body) {
			g.Errorf("%s: %s\n%s %s\n got: %d %.1000s\nwant: %d %.1000s", file, x.name, x.method, x.path, a.status, a.body, x.status, want)
			continue
		}
		for name, want := range x.wantHeader {
			if !matchesPattern(g.T, patterns, fill(want), a.header.Get(name)) {
				g.Errorf("%s: %s: header %s is %q, want %q", file, x.name, name, a.header.Get(name), fill(want))
			}
		}
		// What later exchanges refer to.
		if token := capture(a.body, `"apiTokenInstance":"([0-9a-f]+)"`); token != "" && strings.Contains(x.path, "updateApiToken") {
			names["{oldToken}"], names["{token}"] = names["{token}"], token
		}
		if made := capture(a.body, `"idInstance":([0-9]+)`); made != "" && strings.Contains(x.path, "createInstance") {
			names["{made}"] = made
		}
	}
}

func capture(text, expression string) string {
	if found := regexp.MustCompile(expression).FindStringSubmatch(text); found != nil {
		return found[1]
	}
	return ""
}

func (i *greenInstance) names() map[string]string {
	return map[string]string{"{id}": i.number, "{token}": i.token, "{phone}": i.phone}
}

// Every exchange that is written down, on instances in the states that they are about.
func TestGreenAPIConformance(t *testing.T) {
	t.Parallel()
	unlimited := map[string]string{"PAIRGATE_GREEN_API_LIMITS": "false"}
	for name, start := range map[string]func(*testing.T, map[string]string) *green{"simulated": greenSimulated, "whatsapp": greenWhatsApp} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, unlimited)
			g.conforms("partner", map[string]string{})
			g.conforms(map[string]string{"simulated": "partner-max", "whatsapp": "partner-without-max"}[name], map[string]string{})
			t.Run("instances", func(t *testing.T) {
				for file, make := range g.given() {
					t.Run(file, func(t *testing.T) {
						t.Parallel()
						own := g.in(t)
						own.conforms(file, make(own).names())
					})
				}
			})
		})
	}
}

// given makes the instance that a file is about. The emulated WhatsApp suspends no
// accounts, and MAX is played by the simulated messenger alone so far.
func (g *green) given() map[string]func(*green) *greenInstance {
	out := map[string]func(*green) *greenInstance{
		"new-whatsapp": func(g *green) *greenInstance {
			i := g.make(false, nil)
			i.addPhone("")
			return i
		},
		"linked-whatsapp":  func(g *green) *greenInstance { return g.linked(false) },
		"pushed-whatsapp":  (*green).pushed,
		"deleted-whatsapp": (*green).deleted,
		"blocked-whatsapp": (*green).blocked,
	}
	if g.messenger == instance.Simulated {
		out["suspended-whatsapp"] = (*green).suspended
		out["passkey-whatsapp"] = (*green).passkey
		out["new-max"] = func(g *green) *greenInstance { return g.make(true, nil) }
		out["linked-max"] = func(g *green) *greenInstance { return g.linked(true) }
		out["password-max"] = (*green).guarded
	}
	return out
}

func (g *green) linked(v3 bool) *greenInstance {
	g.Helper()
	i := g.make(v3, nil)
	i.link()
	return i
}

func (g *green) pushed() *greenInstance {
	g.Helper()
	i := g.make(false, nil)
	i.post("setSettings", map[string]any{"stateWebhook": "yes", "webhookUrl": newGreenReceiver(g.T).url(), "webhookUrlToken": "hook-token"}).want(http.StatusOK)
	return i
}

func (g *green) deleted() *greenInstance {
	g.Helper()
	i := g.make(false, nil)
	g.send(http.MethodPost, "/partner/deleteInstanceAccount/"+partnerToken, map[string]any{"idInstance": number(g.T, i.number)}).want(http.StatusOK)
	return i
}

func (g *green) suspended() *greenInstance {
	g.Helper()
	i := g.linked(false)
	if err := g.d.Lab.Suspend(g.Context(), i.phone, time.Now().Add(time.Hour)); err != nil {
		g.Fatal(err)
	}
	i.await("suspended")
	return i
}

func (g *green) blocked() *greenInstance {
	g.Helper()
	i := g.linked(false)
	if err := g.d.Lab.Ban(g.Context(), i.phone, time.Now().Add(time.Hour)); err != nil {
		g.Fatal(err)
	}
	i.await("blocked")
	return i
}

// passkey is an instance whose account asks for a passkey, after the scan.
func (g *green) passkey() *greenInstance {
	g.Helper()
	i := g.make(false, nil)
	i.phone = "79005550188"
	account := labapi.NewAccount{Provider: string(g.messenger), Phone: i.phone, Passkey: true}
	if _, err := g.d.Lab.AddAccount(g.Context(), account); err != nil {
		g.Fatal(err)
	}
	i.scan()
	g.d.API.AwaitPhase(i.number, string(instance.PasskeyRequired))
	return i
}

// guarded is an instance whose account has a password, after the scan.
func (g *green) guarded() *greenInstance {
	g.Helper()
	i := g.make(true, nil)
	i.addPhone("qwerty")
	i.scan()
	i.await("pendingPassword")
	return i
}

// What is not offered says so in the product's shape; and the README lists it, with
// everything that is.
func TestGreenAPIMethodsThatAreNotOfferedAreListed(t *testing.T) {
	t.Parallel()
	g := greenSimulated(t, nil)
	i := g.make(false, nil)
	text, err := os.ReadFile(filepath.Join("testdata", "green-api", "not-offered.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var wanted []string
	for name := range strings.FieldsSeq(string(text)) {
		wanted = append(wanted, name)
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			a := g.send(method, "/waInstance"+i.number+"/"+name+"/"+i.token, `{}`)
			if a.status != http.StatusNotFound || !strings.Contains(a.body, "does not offer the method "+name) || a.header.Get("X-Error-Code") != "not_offered" {
				t.Errorf("%s %s: %d %s", method, name, a.status, a.body)
			}
		}
	}
	offered, not := readmeMethods(t)
	if slices.Sort(wanted); !slices.Equal(not, wanted) {
		t.Errorf("the README lists as not offered\n%v\nwant\n%v", not, wanted)
	}
	for _, name := range offered {
		path := "/waInstance" + i.number + "/" + name + "/" + i.token
		if slices.Contains([]string{"createInstance", "getInstances", "deleteInstanceAccount"}, name) {
			path = "/partner/" + name + "/" + partnerToken
		}
		if a := g.send(http.MethodPatch, path, nil); a.status != http.StatusNotFound || a.header.Get("X-Error-Code") != "not_found" {
			t.Errorf("%s with another verb: %d %s", name, a.status, a.body)
		}
	}
	if len(offered) != 23 {
		t.Errorf("the README lists %d methods as offered: %v", len(offered), offered)
	}
}

// readmeMethods reads the table of the README: what is offered and what is not.
func readmeMethods(t *testing.T) (offered, not []string) {
	t.Helper()
	for line := range strings.SplitSeq(readmeSection(t, "GREEN-API: what is offered"), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		for _, name := range regexp.MustCompile("`([A-Za-z]+)`").FindAllStringSubmatch(cells[1], -1) {
			if strings.TrimSpace(cells[2]) == "yes" {
				offered = append(offered, name[1])
			} else if strings.TrimSpace(cells[2]) == "no" {
				not = append(not, name[1])
			}
		}
	}
	slices.Sort(offered)
	slices.Sort(not)
	return offered, not
}

// The rate of each method is the documented one, by messenger; a method that the
// product does not have for a messenger has the other's.
func TestGreenAPIRatesAreTheDocumentedOnes(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("testdata", "green-api", "rates.txt"))
	if err != nil {
		t.Fatal(err)
	}
	g := greenSimulated(t, nil)
	for column, v3 := range map[int]bool{2: false, 3: true} {
		i := g.make(v3, nil)
		// Receiving is refused at once then, and waits for nothing.
		i.post("setSettings", map[string]any{"webhookUrl": newGreenReceiver(t).url()}).want(http.StatusOK)
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			want := fields[column]
			if want == "-" {
				want = fields[5-column]
			}
			a := g.send(fields[0], "/waInstance"+i.number+"/"+fields[1]+"/"+i.token, "{}")
			if got := a.header.Get("X-RateLimit-Replenish-Rate"); got != want {
				t.Errorf("MAX %v: %s: %q a second, want %s (%d)", v3, fields[1], got, want, a.status)
			}
		}
	}
}

// The documented rates hold for each instance and method, and say so in headers.
func TestGreenAPIRefusesWhoAsksTooOften(t *testing.T) {
	t.Parallel()
	g := greenSimulated(t, nil)
	i := g.make(false, nil)
	path := g.d.API.URL() + "/waInstance" + i.number + "/getSettings/" + i.token
	bustest.CheckFor(t, greenPatience, func() error {
		response, err := http.Get(path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusTooManyRequests {
			return errSlowDown
		}
		h := response.Header
		if response.ContentLength != 0 || h.Get("X-RateLimit-Remaining") != "0" || h.Get("X-RateLimit-Replenish-Rate") != "1" || h.Get("Retry-After") != "1" {
			t.Errorf("429 with %d bytes and %v", response.ContentLength, h)
		}
		return nil
	})
	if a := i.call("getStateInstance"); a.status != http.StatusOK {
		t.Errorf("another method: %d", a.status)
	}
}
