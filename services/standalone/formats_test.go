package standalone_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/standalone/internal/e2e"
)

// imitated takes webhooks in the words of other products, which answer 200 and nothing else.
type imitated struct {
	*httptest.Server
	mu     sync.Mutex
	bodies map[string][]string // by path
}

func newImitated(t *testing.T) *imitated {
	r := &imitated{bodies: map[string][]string{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.bodies[req.URL.Path] = append(r.bodies[req.URL.Path], string(body))
	}))
	t.Cleanup(r.Close)
	return r
}

// words returns what the bodies of a path say, by the first group that matches.
func (r *imitated) words(path string, say ...*regexp.Regexp) (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, body := range r.bodies[path] {
		for _, re := range say {
			if m := re.FindStringSubmatch(body); m != nil {
				out = append(out, strings.Join(m[1:], " "))
				break
			}
		}
	}
	return slices.Compact(out)
}

func (r *imitated) all(path string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.bodies[path], "\n")
}

func (r *imitated) await(t *testing.T, path string, want []string, say ...*regexp.Regexp) {
	t.Helper()
	bustest.CheckFor(t, 60*time.Second, func() error {
		if got := r.words(path, say...); !slices.Equal(got, want) {
			return fmt.Errorf("%s got %q, want %q", path, got, want)
		}
		return nil
	})
}

var (
	greenWord        = regexp.MustCompile(`^\{"typeWebhook":"\w+","instanceData":\{"idInstance":\d+,"wid":"([^"]*)","typeInstance":"whatsapp"\},"timestamp":\d{10},"(?:state|status)Instance":"(\w+)"\}$`)
	evolutionState   = regexp.MustCompile(`^\{"event":"(connection\.update)".*"state":"(\w+)","statusReason":(\d+)\}`)
	evolutionRest    = regexp.MustCompile(`^\{"event":"([a-z.]+)"`)
	evolutionPicture = regexp.MustCompile(`"code":"([^"]+)","base64":"data:image/png;base64,([^"]+)"`)
)

// TestOneLinkingInTheWordsOfBothProducts tells one instance's life to a receiver of
// each product, and to a client of GREEN-API that pulls.
func TestOneLinkingInTheWordsOfBothProducts(t *testing.T) {
	d := e2e.One(t, &binaries)
	for messenger, phone := range map[instance.Provider]string{instance.Simulated: "15550100078", instance.WhatsApp: "15550100079"} {
		t.Run(string(messenger), func(t *testing.T) { bothProducts(t, d, messenger, phone) })
	}
}

func bothProducts(t *testing.T, d *e2e.Deployment, messenger instance.Provider, phone string) {
	receiver := newImitated(t)
	addPhoneOf(t, d, messenger, phone)
	name := "words " + string(messenger)
	created := d.API.Want(http.StatusCreated, http.MethodPost, "/v1/instances", map[string]any{"name": name, "provider": messenger, "webhooks": []any{
		map[string]any{"url": receiver.URL + "/green", "format": "green-api"},
		map[string]any{"url": receiver.URL + "/evolution", "format": "evolution"}}}).Body
	id := created["instance"].(map[string]any)["id"].(string)
	receiver.await(t, "/green", []string{" notAuthorized"}, greenWord)
	receiver.await(t, "/evolution", []string{"instance.create"}, evolutionState, evolutionRest)

	// Another one pulls.
	puller := d.API.Want(http.StatusCreated, http.MethodPost, "/v1/instances", map[string]any{"name": name + " pulled", "provider": messenger,
		"settings": map[string]any{"greenApi": map[string]any{"flags": []string{"stateWebhook"}}}}).Body

	// A picture that is not delivered before the scan is not delivered at all.
	shown := d.API.Want(http.StatusOK, http.MethodPost, "/v1/instances/"+id+"/connect?wait=30", nil).Body
	receiver.await(t, "/evolution", []string{"instance.create", "connection.update connecting 200", "qrcode.updated"}, evolutionState, evolutionRest)
	if err := d.Lab.ScanCode(t.Context(), phone, shown["qr"].(map[string]any)["code"].(string)); err != nil {
		t.Fatal(err)
	}
	wid := phone + "@c.us "
	green := []string{" notAuthorized", " starting", wid + "authorized", wid + "online"}
	receiver.await(t, "/green", green, greenWord)
	evolution := []string{"instance.create", "connection.update connecting 200", "qrcode.updated", "connection.update connecting 200", "connection.update open 200"}
	receiver.await(t, "/evolution", evolution, evolutionState, evolutionRest)
	for _, m := range evolutionPicture.FindAllStringSubmatch(receiver.all("/evolution"), -1) {
		picture, err := base64.StdEncoding.DecodeString(m[2])
		if err != nil || decode(t, picture) != m[1] {
			t.Errorf("a picture is not of its code: %v", err)
		}
	}

	d.API.Want(http.StatusOK, http.MethodPost, "/v1/instances/"+id+"/logout?wait=30", nil)
	green = append(green, " notAuthorized", " offline")
	receiver.await(t, "/green", green, greenWord)
	evolution = append(evolution, "status.instance", "logout.instance", "connection.update close 401")
	receiver.await(t, "/evolution", evolution, evolutionState, evolutionRest)

	d.API.Want(http.StatusNoContent, http.MethodDelete, "/v1/instances/"+id, nil)
	receiver.await(t, "/evolution", append(evolution, "instance.delete", "remove.instance"), evolutionState, evolutionRest)
	receiver.await(t, "/green", green, greenWord)

	pulled := puller["instance"].(map[string]any)
	link(t, d, pulled["id"].(string), phone)
	base := fmt.Sprint(d.API.URL(), "/waInstance", pulled["number"])
	for _, want := range []string{" notAuthorized", " starting", wid + "authorized"} {
		body, receipt := pull(t, base, puller["token"].(string))
		if m := greenWord.FindStringSubmatch(body); m == nil || strings.Join(m[1:], " ") != want {
			t.Fatalf("pulled %s, want %q", body, want)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, fmt.Sprint(base, "/deleteNotification/", puller["token"], "/", receipt), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("deleteNotification: %d, %v", resp.StatusCode, err)
		}
	}
}

// pull fetches the head of a queue.
func pull(t *testing.T, base, token string) (body string, receipt int64) {
	t.Helper()
	resp, err := http.Get(base + "/receiveNotification/" + token + "?receiveTimeout=30")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	var item *struct {
		ReceiptID int64           `json:"receiptId"`
		Body      json.RawMessage `json:"body"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&item); err != nil || item == nil {
		t.Fatalf("receiveNotification: %d, %v", resp.StatusCode, err)
	}
	return string(item.Body), item.ReceiptID
}
