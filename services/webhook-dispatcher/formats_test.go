package dispatcher_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// Anything but 200 is a failure: the same notification comes again, and what is behind
// it waits.
func TestGreenAPITakesOnly200ForAnAnswer(t *testing.T) {
	w := newWorld(t)
	rec := w.instance(1101000001)
	receiver := newRecorder(t, func(_ posted, nth int) int {
		if nth == 1 {
			return http.StatusNoContent
		}
		return http.StatusOK
	})
	hook := w.hookOf(rec, receiver.URL+"/green", instance.FormatGreenAPI, `{"Authorization":"Bearer t0k3n"}`, nil)
	w.start(w.config())
	failed := w.became(rec, instance.Pairing, instance.Syncing, instance.ReasonScanned, false, false)
	w.became(rec, instance.Syncing, instance.Online, instance.ReasonLinked, true, false)
	w.became(rec, instance.Online, instance.Online, instance.ReasonLinked, true, true)
	receiver.wait(1)
	bustest.CheckFor(t, patience, func() error {
		if d := w.attempts(hook)[failed]; d.GetState() != "pending" || d.GetLastAttempt().GetStatusCode() != 204 || d.GetLastAttempt().GetError() != "status" {
			return fmt.Errorf("the log says %v", d)
		}
		return nil
	})
	// The minute of the pause is cut short by whoever changes the endpoint.
	changed := proto.CloneOf(w.getHook(hook))
	changed.Webhook.Url = receiver.URL + "/changed"
	w.putHook(changed)
	got := receiver.wait(4)
	w.noneOwed()
	if len(got) != 4 {
		t.Fatalf("%d requests", len(got))
	}
	for i, want := range []struct{ attempt, end string }{{"1", `"stateInstance":"starting"}`}, {"2", `"stateInstance":"starting"}`},
		{"1", `"stateInstance":"authorized"}`}, {"1", `"statusInstance":"online"}`}} {
		p := got[i]
		if !strings.HasSuffix(p.body, want.end) || p.header.Get("X-Delivery-Attempt") != want.attempt ||
			p.header.Get("Content-Type") != "application/json; charset=utf-8" || p.header.Get("Authorization") != "Bearer t0k3n" ||
			p.header.Get("X-Notification-Id") == "" || p.header.Get("Webhook-Signature") == "" {
			t.Errorf("request %d: %s %v", i, p.body, p.header)
		}
	}
	ids := []string{got[0].header.Get("X-Notification-Id"), got[1].header.Get("X-Notification-Id"), got[2].header.Get("X-Notification-Id"), got[3].header.Get("X-Notification-Id")}
	if ids[0] != ids[1] || ids[1] == ids[2] || ids[2] == ids[3] {
		t.Errorf("ids %q", ids)
	}
}

func names(t *testing.T, got []posted) (out []string) {
	t.Helper()
	for _, p := range got {
		var b struct{ Event string }
		if err := json.Unmarshal([]byte(p.body), &b); err != nil {
			t.Error(err)
		}
		out = append(out, b.Event)
	}
	return out
}

// One logout is three notifications, in order, each with a fate of its own.
func TestEvolutionsNotificationsOfOneEventKeepTheirOrder(t *testing.T) {
	w := newWorld(t)
	rec := w.instance(7)
	receiver := newRecorder(t, func(p posted, _ int) int {
		if strings.HasSuffix(p.path, "/logout-instance") {
			return http.StatusNotFound
		}
		return http.StatusOK
	})
	hook := w.hookOf(rec, receiver.URL+"/x", instance.FormatEvolution, `{"jwt_key":"k3y","X-A":"1"}`, func(e *pb.EndpointRecord) {
		e.Webhook.FormatOptions = map[string]string{"byEvents": "true"}
	})
	cfg := w.config()
	cfg.Evolution.ServerURL, cfg.Evolution.ExposeTokens = "https://api.example.com", true
	w.start(cfg)
	w.became(rec, instance.Syncing, instance.Online, instance.ReasonLinked, true, false)
	logout := w.became(rec, instance.Online, instance.Idle, instance.ReasonLoggedOutByUser, false, true)
	got := receiver.wait(4)
	w.noneOwed()
	if want := []string{"connection.update", "status.instance", "logout.instance", "connection.update"}; !slices.Equal(names(t, got), want) {
		t.Fatalf("%q", names(t, got))
	}
	for i, path := range []string{"/x/connection-update", "/x/status-instance", "/x/logout-instance", "/x/connection-update"} {
		p := got[i]
		tail := fmt.Sprintf(`"destination":%q`, receiver.URL+"/x")
		if p.path != path || !strings.Contains(p.body, tail) || !strings.HasSuffix(p.body, `"sender":"5511@s.whatsapp.net","server_url":"https://api.example.com","apikey":"token-7"}`) {
			t.Errorf("%s: %s", p.path, p.body)
		}
		if !strings.HasPrefix(p.header.Get("User-Agent"), "axios/1.") || p.header.Get("Accept") != "application/json, text/plain, */*" ||
			p.header.Get("X-A") != "1" || p.header.Get("jwt_key") != "" || !strings.HasPrefix(p.header.Get("Authorization"), "Bearer ey") ||
			p.header.Get("Content-Type") != "application/json" || p.header.Get("Webhook-Signature") == "" {
			t.Errorf("headers %v", p.header)
		}
	}
	// 404 is final, and says so among the dead.
	if dead := w.records(bus.StreamDeadLetters, bus.DeadLettersOf(hook)); len(dead) != 1 || dead[logout].GetReason() != "exhausted" || dead[logout].GetAttempts() != 1 {
		t.Errorf("%v", dead)
	}
}

