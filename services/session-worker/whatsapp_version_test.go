package worker_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/session-worker/driver"
)

const builtIn = "2.3000.100"

// versioned is a messenger that refuses versions below a minimum, under the name
// of WhatsApp. Like the driver for that it needs no connection to know it again.
type versioned struct {
	*phone
	verdict func(string, bool)

	mu      sync.Mutex
	version string
	minimum string
	refused string
	dialled map[string]int
	// away is when an unreachable messenger wants to be asked again.
	away time.Time
}

var (
	_ driver.VersionSetter = (*versioned)(nil)
	_ driver.Driver        = (*versioned)(nil)
)

func (v *versioned) Provider() instance.Provider { return instance.WhatsApp }

func (v *versioned) OwnVersion() string { return builtIn }

func (v *versioned) OnVersionVerdict(fn func(string, bool)) { v.verdict = fn }

func (v *versioned) SetClientVersion(version string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.version, v.refused = version, ""
	if version == "" {
		v.version = builtIn
	}
	return nil
}

func (v *versioned) require(minimum string, away time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.minimum, v.away = minimum, away
}

// refuse returns how the session ends that is opened now, if it does.
func (v *versioned) refuse() (closed instance.Closed, over bool) {
	v.mu.Lock()
	version, away := v.version, v.away
	outdated, known := version < v.minimum, v.refused == version
	if outdated {
		v.refused = version
	}
	if !known {
		v.dialled[version]++
	}
	v.mu.Unlock()
	switch {
	case known:
	case !away.IsZero():
		return instance.Closed{Reason: instance.ReasonThrottled, Until: away}, true
	case outdated:
		v.verdict(version, true)
	}
	return instance.Closed{Reason: instance.ReasonClientOutdated}, outdated
}

func (v *versioned) Pair(ctx context.Context, p driver.PairParams, sink driver.Sink) driver.Session {
	if closed, over := v.refuse(); over {
		s := v.open(p.Instance, sink)
		s.tell(closed)
		return s
	}
	return v.phone.Pair(ctx, p, sink)
}

func (v *versioned) Login(ctx context.Context, p driver.LoginParams, sink driver.Sink) driver.Session {
	if closed, over := v.refuse(); over {
		s := v.open(p.Instance, sink)
		s.tell(closed)
		return s
	}
	return v.phone.Login(ctx, p, sink)
}

// startVersioned starts a worker whose WhatsApp Web is at the revision, 0 for none.
func startVersioned(t *testing.T, r *rig, revision int) (v *versioned, stop func()) {
	t.Helper()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"client_revision":%d,}`, revision)
	}))
	t.Cleanup(page.Close)
	v = &versioned{phone: r.phone, version: builtIn, dialled: map[string]int{}}
	r.drivers = []driver.Driver{v}
	r.config.WhatsAppEndpoint = strings.TrimPrefix(page.URL, "http://")
	stop = r.start()
	t.Cleanup(stop)
	return v, stop
}

func (r *rig) createWhatsApp() *pb.InstanceRecord {
	r.tb.Helper()
	record := r.create(true)
	record.Instance.Provider = string(instance.WhatsApp)
	r.put(proto.CloneOf(record))
	return record
}

func (r *rig) link(record *pb.InstanceRecord) instance.ID {
	r.tb.Helper()
	id := record.GetInstance().GetId()
	r.ask(record, connect)
	r.await(id, "pairing", phase(instance.Pairing))
	r.phone.scan(instance.ID(id))
	r.await(id, "online", phase(instance.Online))
	return instance.ID(id)
}

// set does what the registry does with settings.update.
func (r *rig) set(version string) {
	r.tb.Helper()
	kv, err := r.conn.KeyValue(r.tb.Context(), bus.BucketSettings)
	if err != nil {
		r.tb.Fatal(err)
	}
	body, err := bus.EncodeJSON(&pb.Settings{WhatsappVersion: version})
	if err != nil {
		r.tb.Fatal(err)
	}
	if _, err := kv.Put(r.tb.Context(), bus.SettingsKey, body); err != nil {
		r.tb.Fatal(err)
	}
}

// One instance finds out that the version is refused. One that waits for an hour,
// because of something else, must not find out in an hour.
func TestOneRefusalMakesAllThatWaitOutdatedAndAVersionSetBringsThemBack(t *testing.T) {
	r := newRig(t)
	v, _ := startVersioned(t, r, 0)
	waiting, dropped, pairing := r.link(r.createWhatsApp()), r.link(r.createWhatsApp()), r.createWhatsApp()

	v.require("", time.Now().Add(time.Hour))
	r.phone.session(waiting).tell(instance.Closed{Reason: instance.ReasonConnectionClosed})
	r.await(string(waiting), "throttled", func(s instance.Status) bool { return s.Reason == instance.ReasonThrottled })

	v.require("2.3000.200", time.Time{})
	r.phone.session(dropped).tell(instance.Closed{Reason: instance.ReasonConnectionClosed})
	r.ask(pairing, connect)
	id := pairing.GetInstance().GetId()
	for _, id := range []string{string(dropped), string(waiting), id} {
		r.await(id, "outdated", phase(instance.Outdated))
	}
	r.set("2.3000.250")
	r.await(string(dropped), "online", phase(instance.Online))
	r.await(string(waiting), "online", phase(instance.Online))
	r.await(id, "idle", func(s instance.Status) bool {
		return s.Phase == instance.Idle && s.Reason == instance.ReasonVersionChanged
	})
	r.ask(pairing, connect)
	r.await(id, "pairing", phase(instance.Pairing))
}

// People set a version in their environment and restart.
func TestOutdatedEndsWithARestartUnderAnotherVersion(t *testing.T) {
	r := newRig(t)
	v, stop := startVersioned(t, r, 0)
	linked, record := r.link(r.createWhatsApp()), r.createWhatsApp()
	id := record.GetInstance().GetId()
	v.require("2.3000.200", time.Time{})
	r.phone.session(linked).tell(instance.Closed{Reason: instance.ReasonConnectionClosed})
	r.ask(record, connect)
	r.await(string(linked), "outdated", phase(instance.Outdated))
	r.await(id, "outdated", phase(instance.Outdated))
	stop()
	r.config.WhatsAppClient.Version = "2.3000.200"
	stop = r.start()
	defer stop()
	r.await(string(linked), "online", phase(instance.Online))
	r.await(id, "idle", phase(instance.Idle))
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.dialled[builtIn] != 2 { // the link, and the one refusal
		t.Errorf("connections by version: %v", v.dialled)
	}
}

func TestVersionOfWhatsAppWebIsShownFromTheStart(t *testing.T) {
	r := newRig(t)
	v, _ := startVersioned(t, r, 300)
	v.require("2.3000.300", time.Time{})
	bustest.CheckFor(t, 10*time.Second, func() error {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.version != "2.3000.300" {
			return fmt.Errorf("%s is shown", v.version)
		}
		return nil
	})
	r.link(r.createWhatsApp())
}
