package greenapi

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// What the registry and the rest of Pairgate answer, in the product's words.
func TestProblemsInTheProductsWords(t *testing.T) {
	for _, c := range []struct {
		problem instance.Problem
		status  int
		body    string
	}{
		{instance.Problem{Code: instance.CodeInvalidRequest, Errors: []instance.FieldError{{Field: "a", Message: "is bad"}, {Field: "b", Message: "too"}}}, 400, "Validation failed. Details: 'a' is bad; 'b' too"},
		{instance.Problem{Code: instance.CodeInvalidRequest}, 400, "bad request data"},
		{instance.Problem{Code: instance.CodeInvalidJSON}, 400, "bad request data"},
		{instance.Problem{Code: instance.CodeBodyTooLarge}, 500, "request entity too large"},
		{instance.Problem{Code: instance.CodeUnauthorized}, 401, ""},
		{instance.Problem{Code: instance.CodeInstanceNotFound}, 403, "403 Forbidden"},
		{instance.Problem{Code: instance.CodeTooManyRequests}, 429, ""},
		{instance.Problem{Code: instance.CodeNumberTaken, Detail: "Taken."}, 400, "Taken."},
		{instance.Problem{Code: instance.CodeNoOwner, Detail: "Nobody.", RetryAfter: 2}, 502, "Nobody."},
		{instance.Problem{Code: instance.CodeInternal, Detail: "A secret."}, 500, "Internal Server Error"},
	} {
		rec := httptest.NewRecorder()
		fail(rec, nil, &c.problem)
		if rec.Code != c.status || rec.Body.String() != c.body {
			t.Errorf("%s: %d %q", c.problem.Code, rec.Code, rec.Body)
		}
		if rec.Header().Get(headerCode) == "" || (c.body == "") != (rec.Header().Get("Content-Length") == "0") {
			t.Errorf("%s: headers %v", c.problem.Code, rec.Header())
		}
	}
}

func TestHistoryTellsChangesAmongThreeStatesNewestFirst(t *testing.T) {
	at := time.Unix(1778132812, 0)
	event := func(phase instance.Phase, phone string) *pb.Event {
		at = at.Add(time.Second)
		s := &pb.Status{Phase: string(phase)}
		if phone != "" {
			s.Account = &pb.Account{Phone: phone}
		}
		return &pb.Event{Time: timestamppb.New(at), Body: &pb.Event_Status{Status: s}}
	}
	got := history([]*pb.Event{event(instance.Connecting, ""), event(instance.Pairing, ""), event(instance.Syncing, ""), event(instance.Online, "79001234567"),
		event(instance.Offline, "79001234567"), event(instance.Online, "79001234567"), event(instance.Blocked, ""), event(instance.Idle, "")})
	want := []pastState{{"notAuthorized", 1778132820, "79001234567@c.us"}, {"blocked", 1778132819, "79001234567@c.us"},
		{"authorized", 1778132816, "79001234567@c.us"}, {"notAuthorized", 1778132813, ""}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	if got := history(nil); got == nil || len(got) != 0 {
		t.Error("no history is not an empty list")
	}
}

func TestTroubleIsSaidInTheProductsWords(t *testing.T) {
	for reason, want := range map[instance.Reason]string{instance.ReasonUnreachable: "timeout", instance.ReasonConnectionClosed: "connection_closed",
		instance.ReasonConnectRequested: "not_ready"} {
		if got := trouble(instance.WhatsApp, instance.Status{Phase: instance.Connecting, Reason: reason}); got != want {
			t.Errorf("%s: %s", reason, got)
		}
	}
	outdated := instance.Status{Phase: instance.Outdated, Reason: instance.ReasonClientOutdated, Detail: "Too old."}
	if got := trouble(instance.WhatsApp, outdated); !strings.HasPrefix(got, "Too old. ") || !strings.Contains(got, "2.3000.<number>") {
		t.Errorf("outdated: %s", got)
	}
	if got := trouble(instance.MAX, outdated); got != "Too old." {
		t.Errorf("outdated, of MAX: %s", got)
	}
}

func TestPasswordsEndInTheDocumentedReasons(t *testing.T) {
	for _, c := range []struct {
		status instance.Status
		want   step
	}{
		{instance.Status{Phase: instance.Syncing}, step{true, stepData{"success", ""}}},
		{instance.Status{Phase: instance.Online, Account: &instance.Account{}}, step{true, stepData{"success", ""}}},
		{instance.Status{Phase: instance.PasswordRequired, Reason: instance.ReasonPasswordWrong}, step{true, stepData{"fail", "invalid_password"}}},
		{instance.Status{Phase: instance.Idle, Reason: instance.ReasonThrottled}, step{true, stepData{"fail", "rate_limit_exceeded"}}},
		{instance.Status{Phase: instance.Idle, Reason: instance.ReasonQRTimeout}, step{true, stepData{"fail", "authorization_not_started"}}},
	} {
		if got := passwordOutcome(c.status); got != c.want {
			t.Errorf("%s %s: %+v", c.status.Phase, c.status.Reason, got)
		}
	}
}

// The rates are those of the documentation, counted by instance and method.
func TestRatesCountByInstanceAndMethod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimits(false)
		take := func(instance, name string, max bool) error {
			m, _ := methodNamed(name)
			return l.allow(httptest.NewRecorder(), instance, m, max)
		}
		burst := func(instance, name string, max bool) (n int) {
			for take(instance, name, max) == nil {
				n++
			}
			return n
		}
		if n := burst("a", "getSettings", false); n != minBurst {
			t.Errorf("%d at once", n)
		}
		if take("a", "getStateInstance", false) != nil || take("b", "getSettings", false) != nil {
			t.Error("another method or instance is refused")
		}
		time.Sleep(time.Second) // of the bubble's clock
		if n := burst("a", "getSettings", false); n != 1 {
			t.Errorf("%d in a second", n)
		}
		burst("a", "qr", false)
		burst("m", "qr", true)
		time.Sleep(time.Second) // of the bubble's clock
		if n, m := burst("a", "qr", false), burst("m", "qr", true); n != 3 || m != 1 {
			t.Errorf("qr: %d a second of WhatsApp, %d of MAX", n, m)
		}
		if n := burst("a", "receiveNotification", false); n != 100 {
			t.Errorf("receiveNotification: %d", n)
		}
		if newLimits(true).allow(httptest.NewRecorder(), "a", pageMethod, false) != nil {
			t.Error("limits that are off refuse")
		}
	})
}
