package standalone_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/services/lab/labapi"
)

// receive returns the head of the queue; item is false when it was empty.
func (i *greenInstance) receive() (receipt int64, body string, item bool) {
	i.Helper()
	a := i.call("receiveNotification").want(http.StatusOK)
	if a.body == "null" {
		return 0, "", false
	}
	found := regexp.MustCompile(`^\{"receiptId":([0-9]{1,10}),"body":(\{.*\})\}$`).FindStringSubmatch(a.body)
	if found == nil {
		i.Fatalf("receiveNotification: %s", a.body)
	}
	receipt, err := strconv.ParseInt(found[1], 10, 32)
	if err != nil {
		i.Fatal(err)
	}
	return receipt, found[2], true
}

func (i *greenInstance) delete(receipt int64) greenAnswer {
	i.Helper()
	return i.send(http.MethodDelete, fmt.Sprintf("/waInstance%s/deleteNotification/%s/%d", i.number, i.token, receipt), nil)
}

// state is the body of a notification of a state, byte by byte.
func (i *greenInstance) state(state, wid string) *regexp.Regexp {
	return regexp.MustCompile(`^\{"typeWebhook":"stateInstanceChanged","instanceData":\{"idInstance":` + i.number + `,"wid":"` + regexp.QuoteMeta(wid) +
		`","typeInstance":"whatsapp"\},"timestamp":[0-9]{10},"stateInstance":"` + state + `"\}$`)
}

// Notifications are told once each, in order, and stay at the head of the queue until
// they are deleted.
func TestGreenAPINotificationsComeInOrderUntilDeleted(t *testing.T) {
	t.Parallel()
	g := greenSimulated(t, nil)
	i := g.make(false, map[string]any{"stateWebhook": "yes"})
	next := func(state, wid string) {
		t.Helper()
		var receipt int64
		var body string
		bustest.CheckFor(t, greenPatience, func() error {
			var item bool
			if receipt, body, item = i.receive(); !item {
				return errors.New("the queue is empty")
			}
			return nil
		})
		if !i.state(state, wid).MatchString(body) {
			t.Fatalf("got %s, want %s with wid %q", body, state, wid)
		}
		if again, same, _ := i.receive(); again != receipt || same != body {
			t.Errorf("the same item has receipt %d and then %d", receipt, again)
		}
		if a := i.delete(receipt); a.body != `{"result":true,"reason":""}` {
			t.Errorf("delete: %s", a.body)
		}
		if a := i.delete(receipt); !strings.HasPrefix(a.body, `{"result":false,"reason":"`) {
			t.Errorf("deleted twice: %s", a.body)
		}
	}
	next("notAuthorized", "")
	i.link()
	wid := i.phone + "@c.us"
	next("starting", "")
	next("authorized", wid)
	i.call("reboot").want(http.StatusOK)
	i.call("logout").want(http.StatusOK)
	next("notAuthorized", "")
	if a := i.call("getWebhooksCount"); a.body != `{"count":0}` {
		t.Errorf("left in the queue: %s", a.body)
	}

	// Nothing of another instance can be deleted.
	other := g.make(false, map[string]any{"stateWebhook": "yes"})
	receipt, _, item := other.receive()
	if !item {
		t.Fatal("a new instance is not told of")
	}
	if a := i.delete(receipt); strings.Contains(a.body, "true") {
		t.Error("one instance deletes another's notifications")
	}
	if a := other.call("getWebhooksCount"); a.body != `{"count":1}` {
		t.Errorf("the other's queue: %s", a.body)
	}
}

// A request that waits is answered when something comes.
func TestGreenAPIReceiveIsWokenByANotification(t *testing.T) {
	t.Parallel()
	g := greenSimulated(t, nil)
	i := g.make(false, map[string]any{"stateWebhook": "yes"})
	i.addPhone("")
	receipt, _, item := i.receive()
	if !item {
		t.Fatal("a new instance is not told of")
	}
	i.delete(receipt)
	got := make(chan greenAnswer, 1)
	go func() {
		got <- i.send(http.MethodGet, "/waInstance"+i.number+"/receiveNotification/"+i.token+"?receiveTimeout=60", nil)
	}()
	i.scan()
	if a := <-got; !strings.Contains(a.body, `"stateInstance":"starting"`) {
		t.Errorf("receiveNotification: %d %s", a.status, a.body)
	}
}

