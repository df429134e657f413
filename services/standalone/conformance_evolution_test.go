package standalone_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image/png"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// evolutionPatterns are what stands for what cannot be known before, beside those of GREEN-API.
var evolutionPatterns = union(patterns, map[string]string{
	"<uuid>":          `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`,
	"<UUID>":          `[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}`,
	"<cuid>":          `c[0-9a-z]{24}`,
	"<iso>":           `[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z`,
	"<qr>":            `[^"]{20,}`,
	"<typed>":         `[A-Z0-9]{8}`,
	"<typed or null>": `(?:null|"[A-Z0-9]{8}")`,
	"<count>":         `[1-9][0-9]*`,
	"<ban>":           `(?:402|403)`,
	"<one>":           `(?:[^{}]|\{[^{}]*\})+`,
})

func union(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// evolutionEventNames are those of the description, in its order.
const evolutionEventNames = `APPLICATION_STARTUP, QRCODE_UPDATED, MESSAGES_SET, MESSAGES_UPSERT, MESSAGES_EDITED, MESSAGES_UPDATE, MESSAGES_DELETE, SEND_MESSAGE, SEND_MESSAGE_UPDATE, CONTACTS_SET, CONTACTS_UPSERT, CONTACTS_UPDATE, PRESENCE_UPDATE, CHATS_SET, CHATS_UPSERT, CHATS_UPDATE, CHATS_DELETE, GROUPS_UPSERT, GROUP_UPDATE, GROUP_PARTICIPANTS_UPDATE, CONNECTION_UPDATE, LABELS_EDIT, LABELS_ASSOCIATION, CALL, TYPEBOT_START, TYPEBOT_CHANGE_STATUS, REMOVE_INSTANCE, LOGOUT_INSTANCE, INSTANCE_CREATE, INSTANCE_DELETE, STATUS_INSTANCE`

func (e *evolution) matches(pattern, got string) bool {
	e.Helper()
	return matchesPattern(e.T, evolutionPatterns, pattern, got)
}

// conforms runs the exchanges of a file in their order.
func (e *evolution) conforms(file string, names map[string]string) {
	e.Helper()
	names["{events}"] = `"` + strings.ReplaceAll(evolutionEventNames, ", ", `","`) + `"`
	fill := func(text string) string {
		for name, value := range names {
			text = strings.ReplaceAll(text, name, value)
		}
		return strings.ReplaceAll(text, "<large>", `{"instanceName":"`+strings.Repeat("x", 2<<20)+`"}`)
	}
	for _, x := range readExchanges(e.T, "evolution-api", file) {
		key, header := e.key, []string(nil)
		for i := 0; i+1 < len(x.header); i += 2 {
			switch {
			case x.header[i] != "Apikey":
				header = append(header, x.header[i], fill(x.header[i+1]))
			case x.header[i+1] == "none":
				key = ""
			default:
				key = fill(x.header[i+1])
			}
		}
		a := e.as(key, x.method, fill(x.path), fill(x.body), header...)
		if want := fill(x.answer); a.status != x.status || !e.matches(want, a.body) {
			e.Errorf("%s: %s\n%s %s\n got: %d %.1500s\nwant: %d %.1500s", file, x.name, x.method, x.path, a.status, a.body, x.status, want)
			continue
		}
		for name, want := range x.wantHeader {
			if !e.matches(fill(want), a.header.Get(name)) {
				e.Errorf("%s: %s: header %s is %q, want %q", file, x.name, name, a.header.Get(name), fill(want))
			}
		}
	}
}

func (i *evolutionInstance) names() map[string]string {
	return map[string]string{"{name}": i.name, "{path}": i.path, "{query}": url.QueryEscape(i.name), "{id}": i.id, "{token}": i.token, "{phone}": i.phone}
}

// Every exchange that is written down, on instances in the states that they are about.
func TestEvolutionAPIConformance(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *evolution{"simulated": evolutionSimulated, "whatsapp": evolutionWhatsApp} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t)
			if none := e.send(http.MethodGet, "/instance/fetchInstances", ""); none.status != http.StatusOK || none.body != "[]" {
				t.Errorf("1.8 none at all: %d %s", none.status, none.body)
			}
			e.conforms("create", map[string]string{"{n}": "made", "{phone}": e.newPhone()})
			other := e.make("another")
			fresh := e.make("a shop of Ana & João")
			fresh.phone = e.newPhone()
			names := fresh.names()
			maps.Copy(names, map[string]string{"{other}": other.name})
			e.conforms("new", names)
			linked := e.make("linked")
			linked.link()
			e.conforms("linked", linked.names())
			for state, act := range map[string]func(i *evolutionInstance) error{
				"suspended": func(i *evolutionInstance) error {
					return e.d.Lab.Suspend(t.Context(), i.phone, time.Now().Add(time.Hour))
				},
				"blocked": func(i *evolutionInstance) error { return e.d.Lab.Ban(t.Context(), i.phone, time.Now().Add(time.Hour)) },
			} {
				if state == "suspended" && name == "whatsapp" {
					continue // WhatsApp bans accounts and restricts none
				}
				i := e.make(state)
				i.link()
				if err := act(i); err != nil {
					t.Fatal(err)
				}
				e.d.API.AwaitPhase(i.id, state)
				e.conforms(state, i.names())
			}
		})
	}
}

