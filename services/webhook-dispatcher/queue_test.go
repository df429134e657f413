package dispatcher_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// queue returns the notifications of an instance that are to be fetched, in order.
func (w *world) queue(rec *pb.InstanceRecord) (out []string) {
	w.tb.Helper()
	s := w.stream(bus.StreamQueue)
	for seq := uint64(1); ; {
		m, err := s.GetMsg(w.ctx(), seq, jetstream.WithGetMsgSubject(bus.QueueSubject(instance.ID(rec.GetInstance().GetId()))))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return out
		}
		if err != nil {
			w.tb.Fatal(err)
		}
		seq = m.Sequence + 1
		out = append(out, string(m.Data))
	}
}

// ends says whether each text ends as the words say.
func ends(texts, words []string) error {
	if len(texts) != len(words) {
		return fmt.Errorf("%d notifications, want %d", len(texts), len(words))
	}
	for i, word := range words {
		if !strings.HasSuffix(texts[i], `:"`+word+`"}`) {
			return fmt.Errorf("notification %d is %s, want %s", i, texts[i], word)
		}
	}
	return nil
}

// A queue gets what the settings say yes to, unless a webhook gets it instead.
func TestTheQueueHoldsWhatTheSettingsAskFor(t *testing.T) {
	w := newWorld(t)
	state, both, none := w.instance(1, "stateWebhook", "incomingWebhook"), w.instance(2, "stateWebhook", "statusInstanceWebhook"), w.instance(3, "incomingWebhook")
	pushed, off := w.instance(4, "stateWebhook"), w.instance(5, "stateWebhook")
	receiver := newRecorder(t, nil)
	w.hookOf(pushed, receiver.URL, instance.FormatGreenAPI, "", nil)
	w.hookOf(off, receiver.URL, instance.FormatGreenAPI, "", func(e *pb.EndpointRecord) { e.Webhook.Enabled = false })
	w.hookOf(state, receiver.URL, instance.FormatEvolution, "", nil)
	w.start(w.config())
	all := []*pb.InstanceRecord{state, both, none, pushed, off}
	for _, rec := range all {
		w.became(rec, instance.Idle, instance.Connecting, instance.ReasonConnectRequested, false, false)
		w.became(rec, instance.Pairing, instance.Syncing, instance.ReasonScanned, false, false)
		w.became(rec, instance.Syncing, instance.Online, instance.ReasonLinked, true, false)
		w.became(rec, instance.Online, instance.Offline, instance.ReasonUnreachable, true, true)
	}
	want := [][]string{{"starting", "authorized"}, {"starting", "authorized", "online", "offline"}, nil, nil, {"starting", "authorized"}}
	bustest.CheckFor(t, patience, func() error {
		for i, rec := range all {
			if err := ends(w.queue(rec), want[i]); err != nil {
				return fmt.Errorf("instance %d: %w", i+1, err)
			}
		}
		return nil
	})
	if got, want := w.queue(state)[1], `"instanceData":{"idInstance":1,"wid":"5511@c.us","typeInstance":"whatsapp"}`; !strings.Contains(got, want) {
		t.Error(got)
	}

	// The answer to a change of settings means every later event.
	off.Instance.Settings.GreenApi.Flags = []string{"statusInstanceWebhook"}
	w.putInstance(off)
	w.became(off, instance.Offline, instance.Online, instance.ReasonReconnected, true, true)
	w.became(off, instance.Online, instance.Idle, instance.ReasonLoggedOutByUser, false, true)
	bustest.CheckFor(t, patience, func() error { return ends(w.queue(off), []string{"starting", "authorized", "online", "offline"}) })
}

// Whoever owns the role dies in the middle: the other one goes on, with nothing lost,
// nothing twice and nothing out of order.
func TestTheQueueSurvivesItsProjector(t *testing.T) {
	w := newWorld(t)
	recs := []*pb.InstanceRecord{w.instance(1, "stateWebhook"), w.instance(2, "stateWebhook"), w.instance(3, "stateWebhook")}
	first := w.start(w.config())
	second := w.start(w.config())
	const rounds = 25
	var want []string
	for n := range rounds {
		for _, rec := range recs {
			w.became(rec, instance.Idle, instance.Syncing, instance.ReasonScanned, false, false)
			w.became(rec, instance.Syncing, instance.Online, instance.ReasonLinked, true, false)
		}
		want = append(want, "starting", "authorized")
		if n == rounds/2 {
			bustest.CheckFor(t, patience, func() error {
				if len(w.queue(recs[0])) == 0 {
					return errors.New("nothing is queued yet")
				}
				return nil
			})
			// Somebody fetches meanwhile: what was fetched does not come back.
			s := w.stream(bus.StreamQueue)
			m, err := s.GetMsg(w.ctx(), 1, jetstream.WithGetMsgSubject(bus.QueueSubject(instance.ID(recs[2].GetInstance().GetId()))))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.DeleteMsg(w.ctx(), m.Sequence); err != nil {
				t.Fatal(err)
			}
			first.crash()
		}
	}
	bustest.CheckFor(t, patience, func() error {
		return errors.Join(ends(w.queue(recs[0]), want), ends(w.queue(recs[1]), want), ends(w.queue(recs[2]), want[1:]))
	})
	second.stop()
	// A restart repeats nothing either.
	w.start(w.config())
	w.became(recs[0], instance.Online, instance.Idle, instance.ReasonLoggedOutByUser, false, true)
	bustest.CheckFor(t, patience, func() error {
		return errors.Join(ends(w.queue(recs[0]), append(slices.Clone(want), "notAuthorized")), ends(w.queue(recs[1]), want))
	})
}
