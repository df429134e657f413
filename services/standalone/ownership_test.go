package standalone_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/standalone/internal/e2e"
)

// TestTwoWorkersShareAThousandInstances kills and freezes workers that hold a
// thousand open sessions, on one NATS server, and judges every message of EVENTS.
func TestTwoWorkersShareAThousandInstances(t *testing.T) {
	bustest.CheckGoroutines(t)
	const ttl = 3 * time.Second
	server := bustest.Server(t, bustest.Listen)
	options := server.ConnOptions("test", nil)
	shareInstances(t, bustest.Conn(t, server, bustest.LeaseTTL(ttl)), map[string]string{"PAIRGATE_NATS_URL": server.URL(),
		"PAIRGATE_NATS_USER": options.User, "PAIRGATE_NATS_PASSWORD": options.Password, "PAIRGATE_LEASE_TTL": ttl.String()}, 1000, 100)
}

// TestTwoWorkersShareInstancesInACluster is the same on three NATS servers, with
// three replicas of everything.
func TestTwoWorkersShareInstancesInACluster(t *testing.T) {
	bustest.CheckGoroutines(t)
	const ttl = 6 * time.Second
	nodes := bustest.Cluster(t, 3)
	shareInstances(t, nodes.Conn(t, bustest.LeaseTTL(ttl)), map[string]string{"PAIRGATE_NATS_URL": nodes.URL(),
		"PAIRGATE_REPLICAS": "3", "PAIRGATE_LEASE_TTL": ttl.String()}, 300, 50)
}

func shareInstances(t *testing.T, conn *bus.Conn, nats map[string]string, instances, links int) {
	f := newFleet(t, conn, instance.Simulated, nats)
	// A worker that is alone takes every partition, and gives some to later ones only
	// after a while. One that goes in good order lets two others share at once.
	first := f.worker("first", nil)
	f.steady("first")
	server, _, _ := strings.Cut(strings.TrimPrefix(nats["PAIRGATE_NATS_URL"], "nats://"), ",")
	relay := e2e.NewRelay(t, server)
	a, b := f.worker("a", nil), f.worker("b", map[string]string{"PAIRGATE_NATS_URL": "nats://" + relay.Addr()})
	if code := first.Stop(); code != 0 {
		t.Fatalf("the first worker ended with status %d", code)
	}
	f.create(instances)
	f.connect()
	f.steady("a", "b")
	f.link(links)
	f.steady("a", "b")
	before := f.history.snapshot(f.ids)
	t.Logf("%d instances, of which a holds %d and b %d", len(f.ids), count(before, "a"), count(before, "b"))
	if count(before, "a") == 0 || count(before, "b") == 0 {
		t.Fatal("one worker holds all instances")
	}

	// Killed: the other one takes everything.
	a.Kill()
	f.steady("b")
	after := f.history.snapshot(f.ids)
	f.checkTakeOver(before, after, "a")

	// Frozen for longer than its lease holds, with writes on the way: the one that was
	// killed, started again, takes everything. Then the writes arrive.
	a = f.worker("a", nil)
	frozen := f.nonce("b")
	before = after
	relay.Hold()
	f.restart()
	bustest.CheckFor(t, patience, func() error {
		if n := len(eventWrites(relay.Held())); n < links/4 {
			return fmt.Errorf("%d writes are on the way", n)
		}
		return nil
	})
	b.Freeze()
	f.steady("a")
	after = f.history.snapshot(f.ids)
	f.checkTakeOver(before, after, "b")
	late := eventWrites(relay.Held())
	relay.Release()
	var answers map[string]string
	bustest.CheckFor(t, patience, func() error {
		if answers = answered(relay.Heard(), late); len(answers) < len(late) {
			return fmt.Errorf("%d of %d late writes were answered", len(answers), len(late))
		}
		return nil
	})
	f.sound()
	checkRefused(t, answers)

	// It goes on where it stopped, finds that it owns nothing, and comes back under
	// another lease; nothing it still wanted to say is stored. It is as good as before:
	// when the other one goes, it takes everything.
	b.Thaw()
	f.awaitTenure("b", frozen)
	f.steady("a")
	if code := a.Stop(); code != 0 {
		t.Fatalf("worker a ended with status %d", code)
	}
	f.steady("b")
	messages, records := f.history.size()
	t.Logf("judged %d messages, %d of them owner records", messages, records)
}

// checkTakeOver compares what was held before and after one worker was lost.
func (f *fleet) checkTakeOver(before, after map[instance.ID]held, lost string) {
	f.t.Helper()
	for id, was := range before {
		is := after[id]
		switch {
		case was.owner == lost && is.owner == lost:
			f.t.Errorf("%s is still with %s", id, lost)
		case was.owner == lost && is.status.GetEpoch() <= was.status.GetEpoch():
			f.t.Errorf("%s went from epoch %d to %d", id, was.status.GetEpoch(), is.status.GetEpoch())
		}
		// One attempt for each owner that had to open the window anew; none for a link.
		want := was.status.GetAttempt()
		if !f.linked[id] {
			want += uint64(is.owners - was.owners)
		}
		if is.status.GetAttempt() != want {
			f.t.Errorf("%s went from attempt %d to %d under %d new owners", id, was.status.GetAttempt(), is.status.GetAttempt(), is.owners-was.owners)
		}
	}
}

func count(all map[instance.ID]held, owner string) (n int) {
	for _, h := range all {
		if h.owner == owner {
			n++
		}
	}
	return n
}

// eventWrite is the line of the NATS protocol that begins the write of an event; it names the inbox of the answer.
var eventWrite = regexp.MustCompile(`(?m)^HPUB pairgate\.v1\.events\.\S+ (_INBOX\S+) \d+ \d+\r$`)

// eventWrites returns the inboxes of the writes of events in what a program has sent.
func eventWrites(sent []byte) (inboxes []string) {
	for _, found := range eventWrite.FindAllSubmatch(sent, -1) {
		inboxes = append(inboxes, string(found[1]))
	}
	return inboxes
}

// answer is a message to an inbox, and its body.
var answer = regexp.MustCompile(`(?m)^MSG (_INBOX\S+) \S+ \d+\r\n(.*)\r$`)

// answered returns what the server has answered to the writes, by their inboxes.
func answered(heard []byte, inboxes []string) map[string]string {
	answers := map[string]string{}
	for _, found := range answer.FindAllSubmatch(heard, -1) {
		if inbox := string(found[1]); slices.Contains(inboxes, inbox) {
			answers[inbox] = string(found[2])
		}
	}
	return answers
}

// checkRefused checks that no write was stored. Most must be refused by their
// fence; a replicated server may also say that it is busy with another one on the same fence.
func checkRefused(t *testing.T, answers map[string]string) {
	t.Helper()
	fenced := 0
	for _, body := range answers {
		switch {
		case strings.Contains(body, `"err_code":10071`):
			fenced++
		case !strings.Contains(body, `"err_code":10164`):
			t.Errorf("a late write was answered with %s", body)
		}
	}
	if 2*fenced <= len(answers) {
		t.Errorf("of %d late writes the fence refused %d", len(answers), fenced)
	}
	t.Logf("%d late writes of the frozen worker arrived, %d were refused by their fence", len(answers), fenced)
}