// What is not offered says so in the product's shape, whatever the path and the verb;
// and the README lists it with the reason.
func TestEvolutionAPIRoutesThatAreNotOfferedAreListed(t *testing.T) {
	e := evolutionSimulated(t)
	i := e.make("shop")
	text, err := os.ReadFile(filepath.Join("testdata", "evolution-api", "not-offered.txt"))
	if err != nil {
		t.Fatal(err)
	}
	wanted := strings.Fields(string(text))
	for _, name := range wanted {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			a := e.send(method, "/"+name+"/anything/"+i.path, "")
			if a.status != http.StatusNotFound || !e.matches(`{"status":404,"error":"Not Found","response":{"message":["This server does not offer <text>"]}}`, a.body) {
				t.Errorf("%s /%s: %d %s", method, name, a.status, a.body)
			}
		}
	}
	offered, not := readmeRoutes(t)
	slices.Sort(wanted)
	if !slices.Equal(not, wanted) {
		t.Errorf("the README lists as not offered\n%v\nwant\n%v", not, wanted)
	}
	for _, route := range offered {
		method, path, _ := strings.Cut(route, " ")
		a := e.as("", method, strings.ReplaceAll(path, "{name}", i.path), "")
		if want := http.StatusUnauthorized; a.status != want && path != "/" && path != "/manager" {
			t.Errorf("%s without a key: %d %s", route, a.status, a.body)
		}
	}
	if len(offered) != 29 {
		t.Errorf("the README lists %d routes as offered: %v", len(offered), offered)
	}
}

// readmeRoutes reads the tables of the README: routes that are offered, and the first
// segments of those that are not.
func readmeRoutes(t *testing.T) (offered, not []string) {
	t.Helper()
	for line := range strings.SplitSeq(readmeSection(t, "Evolution API: what is offered"), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 3 || strings.TrimSpace(cells[2]) == "" {
			continue
		}
		for _, m := range regexp.MustCompile("`([A-Z, ]+) (/[A-Za-z/{}-]*)`").FindAllStringSubmatch(cells[1], -1) {
			for verb := range strings.SplitSeq(m[1], ", ") {
				offered = append(offered, verb+" "+m[2])
			}
		}
		for _, m := range regexp.MustCompile("`/([A-Za-z0-9]+)/…`").FindAllStringSubmatch(cells[1], -1) {
			not = append(not, m[1])
		}
	}
	slices.Sort(not)
	return offered, not
}

// Health checks of the product's users ask the root; people who open it see the page.
func TestEvolutionAPIWelcomesAtTheRoot(t *testing.T) {
	e := evolutionSimulated(t)
	host := strings.TrimPrefix(e.d.API.URL(), "http://")
	setVersion(t, e.d, "2.3000.1035194821")
	for range 2 {
		a := e.as("", http.MethodGet, "/", "", "Origin", "https://manager.example.com", "Accept", "application/json, text/plain, */*")
		want := `{"status":200,"message":"Welcome to the Evolution API, it is working!","version":"2.3.7","clientName":"evolution","manager":"http://` + host + `/manager","documentation":"https://doc.evolution-api.com","whatsappWebVersion":"2.3000.1035194821"}`
		if a.status != http.StatusOK || a.body != want || a.header.Get("Access-Control-Allow-Origin") != "https://manager.example.com" {
			t.Fatalf("%d %v %s", a.status, a.header, a.body)
		}
	}
	if a := e.as("", http.MethodOptions, "/", "", "Origin", "https://manager.example.com"); a.status != http.StatusNoContent {
		t.Errorf("the preflight: %d", a.status)
	}
	page := e.as("", http.MethodGet, "/", "", "Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	if page.status != http.StatusOK || !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") {
		t.Errorf("a browser gets %d %s", page.status, page.header.Get("Content-Type"))
	}
	if a := e.as("", http.MethodGet, "/manager", ""); a.status != http.StatusFound || a.header.Get("Location") != "/" {
		t.Errorf("the manager: %d %s", a.status, a.header.Get("Location"))
	}
}

