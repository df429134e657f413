package dispatcher_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// since is an endpoint's record that says since when it fails.
func since(ago time.Duration) func(*pb.EndpointRecord) {
	return func(e *pb.EndpointRecord) { e.Webhook.FailingSince = timestamppb.New(time.Now().Add(-ago)) }
}

// Days without a success disable a webhook; what it is owed stays, and comes when
// somebody enables it again.
func TestAWebhookThatFailsForDaysIsDisabled(t *testing.T) {
	w := newWorld(t)
	w.registry()
	id := newInstance()
	r := newReceiver(t, status(http.StatusInternalServerError))
	hook := w.hook(id, r.URL, since(121*time.Hour))
	green := newRecorder(t, func(posted, int) int { return http.StatusInternalServerError })
	rec := w.instance(5)
	never := w.hookOf(rec, green.URL, instance.FormatGreenAPI, "", since(121*time.Hour))
	w.start(w.config())
	w.status(id, instance.Idle, 0)
	w.became(rec, instance.Syncing, instance.Online, instance.ReasonLinked, true, false)
	bustest.CheckFor(t, patience, func() error {
		if h := w.getHook(hook).GetWebhook(); h.GetEnabled() || h.GetDisabledReason() != "failing" {
			return fmt.Errorf("enabled %t, %q", h.GetEnabled(), h.GetDisabledReason())
		}
		return nil
	})
	green.wait(1)
	bustest.CheckFor(t, patience, func() error {
		if d := w.attempts(never); len(d) == 0 {
			return fmt.Errorf("no attempt is in the log")
		}
		return nil
	})
	if !w.getHook(never).GetWebhook().GetEnabled() {
		t.Error("a webhook of GREEN-API is disabled")
	}
	if n := w.owed(); n != 3 {
		t.Errorf("%d deliveries are owed", n)
	}
	r.setAnswer(nil)
	changed := w.getHook(hook)
	changed.Webhook.Enabled, changed.Webhook.DisabledReason, changed.Webhook.FailingSince = true, "", nil
	w.putHook(changed)
	r.wait(1)
}

func TestAWebhookThatWorksAgainIsNotHeldToHaveFailed(t *testing.T) {
	w := newWorld(t)
	w.registry()
	id := newInstance()
	r := newReceiver(t, nil)
	hook := w.hook(id, r.URL, since(100*time.Hour))
	w.start(w.config())
	w.status(id, instance.Idle, 0)
	bustest.CheckFor(t, patience, func() error {
		if h := w.getHook(hook).GetWebhook(); !h.GetEnabled() || h.GetFailingSince() != nil {
			return fmt.Errorf("%v", h)
		}
		return nil
	})
	r.wait(1)
	w.noneOwed()
}
