package registry

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

func keyed(name string) *pb.CreateInstanceRequest {
	return &pb.CreateInstanceRequest{Name: name, Provider: "simulated", IdempotencyKey: "key-1",
		Webhooks: []*pb.WebhookSpec{{Url: "https://example.com/a"}, {Url: "https://example.com/b"}}}
}

func TestIdempotencyKey(t *testing.T) {
	w := serving(t)
	first := w.made(t, keyed("shop"))
	if again := w.made(t, keyed("shop")); !proto.Equal(first, again) {
		t.Errorf("the same request got another reply:\n%v\n%v", first, again)
	}
	refused(t, w, instance.CodeKeyReused, bus.SubjectInstancesCreate, keyed("other"))
	// Whatever became of the instance since, the reply is the same.
	must[pb.DeleteInstanceReply](t, w, bus.SubjectInstancesDelete, &pb.DeleteInstanceRequest{Ref: "shop"})
	if again := w.made(t, keyed("shop")); !proto.Equal(first, again) {
		t.Error("the reply changed with the deletion of the instance")
	}
}

func TestKeyOfAFailedCreationMayBeUsedAgain(t *testing.T) {
	w := serving(t)
	w.made(t, simple("shop"))
	refused(t, w, instance.CodeNameTaken, bus.SubjectInstancesCreate, keyed("shop"))
	refused(t, w, instance.CodeNameTaken, bus.SubjectInstancesCreate, keyed("shop"))
	w.made(t, keyed("other"))
}

// Of requests that run at once, one makes the instance; the others get its reply or are told that it runs.
func TestKeyWhileTheCreationRuns(t *testing.T) {
	w := bench(t)
	running := w.interrupted("i.", func() {
		_, err := w.create(t.Context(), keyed("shop"))
		if p := instance.AsProblem(err); err == nil || p.Code != instance.CodeStillRunning {
			t.Errorf("while it runs: %v", err)
		}
	})
	if _, err := running.create(t.Context(), keyed("shop")); err != nil {
		t.Fatal(err)
	}
}

// A process that dies anywhere in a creation must not make its key useless, nor
// make two instances of it.
func TestKeyAfterACrashAtEveryStep(t *testing.T) {
	for n := 0; ; n++ {
		w := bench(t)
		dying, died := w.crashAfter(n)
		_, err := dying.create(t.Context(), keyed("shop"))
		if err == nil && !died() {
			if n < 7 {
				t.Errorf("a creation takes %d writes", n)
			}
			return
		}
		later := *w.registry
		later.now = func() time.Time { return time.Now().Add(2 * w.cfg.ClaimAge) }
		if err := newSweeper(&later, newLifecycle(&later)).sweep(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		first, err := later.create(t.Context(), keyed("shop"))
		if err != nil {
			t.Fatalf("after a crash at write %d: %v", n, err)
		}
		again, err := later.create(t.Context(), keyed("shop"))
		if err != nil || !proto.Equal(first, again) || first.GetToken() == "" || len(first.GetWebhooks()) != 2 || first.GetWebhooks()[1].GetSecret() == "" {
			t.Fatalf("after a crash at write %d: %v, then %v, %v", n, first, again, err)
		}
		live := 0
		for range w.views.Instances.After("") {
			live++
		}
		if live != 1 {
			t.Fatalf("after a crash at write %d: %d instances", n, live)
		}
	}
}