// The webhook of the configuration gets what it asks for of every instance, also where
// an instance has one of its own, and is not signed.
func TestTheGlobalWebhookOfEvolution(t *testing.T) {
	w := newWorld(t)
	one, two := w.instance(1), w.instance(2)
	receiver := newRecorder(t, nil)
	w.hookOf(one, receiver.URL+"/own", instance.FormatEvolution, "", nil)
	cfg := w.config()
	cfg.Evolution.GlobalEnabled, cfg.Evolution.GlobalURL = true, receiver.URL+"/global"
	cfg.Evolution.LogoutInstance, cfg.Evolution.GlobalByEvents = true, true
	w.start(cfg)
	for _, rec := range []*pb.InstanceRecord{one, two} {
		w.became(rec, instance.Online, instance.Idle, instance.ReasonLoggedOutOnPhone, false, true)
	}
	got := receiver.wait(5)
	w.noneOwed()
	var destinations []string
	for _, p := range got {
		if p.path != "/global/logout-instance" {
			if p.path != "/own" || p.header.Get("Webhook-Signature") == "" {
				t.Errorf("%s %v", p.path, p.header)
			}
			continue
		}
		var b struct{ Destination string }
		if err := json.Unmarshal([]byte(p.body), &b); err != nil || p.header.Get("Webhook-Signature") != "" || p.header.Get("Webhook-Id") == "" {
			t.Errorf("%v: %v", err, p.header)
		}
		destinations = append(destinations, strings.TrimPrefix(b.Destination, receiver.URL))
	}
	slices.Sort(destinations)
	if len(got) != 5 || !slices.Equal(destinations, []string{"/global/logout-instance", "/own"}) {
		t.Errorf("%d requests, destinations %q", len(got), destinations)
	}
}

// What one event made several deliveries of is delivered again one by one, and
// replayed whole.
func TestADeliveryOfOneOfSeveralNotificationsIsOwedAgainAlone(t *testing.T) {
	w := newWorld(t)
	rec := w.instance(3)
	receiver := newRecorder(t, nil)
	hook := w.hookOf(rec, receiver.URL, instance.FormatEvolution, "", nil)
	w.start(w.config())
	w.became(rec, instance.Online, instance.Idle, instance.ReasonLoggedOutByUser, false, true)
	first := receiver.wait(3)
	w.noneOwed()
	reply := new(pb.RedeliverReply)
	if err := bus.Request(w.ctx(), w.conn, bus.SubjectWebhooksRedeliver, &pb.RedeliverRequest{DeliveryId: first[1].header.Get("Webhook-Id")}, reply); err != nil {
		t.Fatal(err)
	}
	again := receiver.wait(4)
	if again[3].body != first[1].body || again[3].header.Get("Webhook-Id") != first[1].header.Get("Webhook-Id") {
		t.Errorf("%s", again[3].body)
	}
	w.noneOwed()
	replay := new(pb.ReplayReply)
	if err := bus.Request(w.ctx(), w.conn, bus.SubjectWebhooksReplay, &pb.ReplayRequest{WebhookId: hook, Since: timestamppb.New(time.Now().Add(-time.Hour))}, replay); err != nil || replay.GetDeliveries() != 3 {
		t.Fatalf("%v, %v", replay, err)
	}
	if all := receiver.wait(7); !slices.Equal(names(t, all[4:]), []string{"status.instance", "logout.instance", "connection.update"}) {
		t.Errorf("%q", names(t, all[4:]))
	}
	w.noneOwed()
}

