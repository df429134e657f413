package standalone_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/session-worker/driver"
	"pairgate.dev/services/session-worker/driver/simulated"
	"pairgate.dev/services/standalone/internal/e2e"
)

// partnerToken is that of the deployments for clients of GREEN-API.
const partnerToken = "gac.0123456789abcdef0123456789abcdef0123456789abcd"

// green is a deployment as clients of GREEN-API use it.
type green struct {
	*testing.T
	d *e2e.Deployment
	// messenger is what the lab's phones are of.
	messenger instance.Provider
	phones    *atomic.Int64
}

// in is the deployment in a part of the test.
func (g *green) in(t *testing.T) *green {
	return &green{T: t, d: g.d, messenger: g.messenger, phones: g.phones}
}

// greenSimulated runs instances of WhatsApp and MAX on the simulated messenger.
func greenSimulated(t *testing.T, env map[string]string) *green {
	t.Helper()
	full := map[string]string{"PAIRGATE_PARTNER_TOKEN": partnerToken}
	maps.Copy(full, env)
	providers := []instance.Provider{instance.WhatsApp, instance.MAX, instance.Simulated}
	d := e2e.Inside(t, full, providers, func(endpoint string) ([]driver.Driver, error) {
		var drivers []driver.Driver
		for _, p := range providers {
			one, err := simulated.New(simulated.Options{Endpoint: endpoint, Vault: &keptKeys{keys: map[instance.ID][]byte{}}})
			if err != nil {
				return nil, err
			}
			drivers = append(drivers, playing{one, p})
		}
		return drivers, nil
	})
	return &green{T: t, d: d, messenger: instance.Simulated, phones: new(atomic.Int64)}
}

// greenWhatsApp runs instances of WhatsApp on the driver of WhatsApp, in a process of its own.
func greenWhatsApp(t *testing.T, env map[string]string) *green {
	t.Helper()
	full := map[string]string{"PAIRGATE_PARTNER_TOKEN": partnerToken}
	maps.Copy(full, env)
	d := e2e.OneIn(t, &binaries, t.TempDir(), full)
	return &green{T: t, d: d, messenger: instance.WhatsApp, phones: new(atomic.Int64)}
}

// playing is a driver under another messenger's name.
type playing struct {
	driver.Driver
	as instance.Provider
}

func (p playing) Provider() instance.Provider { return p.as }

// keptKeys keep keys in memory.
type keptKeys struct {
	mu   sync.Mutex
	keys map[instance.ID][]byte
}

func (k *keptKeys) Load(_ context.Context, _ instance.Provider, id instance.ID) ([]byte, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	secret, ok := k.keys[id]
	return secret, ok, nil
}

func (k *keptKeys) Store(_ context.Context, _ instance.Provider, id instance.ID, secret []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[id] = append([]byte(nil), secret...)
	return nil
}

func (k *keptKeys) Delete(_ context.Context, _ instance.Provider, id instance.ID) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.keys, id)
	return nil
}

// greenInstance is an instance as its clients know it.
type greenInstance struct {
	*green
	number string
	token  string
	phone  string
}

// make creates an instance by the partner method; v3 makes it one of MAX.
func (g *green) make(v3 bool, settings map[string]any) *greenInstance {
	g.Helper()
	if settings == nil {
		settings = map[string]any{"name": "an instance"}
	}
	prefix := ""
	if v3 {
		prefix = "/v3"
	}
	made := g.send(http.MethodPost, prefix+"/partner/createInstance/"+partnerToken, settings).want(http.StatusOK)
	var body struct {
		Number json.Number `json:"idInstance"`
		Token  string      `json:"apiTokenInstance"`
	}
	made.decode(&body)
	return &greenInstance{green: g, number: body.Number.String(), token: body.Token}
}

// greenAnswer is an answer of the gateway.
type greenAnswer struct {
	*green
	status int
	header http.Header
	body   string
}

func (a greenAnswer) want(status int) greenAnswer {
	a.Helper()
	if a.status != status {
		a.Fatalf("%d, want %d: %.500s", a.status, status, a.body)
	}
	return a
}

func (a greenAnswer) decode(v any) {
	a.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		a.Fatalf("%v: %.500s", err, a.body)
	}
}

