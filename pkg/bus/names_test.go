package bus_test

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
)

const testID = instance.ID("0190a6c1-7b3e-7c44-9f00-0123456789ab")

func TestSubjectsOfTheContract(t *testing.T) {
	p := testID.Partition()
	for got, want := range map[string]string{
		bus.EventSubject(testID, instance.KindPairingCode): "pairgate.v1.events." + string(testID) + ".pairing-code",
		bus.OwnerSubject(7):                                   "pairgate.v1.owners.007",
		bus.SessionSubject(p, testID, bus.VerbTouch):          "pairgate.v1.sessions." + p.String() + "." + string(testID) + ".touch",
		bus.LaneSubject("wh1", testID):                        "pairgate.v1.deliveries." + instance.PartitionOf("wh1").String() + ".wh1." + string(testID),
		bus.LaneOwnerSubject(255):                             "pairgate.v1.lane-owners.255",
		bus.RoleSubject(bus.RoleRouter):                       "pairgate.v1.roles.webhook-router",
		bus.SubjectInstancesCreate:                            "pairgate.v1.instances.create",
		bus.SubjectInstancesResolveToken:                      "pairgate.v1.instances.resolve-token",
		bus.SubjectInstancesReveal:                            "pairgate.v1.instances.reveal",
		bus.InstanceKey(testID):                               "i." + p.String() + "." + string(testID),
		bus.NumberKey(1101000001):                             "number.1101000001",
		bus.TokenKey("ab", testID):                            "token.ab." + string(testID),
		bus.LiveSubject(bus.EventSubject(testID, "status")):   "pairgate.live.v1.events." + string(testID) + ".status",
		bus.LiveSubject(bus.BucketSubject("WORKERS", "w.>")):  "pairgate.live.kv.WORKERS.w.>",
		bus.LiveBucket(bus.BucketInstances):                   "pairgate.live.kv.INSTANCES.>",
		bus.EventsOfKind(instance.KindCode):                   "pairgate.v1.events.*.code",
		bus.EventsOf(testID):                                  "pairgate.v1.events." + string(testID) + ".*",
		bus.SessionsOf(3, ""):                                 "pairgate.v1.sessions.003.*.*",
		bus.StoredSubject("pairgate.live.v1.owners.001"):      "pairgate.v1.owners.001",
		bus.StoredSubject("pairgate.live.kv.INSTANCES.i.1.x"): "$KV.INSTANCES.i.1.x",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if n := len(bus.RequestSubjects()); n != 25 {
		t.Errorf("%d request subjects", n)
	}
	sorted := slices.Clone(bus.RequestSubjects())
	slices.Sort(sorted)
	if len(slices.Compact(sorted)) != 25 {
		t.Error("a request subject is listed twice")
	}
}

func TestNameKeyIsTheHashOfTheExactTrimmedName(t *testing.T) {
	sum := sha256.Sum256([]byte("Sales Кёльн"))
	if got, want := bus.NameKey("  Sales Кёльн\t"), "name."+hex.EncodeToString(sum[:]); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if bus.NameKey("sales") == bus.NameKey("Sales") {
		t.Error("names are case-sensitive")
	}
}

func TestKeysAreValidInABucket(t *testing.T) {
	valid := regexp.MustCompile(`^[-/_=\.a-zA-Z0-9]+$`)
	for _, key := range []string{bus.InstanceKey(testID), bus.NameKey("a b.>*"), bus.NumberKey(1), bus.TokenKey(strings.Repeat("a", 64), testID),
		bus.IdempotencyKey("any > text"), bus.WorkerKey("session-worker", "w1"), bus.VaultKey(testID), bus.EndpointKey("x1"), bus.SettingsKey} {
		if !valid.MatchString(key) || strings.HasSuffix(key, ".") {
			t.Errorf("%q is no key", key)
		}
	}
}

func TestParseUndoesNames(t *testing.T) {
	for _, k := range instance.Kinds() {
		subject := bus.EventSubject(testID, k)
		for _, s := range []string{subject, bus.LiveSubject(subject)} {
			if id, kind, ok := bus.ParseEventSubject(s); !ok || id != testID || kind != k {
				t.Errorf("%s: %v %v %v", s, id, kind, ok)
			}
		}
	}
	for p := range instance.Partition(instance.Partitions) {
		if got, ok := bus.ParseOwnerSubject(bus.OwnerSubject(p)); !ok || got != p {
			t.Errorf("owner %v: %v %v", p, got, ok)
		}
		if got, ok := bus.ParseLaneOwnerSubject(bus.LaneOwnerSubject(p)); !ok || got != p {
			t.Errorf("lane owner %v: %v %v", p, got, ok)
		}
	}
	p, id, verb, ok := bus.ParseSessionSubject(bus.SessionSubject(testID.Partition(), testID, bus.VerbPasskey))
	if !ok || p != testID.Partition() || id != testID || verb != bus.VerbPasskey {
		t.Errorf("session: %v %v %v %v", p, id, verb, ok)
	}
	if e, id, ok := bus.ParseLaneSubject(bus.LaneSubject("wh", testID)); !ok || e != "wh" || id != testID {
		t.Errorf("lane: %v %v %v", e, id, ok)
	}
	if role, ok := bus.ParseRoleSubject(bus.RoleSubject("r")); !ok || role != "r" {
		t.Errorf("role: %v %v", role, ok)
	}
	if id, ok := bus.ParseQueueSubject(bus.QueueSubject(testID)); !ok || id != testID {
		t.Errorf("queue: %v %v", id, ok)
	}
	if id, ok := bus.ParseInstanceKey(bus.InstanceKey(testID)); !ok || id != testID {
		t.Errorf("instance key: %v %v", id, ok)
	}
	if n, ok := bus.ParseNumberKey(bus.NumberKey(12345678)); !ok || n != 12345678 {
		t.Errorf("number key: %v %v", n, ok)
	}
	hash := strings.Repeat("f", 64)
	if h, id, ok := bus.ParseTokenKey(bus.TokenKey(hash, testID)); !ok || h != hash || id != testID {
		t.Errorf("token key: %v %v %v", h, id, ok)
	}
	if kind, id, ok := bus.ParseWorkerKey(bus.WorkerKey("k", "i")); !ok || kind != "k" || id != "i" {
		t.Errorf("worker key: %v %v %v", kind, id, ok)
	}
	if id, ok := bus.ParseEndpointKey(bus.EndpointKey("i")); !ok || id != "i" {
		t.Errorf("endpoint key: %v %v", id, ok)
	}
	if b, k, ok := bus.ParseBucketSubject(bus.LiveSubject(bus.BucketSubject("B", "k.1"))); !ok || b != "B" || k != "k.1" {
		t.Errorf("bucket subject: %v %v %v", b, k, ok)
	}
}

// FuzzParse looks for a text that a parser accepts although no name is spelled so.
func FuzzParse(f *testing.F) {
	for _, s := range []string{bus.EventSubject(testID, "status"), bus.OwnerSubject(1), bus.InstanceKey(testID), bus.NumberKey(7),
		bus.LaneSubject("a", testID), bus.SessionSubject(testID.Partition(), testID, "touch"), bus.RoleSubject("x"),
		"pairgate.live.kv.B.k", "pairgate.v1.owners.256", "i.1.x", "w.a.b", "token.."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		stored := bus.StoredSubject(s)
		if id, k, ok := bus.ParseEventSubject(s); ok && bus.EventSubject(id, k) != stored {
			t.Error("event")
		}
		if p, ok := bus.ParseOwnerSubject(s); ok && bus.OwnerSubject(p) != stored {
			t.Error("owner")
		}
		if p, ok := bus.ParseLaneOwnerSubject(s); ok && bus.LaneOwnerSubject(p) != stored {
			t.Error("lane owner")
		}
		if p, id, verb, ok := bus.ParseSessionSubject(s); ok && bus.SessionSubject(p, id, verb) != s {
			t.Error("session")
		}
		if e, id, ok := bus.ParseLaneSubject(s); ok && bus.LaneSubject(e, id) != s {
			t.Error("lane")
		}
		if r, ok := bus.ParseRoleSubject(s); ok && bus.RoleSubject(r) != s {
			t.Error("role")
		}
		if id, ok := bus.ParseQueueSubject(s); ok && bus.QueueSubject(id) != s {
			t.Error("queue")
		}
		if id, ok := bus.ParseInstanceKey(s); ok && bus.InstanceKey(id) != s {
			t.Error("instance key")
		}
		if n, ok := bus.ParseNumberKey(s); ok && bus.NumberKey(n) != s {
			t.Error("number key")
		}
		if h, id, ok := bus.ParseTokenKey(s); ok && bus.TokenKey(h, id) != s {
			t.Error("token key")
		}
		if k, id, ok := bus.ParseWorkerKey(s); ok && bus.WorkerKey(k, id) != s {
			t.Error("worker key")
		}
		if id, ok := bus.ParseEndpointKey(s); ok && bus.EndpointKey(id) != s {
			t.Error("endpoint key")
		}
		if b, k, ok := bus.ParseBucketSubject(s); ok && bus.BucketSubject(b, k) != stored {
			t.Error("bucket subject")
		}
	})
}