// A token may belong to several instances, and lists them all.
func TestEvolutionAPITokenOfSeveralInstances(t *testing.T) {
	e := evolutionSimulated(t)
	const token = "one-token-for-both-of-them"
	a, b := e.make("a", `,"token":"`+token+`"`), e.make("b", `,"token":"`+token+`"`)
	e.make("c")
	var rows []struct{ Name, Token string }
	e.as(token, http.MethodGet, "/instance/fetchInstances", "").want(http.StatusOK).decode(&rows)
	if got := fmt.Sprint(rows); got != "[{a "+token+"} {b "+token+"}]" && got != "[{b "+token+"} {a "+token+"}]" {
		t.Errorf("the token lists %s", got)
	}
	for _, i := range []*evolutionInstance{a, b} {
		if i.token != token || i.state() != "close" {
			t.Errorf("%s has token %q", i.name, i.token)
		}
	}
	e.as(token, http.MethodGet, "/instance/connectionState/c", "").want(http.StatusUnauthorized)
}

// What people have in their files for Evolution API is read under its own names.
func TestEvolutionAPIReadsTheProductsConfiguration(t *testing.T) {
	const key = "429683C4C977415CAAFCCE10F7D57E11"
	e := evolutionAt(t, greenSimulated(t, map[string]string{"AUTHENTICATION_API_KEY": key, "QRCODE_COLOR": "#175197", "QRCODE_LIMIT": "2",
		"DATABASE_CONNECTION_CLIENT_NAME": "box", "SERVER_DISABLE_MANAGER": "true", "CONFIG_SESSION_PHONE_VERSION": "2.3000.1035194821", "CORS_ORIGIN": "https://a.example.com,https://b.example.com",
		"PAIRGATE_EVOLUTION_HIDE_TOKENS": "true"}))
	if e.key != key {
		t.Fatal("the global key is not that of the product's configuration")
	}
	i := e.make("shop")
	encoded := strings.TrimPrefix(i.connect("").Base64, "data:image/png;base64,")
	picture, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	if text := decode(t, picture); text == "" {
		t.Error("the picture says nothing")
	}
	// The quiet zone of at least three modules ends where the finder pattern, seven modules wide, begins.
	size := img.Bounds().Dx()
	dark := func(x int) bool { return img.At(x, x) != img.At(0, 0) }
	edge := 0
	for edge < size && !dark(edge) {
		edge++
	}
	wide := edge
	for y := edge; wide < size && img.At(wide, y) == img.At(edge, edge); wide++ {
	}
	if r, g, b, _ := img.At(edge, edge).RGBA(); r>>8 != 0x17 || g>>8 != 0x51 || b>>8 != 0x97 || (wide-edge)%7 != 0 || edge*7 < (wide-edge)*3 {
		t.Errorf("the dark modules are #%02x%02x%02x, the quiet zone is %d pixels wide, the finder pattern %d", r>>8, g>>8, b>>8, edge, wide-edge)
	}
	root := e.as("", http.MethodGet, "/", "", "Origin", "https://b.example.com")
	if !strings.Contains(root.body, `"clientName":"box"`) || !strings.Contains(root.body, `"whatsappWebVersion":"2.3000.1035194821"`) || strings.Contains(root.body, "manager") || root.header.Get("Access-Control-Allow-Origin") != "https://b.example.com" {
		t.Errorf("%v %s", root.header, root.body)
	}
	if other := e.as("", http.MethodGet, "/", "", "Origin", "https://c.example.com"); other.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("every origin is allowed")
	}
	if list := e.send(http.MethodGet, "/instance/fetchInstances", ""); !strings.Contains(list.body, `"token":"","clientName":"box"`) {
		t.Errorf("%s", list.body)
	}
	if a := e.send(http.MethodGet, "/manager", ""); a.status != http.StatusNotFound {
		t.Errorf("the manager: %d", a.status)
	}
}