// At webhookUrl every notification arrives as documented; one that fails comes
// again before the next.
func TestGreenAPIPushesNotifications(t *testing.T) {
	t.Parallel()
	g := greenSimulated(t, nil)
	receiver := newGreenReceiver(t)
	i := g.make(false, map[string]any{"stateWebhook": "yes", "statusInstanceWebhook": "yes", "webhookUrl": receiver.url(), "webhookUrlToken": "hook-token"})
	i.link()
	var states []string
	bustest.CheckFor(t, greenPatience, func() error {
		states = states[:0]
		for _, p := range receiver.all() {
			if p.header.Get("Authorization") != "Bearer hook-token" || p.header.Get("Content-Type") != "application/json; charset=utf-8" || p.header.Get("X-Notification-Id") == "" {
				t.Fatalf("headers %v", p.header)
			}
			states = append(states, capture(p.body, `"(?:state|status)Instance":"([a-zA-Z]+)"`))
		}
		if len(states) < 4 {
			return fmt.Errorf("%q", states)
		}
		return nil
	})
	if got := strings.Join(states, " "); got != "notAuthorized starting authorized online" {
		t.Errorf("%s", got)
	}
	if last := receiver.all()[2].body; !i.state("authorized", i.phone+"@c.us").MatchString(last) {
		t.Errorf("%s", last)
	}
}

// listen opens scanqrcode, as a page of any origin may.
func (i *greenInstance) listen() *websocket.Conn {
	i.Helper()
	base, err := url.Parse(i.d.API.URL())
	if err != nil {
		i.Fatal(err)
	}
	conn, _, err := websocket.Dial(i.Context(), "ws://"+base.Host+"/waInstance"+i.number+"/scanqrcode/"+i.token,
		&websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://app.example.com"}}})
	if err != nil {
		i.Fatal(err)
	}
	return conn
}

// scanqrcode pushes each code as it comes, and ends with the word that clients take
// for success.
func TestGreenAPIScanQRCodeSocket(t *testing.T) {
	t.Parallel()
	g := greenSimulated(t, nil)
	if err := g.d.Lab.SetFaults(t.Context(), labapi.Faults{CodeLifeSeconds: 1}); err != nil {
		t.Fatal(err)
	}
	i := g.make(false, nil)
	i.addPhone("")
	conn := i.listen()
	defer conn.CloseNow()
	read := func() string {
		t.Helper()
		kind, frame, err := conn.Read(t.Context())
		if err != nil || kind != websocket.MessageText {
			t.Fatalf("%v %v", kind, err)
		}
		return string(frame)
	}
	first, second := read(), read()
	for _, frame := range []string{first, second} {
		if !regexp.MustCompile(`^\{"type":"qrCode","message":"[A-Za-z0-9+/]{100,}={0,2}"\}$`).MatchString(frame) {
			t.Fatalf("%.100s", frame)
		}
	}
	if first == second {
		t.Error("the same code twice")
	}
	i.scan()
	var last string
	bustest.CheckFor(t, time.Minute, func() error {
		if last = read(); strings.Contains(last, `"qrCode"`) {
			return errors.New("still codes")
		}
		return nil
	})
	if last != `{"type":"alreadyLogged","message":"instance account already authorized"}` {
		t.Fatalf("%.100s", last)
	}
	if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("the end: %v", err)
	}
}

// A socket ends with the process, which waits for it and no longer than it may.
func TestGreenAPISocketEndsWhenTheProcessDrains(t *testing.T) {
	t.Parallel()
	g := greenWhatsApp(t, nil)
	conn := g.make(false, nil).listen()
	defer conn.CloseNow()
	if _, _, err := conn.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan websocket.StatusCode, 1)
	go func() {
		_, _, err := conn.Read(context.WithoutCancel(t.Context()))
		ended <- websocket.CloseStatus(err)
	}()
	if code := g.d.Processes["pairgate"].Stop(); code != 0 {
		t.Errorf("the process ended with %d", code)
	}
	if status := <-ended; status != websocket.StatusGoingAway {
		t.Errorf("the socket ended with %d", status)
	}
}

// The token never stands in the log, whatever the level.
func TestGreenAPITokensAreNotLogged(t *testing.T) {
	t.Parallel()
	g := greenWhatsApp(t, map[string]string{"PAIRGATE_LOG_LEVEL": "debug"})
	i := g.make(false, nil)
	for _, path := range []string{"getSettings", "qr", "sendMessage", "noSuchMethod"} {
		i.call(path)
	}
	g.send(http.MethodGet, "/waInstance"+i.number+"/"+i.token, nil).want(http.StatusOK)
	metrics := string(g.d.API.Want(http.StatusOK, http.MethodGet, "/metrics", nil).Raw)
	if !strings.Contains(metrics, `route="/waInstance{id}/getSettings/{token}"`) {
		t.Error("the route is not counted")
	}
	for where, text := range map[string]string{"log": g.d.Processes["pairgate"].Log(), "metrics": metrics} {
		for _, secret := range []string{i.token, partnerToken} {
			if strings.Contains(text, secret) {
				t.Errorf("a token stands in the %s", where)
			}
		}
	}
}