// A receiver that reads another format's bodies is not sent one of ours.
func TestATestSpeaksTheWordsOfTheFormat(t *testing.T) {
	w := newWorld(t)
	w.registry()
	rec := w.instance(9000000001)
	receiver := newRecorder(t, nil)
	green := w.hookOf(rec, receiver.URL, instance.FormatGreenAPI, "", nil)
	evolution := w.hookOf(rec, receiver.URL, instance.FormatEvolution, "", nil)
	w.start(w.config())
	for _, hook := range []string{green, evolution} {
		rep := new(pb.TestWebhookReply)
		err := bus.Request(w.ctx(), w.conn, bus.SubjectWebhooksTest, &pb.TestWebhookRequest{WebhookId: hook, Ref: rec.GetInstance().GetId()}, rep)
		if err != nil || rep.GetAttempt().GetStatusCode() != http.StatusOK || rep.GetAttempt().GetError() != "" {
			t.Fatalf("%v, %v", rep, err)
		}
	}
	got := receiver.wait(2)
	if body := got[0].body; !strings.HasPrefix(body, `{"typeWebhook":"stateInstanceChanged","instanceData":{"idInstance":9000000001,`) ||
		!strings.HasSuffix(body, `"stateInstance":"notAuthorized"}`) || got[0].header.Get("X-Delivery-Attempt") != "1" {
		t.Errorf("%s", body)
	}
	if body := got[1].body; !strings.HasPrefix(body, `{"event":"connection.update","instance":"one","data":{"instance":"one","state":"close"`) {
		t.Errorf("%s", body)
	}
}

// Evolution API's own settings say how often and how soon; then the lane moves on.
func TestEvolutionRetriesAsItsSettingsSay(t *testing.T) {
	w := newWorld(t)
	rec := w.instance(8)
	receiver := newRecorder(t, func(p posted, nth int) int {
		if strings.Contains(p.body, `"state":"connecting"`) || nth == 4 {
			return http.StatusServiceUnavailable
		}
		return http.StatusCreated
	})
	hook := w.hookOf(rec, receiver.URL, instance.FormatEvolution, "", nil)
	cfg := w.config()
	cfg.Evolution.Attempts, cfg.Evolution.InitialDelay, cfg.Evolution.Exponential = 3, 1, false
	w.start(cfg)
	given := w.became(rec, instance.Idle, instance.Connecting, instance.ReasonConnectRequested, false, false)
	taken := w.became(rec, instance.Syncing, instance.Online, instance.ReasonLinked, true, false)
	got := receiver.wait(5)
	w.noneOwed()
	for i, state := range []string{"connecting", "connecting", "connecting", "open", "open"} {
		if !strings.Contains(got[i].body, `"state":"`+state+`"`) {
			t.Errorf("request %d: %s", i, got[i].body)
		}
	}
	if dead := w.records(bus.StreamDeadLetters, bus.DeadLettersOf(hook)); len(dead) != 1 || dead[given].GetReason() != "exhausted" || dead[given].GetAttempts() != 3 {
		t.Errorf("%v", dead)
	}
	if d := w.attempts(hook)[taken]; d.GetState() != "delivered" || d.GetAttempts() != 2 {
		t.Errorf("%v", d)
	}
}

// Retention is a part of the policy: what was owed for longer is given up untried, and
// what is behind it comes into its turn.
func TestWhatIsOwedTooLongIsGivenUp(t *testing.T) {
	w := newWorld(t)
	id := newInstance()
	r := newReceiver(t, status(http.StatusInternalServerError))
	hook := w.hook(id, r.URL, nil)
	cfg := w.config()
	cfg.MaxAge = 500 * time.Millisecond
	w.start(cfg)
	old := w.status(id, instance.Idle, 0)
	bustest.CheckFor(t, patience, func() error {
		if dead := w.records(bus.StreamDeadLetters, bus.DeadLettersOf(hook)); dead[old].GetReason() != "too_old" || dead[old].GetAttempts() == 0 {
			return fmt.Errorf("the dead are %v", dead)
		}
		return nil
	})
	r.setAnswer(nil)
	w.status(id, instance.Connecting, 1)
	r.wait(1)
	w.noneOwed()
}