// greenPatience is how long a client tries again after a 429, as the Python client does.
const greenPatience = 20 * time.Second

var errSlowDown = errors.New("still told to slow down")

// send sends a request; a body that is a string is sent as it is. A 429 is tried again.
func (g *green) send(method, path string, body any, header ...string) (a greenAnswer) {
	g.Helper()
	content, isText := body.(string)
	if body != nil && !isText {
		encoded, err := json.Marshal(body)
		if err != nil {
			g.Fatal(err)
		}
		content = string(encoded)
	}
	bustest.CheckFor(g, greenPatience, func() error {
		request, err := http.NewRequestWithContext(g.Context(), method, g.d.API.URL()+path, strings.NewReader(content))
		if err != nil {
			g.Fatal(err)
		}
		for i := 0; i+1 < len(header); i += 2 {
			request.Header.Set(header[i], header[i+1])
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			g.Fatalf("%s %s: %v", method, path, err)
		}
		defer response.Body.Close()
		raw, err := io.ReadAll(response.Body)
		if err != nil {
			g.Fatal(err)
		}
		a = greenAnswer{g, response.StatusCode, response.Header, string(raw)}
		if a.status == http.StatusTooManyRequests {
			return errSlowDown
		}
		return nil
	})
	return a
}

// call calls a method of the instance with GET.
func (i *greenInstance) call(method string) greenAnswer {
	i.Helper()
	return i.send(http.MethodGet, "/waInstance"+i.number+"/"+method+"/"+i.token, nil)
}

func (i *greenInstance) post(method string, body any) greenAnswer {
	i.Helper()
	return i.send(http.MethodPost, "/waInstance"+i.number+"/"+method+"/"+i.token, body, "Content-Type", "application/json")
}

// qr asks for a code and returns its picture.
func (i *greenInstance) qr() []byte {
	i.Helper()
	var shown struct{ Type, Message string }
	i.call("qr").want(http.StatusOK).decode(&shown)
	if shown.Type != "qrCode" {
		i.Fatalf("qr: %s %s", shown.Type, shown.Message)
	}
	picture, err := base64.StdEncoding.DecodeString(shown.Message)
	if err != nil {
		i.Fatal(err)
	}
	return picture
}

// addPhone gives the instance's user a phone.
func (i *greenInstance) addPhone(password string) {
	i.Helper()
	i.phone = "7900" + strconv.FormatInt(1_000_000+i.phones.Add(1), 10)
	if _, err := i.d.Lab.AddAccount(i.Context(), labapi.NewAccount{Provider: string(i.messenger), Phone: i.phone, Name: "Ann", Password: password}); err != nil {
		i.Fatal(err)
	}
}

// scan shows the instance's code to its phone.
func (i *greenInstance) scan() {
	i.Helper()
	bustest.CheckFor(i, greenPatience, func() error { return i.d.Lab.ScanPNG(i.Context(), i.phone, i.qr()) })
}

// link links the instance to a new phone.
func (i *greenInstance) link() {
	i.Helper()
	i.addPhone("")
	i.scan()
	i.await("authorized")
}

// await waits for a state of the instance.
func (i *greenInstance) await(state string) {
	i.Helper()
	bustest.CheckFor(i, time.Minute, func() error {
		var got struct{ StateInstance string }
		i.call("getStateInstance").want(http.StatusOK).decode(&got)
		if got.StateInstance != state {
			return fmt.Errorf("the state is %q, not %q", got.StateInstance, state)
		}
		return nil
	})
}

// greenReceiver takes what is sent to a webhookUrl.
type greenReceiver struct {
	server *httptest.Server

	mu     sync.Mutex
	got    []pushed
	answer int
}

type pushed struct {
	header http.Header
	body   string
}

func newGreenReceiver(t *testing.T) *greenReceiver {
	r := &greenReceiver{answer: http.StatusOK}
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, pushed{request.Header.Clone(), string(body)})
		w.WriteHeader(r.answer)
	}))
	t.Cleanup(r.server.Close)
	return r
}

func (r *greenReceiver) url() string { return r.server.URL + "/webhook" }

func (r *greenReceiver) all() []pushed {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]pushed(nil), r.got...)
}
