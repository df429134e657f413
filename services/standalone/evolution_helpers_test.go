package standalone_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/standalone/internal/e2e"
)

// evolution is a deployment as clients of Evolution API use it.
type evolution struct {
	*testing.T
	d *e2e.Deployment
	// key is the global one.
	key string
	// messenger is what the lab's phones are of.
	messenger instance.Provider
	phones    int
}

func evolutionAt(t *testing.T, g *green) *evolution {
	return &evolution{T: t, d: g.d, messenger: g.messenger, key: g.d.API.Key()}
}

func evolutionSimulated(t *testing.T) *evolution {
	t.Helper()
	return evolutionAt(t, greenSimulated(t, nil))
}

func evolutionWhatsApp(t *testing.T) *evolution {
	t.Helper()
	return evolutionAt(t, greenWhatsApp(t, nil))
}

// evolutionAnswer is an answer of the gateway.
type evolutionAnswer struct {
	*evolution
	status int
	header http.Header
	body   string
}

func (a evolutionAnswer) want(status int) evolutionAnswer {
	a.Helper()
	if a.status != status {
		a.Fatalf("%d, want %d: %.500s", a.status, status, a.body)
	}
	return a
}

func (a evolutionAnswer) decode(v any) {
	a.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		a.Fatalf("%v: %.500s", err, a.body)
	}
}

// as sends a request with a key; empty for none. body is JSON unless a header says
// something else.
func (e *evolution) as(key, method, path, body string, header ...string) evolutionAnswer {
	e.Helper()
	request, err := http.NewRequestWithContext(e.Context(), method, e.d.API.URL()+path, strings.NewReader(body))
	if err != nil {
		e.Fatal(err)
	}
	if key != "" {
		request.Header.Set("apikey", key)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(request) // redirects are answers
	if err != nil {
		e.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		e.Fatal(err)
	}
	return evolutionAnswer{e, response.StatusCode, response.Header, string(raw)}
}

// send sends a request with the global key.
func (e *evolution) send(method, path, body string) evolutionAnswer {
	e.Helper()
	return e.as(e.key, method, path, body)
}

// evolutionInstance is an instance as its clients know it.
type evolutionInstance struct {
	*evolution
	name, path, id, token, phone string
}

// qrObject is what shows a code.
type qrObject struct {
	PairingCode, Code, Base64 string
	Count                     int
	Reason, Message           string
}

func (e *evolution) make(name string, more ...string) *evolutionInstance {
	e.Helper()
	body := `{"instanceName":"` + name + `","integration":"WHATSAPP-BAILEYS"` + strings.Join(more, "") + `}`
	var made struct {
		Instance struct{ InstanceID string }
		Hash     string
	}
	e.send(http.MethodPost, "/instance/create", body).want(http.StatusCreated).decode(&made)
	return &evolutionInstance{evolution: e, name: name, path: url.PathEscape(name), id: made.Instance.InstanceID, token: made.Hash}
}

func (i *evolutionInstance) call(method, route, body string) evolutionAnswer {
	i.Helper()
	return i.as(i.token, method, route+"/"+i.path, body)
}

// connect asks for the code, with a number unless it is empty.
func (i *evolutionInstance) connect(number string) (shown qrObject) {
	i.Helper()
	path := "/instance/connect/" + i.path
	if number != "" {
		path += "?number=" + number
	}
	i.as(i.token, http.MethodGet, path, "").want(http.StatusOK).decode(&shown)
	return shown
}

func (i *evolutionInstance) state() string {
	i.Helper()
	var got struct{ Instance struct{ State string } }
	i.call(http.MethodGet, "/instance/connectionState", "").want(http.StatusOK).decode(&got)
	return got.Instance.State
}

func (i *evolutionInstance) awaitState(state string) {
	i.Helper()
	bustest.CheckFor(i, time.Minute, func() error {
		if got := i.state(); got != state {
			return fmt.Errorf("the state is %q, not %q", got, state)
		}
		return nil
	})
}

// newPhone is a number that no other has.
func (e *evolution) newPhone() string {
	e.phones++
	return "55119" + strconv.Itoa(10000000+e.phones)
}

// addPhone gives the instance's user a phone.
func (i *evolutionInstance) addPhone() {
	i.Helper()
	i.phone = i.newPhone()
	if _, err := i.d.Lab.AddAccount(i.Context(), labapi.NewAccount{Provider: string(i.messenger), Phone: i.phone, Name: "Ann"}); err != nil {
		i.Fatal(err)
	}
}

// scan shows the picture of a code to the phone.
func (i *evolutionInstance) scan() {
	i.Helper()
	bustest.CheckFor(i, time.Minute, func() error {
		encoded, ok := strings.CutPrefix(i.connect("").Base64, "data:image/png;base64,")
		picture, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil {
			i.Fatalf("no picture: %v", err)
		}
		return i.d.Lab.ScanPNG(i.Context(), i.phone, picture)
	})
}

func (i *evolutionInstance) link() {
	i.Helper()
	i.addPhone()
	i.scan()
	i.awaitState("open")
}
