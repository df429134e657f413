package clientversion_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"pairgate.dev/services/session-worker/driver"
	"pairgate.dev/services/session-worker/internal/clientversion"
)

const (
	own    = "2.3000.100"
	newer  = "2.3000.200"
	newest = "2.3000.300"
)

// whatsApp is a driver whose messenger refuses what is older than a minimum, and the messenger's page.
type whatsApp struct {
	mu      sync.Mutex
	sets    []string
	version string
	verdict func(string, bool)

	page    string
	pageErr error
	asked   []time.Time
	hold    chan struct{}

	changed, refused int
}

var _ driver.VersionSetter = (*whatsApp)(nil)

func (w *whatsApp) OwnVersion() string { return own }

func (w *whatsApp) SetClientVersion(v string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sets = append(w.sets, v)
	if w.version = v; v == "" {
		w.version = own
	}
	return nil
}

func (w *whatsApp) OnVersionVerdict(fn func(string, bool)) { w.verdict = fn }

func (w *whatsApp) latest(ctx context.Context) (clientversion.Version, error) {
	w.mu.Lock()
	w.asked = append(w.asked, time.Now())
	page, err, hold := w.page, w.pageErr, w.hold
	w.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	return clientversion.Version(page), err
}

func (w *whatsApp) offer(page string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.page, w.pageErr = page, err
}

// questions returns when the page was asked for, since the start.
func (w *whatsApp) questions(start time.Time) (after []time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range w.asked {
		after = append(after, at.Sub(start))
	}
	return after
}

// bench is a keeper that runs, in a bubble.
type bench struct {
	*whatsApp
	t        *testing.T
	keeper   *clientversion.Keeper
	registry *prometheus.Registry
	logs     *observer.ObservedLogs
	start    time.Time
}

// keep runs body in a bubble beside a running keeper; set is what is set at the start.
func keep(t *testing.T, configured clientversion.Version, setting string, page string, body func(*bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.InfoLevel)
		b := &bench{whatsApp: &whatsApp{page: page}, t: t, registry: prometheus.NewRegistry(), logs: logs, start: time.Now()}
		if page == "" {
			b.pageErr = errors.New("no network")
		}
		b.keeper = clientversion.New(clientversion.Options{Driver: b.whatsApp, Configured: configured, Setting: setting, Latest: b.latest,
			Changed: func() { b.changed++ }, Refused: func() { b.refused++ },
			Log: zap.New(core), Metrics: b.registry, Rand: func() float64 { return 0.5 }})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { b.keeper.Run(ctx) })
		body(b)
		cancel()
		running.Wait()
	})
}

// settle lets the keeper do what it has to do now.
func (b *bench) settle() { synctest.Wait() }

func (b *bench) want(what, version string) {
	b.t.Helper()
	b.settle()
	b.mu.Lock()
	defer b.mu.Unlock()
	got := b.version
	if got == "" {
		got = own
	}
	if got != version {
		b.t.Errorf("%s: %s is in force, want %s", what, got, version)
	}
}

// refuse lets WhatsApp refuse the version in force.
func (b *bench) refuse(version string) {
	b.verdict(version, true)
	b.settle()
}

// sample returns the value of the family whose labels, joined, contain the text.
func (b *bench) sample(family, labels string) (value float64, found bool) {
	b.t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != family {
			continue
		}
		for _, m := range f.GetMetric() {
			var text strings.Builder
			for _, l := range m.GetLabel() {
				text.WriteString(l.GetName() + "=" + l.GetValue() + ";")
			}
			if strings.Contains(text.String(), labels) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue(), true
			}
		}
	}
	return 0, false
}

func (b *bench) outdated() bool {
	b.t.Helper()
	value, _ := b.sample("pairgate_whatsapp_client_outdated", "")
	if known := b.keeper.Outdated(); known != (value == 1) {
		b.t.Errorf("Outdated says %v, the metric %v", known, value)
	}
	return value == 1
}

func TestVersionSetAtRunTimeComesBeforeTheEnvironmentAndThatBeforeWhatsAppWeb(t *testing.T) {
	keep(t, newer, "", newest, func(b *bench) {
		b.want("configured", newer)
		b.keeper.Set("2.3000.50")
		b.want("set at run time, though older", "2.3000.50")
		if warned := b.logs.FilterLevelExact(zapcore.WarnLevel).Len(); warned != 1 {
			b.t.Errorf("%d warnings of a version that is older than the library's", warned)
		}
		if _, ok := b.sample("pairgate_whatsapp_client_version_info", "source=settings;version=2.3000.50"); !ok {
			b.t.Error("the metric does not show the version in force")
		}
		b.keeper.Set("")
		b.want("taken back", newer)
		if b.changed != 2 {
			b.t.Errorf("the sessions were told of %d changes, want 2", b.changed)
		}
		if asked := b.questions(b.start); len(asked) != 0 {
			b.t.Errorf("WhatsApp Web was asked after %v though a version is set", asked)
		}
	})
	keep(t, "", newer, newest, func(b *bench) {
		b.want("set before the start", newer)
		if b.changed != 0 {
			b.t.Error("sessions that do not run yet were told of a change")
		}
		b.keeper.Set("")
		time.Sleep(time.Second)
		b.want("nothing set, and looked up", newest)
	})
}

func TestVersionOfWhatsAppWebIsTakenWhenItIsNewerThanTheLibrarys(t *testing.T) {
	for page, want := range map[string]string{newer: newer, own: own, "2.3000.99": own, "": own} {
		keep(t, "", "", page, func(b *bench) { b.want("page "+page, want) })
	}
	keep(t, "", "", newest, func(b *bench) {
		b.want("newer", newest)
		b.offer(newer, nil)
		time.Sleep(8 * time.Hour)
		b.want("WhatsApp Web went back", newer)
	})
}

func TestBadSettingInTheBucketIsIgnored(t *testing.T) {
	keep(t, "", newer, own, func(b *bench) {
		b.keeper.Set("1.2.3")
		b.want("what was set before stays", newer)
	})
}

func TestWhatsAppWebIsAskedEveryFewHours(t *testing.T) {
	keep(t, "", "", own, func(b *bench) {
		time.Sleep(25 * time.Hour)
		if asked := b.questions(b.start); !slices.Equal(asked, []time.Duration{0, 6 * time.Hour, 12 * time.Hour, 18 * time.Hour, 24 * time.Hour}) {
			b.t.Errorf("asked after %v", asked)
		}
	})
	keep(t, "", "", "", func(b *bench) {
		time.Sleep(31 * time.Minute)
		if asked := b.questions(b.start); !slices.Equal(asked, []time.Duration{0, 15 * time.Minute, 30 * time.Minute}) {
			b.t.Errorf("asked after %v while it fails", asked)
		}
		if failed, _ := b.sample("pairgate_whatsapp_version_checks_total", "result=failed"); failed != 3 {
			b.t.Errorf("%v failures are counted", failed)
		}
		b.offer(newer, nil)
		time.Sleep(15 * time.Minute)
		b.want("the network is back", newer)
	})
}

func TestRefusalIsLookedIntoAtOnceButNotInARush(t *testing.T) {
	keep(t, "", "", own, func(b *bench) {
		time.Sleep(time.Hour)
		b.offer(newer, nil)
		for range 100 { // a thousand instances find out
			b.refuse(own)
		}
		b.want("found", newer)
		if b.outdated() {
			b.t.Error("the new version counts as refused")
		}
		b.refuse(newer)
		b.refuse(newer)
		time.Sleep(20 * time.Second)
		asked := b.questions(b.start)
		if !slices.Equal(asked, []time.Duration{0, time.Hour, time.Hour + 10*time.Second}) {
			b.t.Errorf("asked after %v", asked)
		}
		b.offer(newest, nil)
		time.Sleep(15 * time.Minute)
		b.want("found later", newest)
	})
}

func TestOneQuestionIsAskedAtATime(t *testing.T) {
	keep(t, "", "", newer, func(b *bench) {
		b.settle()
		b.mu.Lock()
		b.hold = make(chan struct{})
		b.mu.Unlock()
		time.Sleep(6 * time.Hour)
		for range 10 {
			b.refuse(newer)
			b.keeper.Set(newest)
			b.want("what is set does not wait for the answer", newest)
			b.keeper.Set("")
			time.Sleep(time.Minute)
		}
		if asked := b.questions(b.start); len(asked) != 2 {
			b.t.Errorf("asked after %v while the second answer is awaited", asked)
		}
	})
}

func TestRefusedVersionOfWhatsAppWebGivesWayToTheLibrarys(t *testing.T) {
	keep(t, "", "", newer, func(b *bench) {
		b.want("found", newer)
		b.refuse(newer)
		b.want("a page that was misread cuts nobody off", own)
		b.refuse(own)
		b.want("none is accepted", newer)
		b.refuse(newer)
		b.want("and no to and fro", newer)
		if !b.outdated() {
			b.t.Error("the version in force is refused and nothing says so")
		}
		b.offer(newest, nil)
		time.Sleep(20 * time.Minute)
		b.want("the next one", newest)
		if b.outdated() {
			b.t.Error("a version that was not tried counts as refused")
		}
	})
}

func TestPinnedVersionStaysWhenItIsRefused(t *testing.T) {
	keep(t, newer, "", newest, func(b *bench) {
		b.refuse(newer)
		b.want("refused", newer)
		time.Sleep(time.Hour)
		b.want("an hour later", newer)
		if len(b.logs.FilterField(zap.String("version", newest)).All()) != 1 {
			b.t.Error("the log does not say once what WhatsApp Web is at")
		}
	})
}

func TestRefusalIsToldOnceAndSaysWhatToDo(t *testing.T) {
	keep(t, "", "", "", func(b *bench) {
		for range 50 {
			b.refuse(own)
		}
		if b.refused != 1 {
			b.t.Errorf("the sessions were told %d times", b.refused)
		}
		lines := b.logs.FilterLevelExact(zapcore.ErrorLevel).All()
		if len(lines) != 1 || !strings.Contains(lines[0].ContextMap()["do"].(string), "pairgate.v1.settings.update") {
			b.t.Fatalf("the log has %v", lines)
		}
		b.verdict(own, false)
		b.settle()
		if b.outdated() || b.refused != 1 || b.changed != 1 {
			b.t.Error("it is accepted again, and not all were told")
		}
		b.refuse(own)
		if !b.outdated() || b.refused != 2 {
			b.t.Error("it is refused again")
		}
		b.keeper.Set(newer)
		b.want("set", newer)
		if b.outdated() || b.changed != 2 {
			b.t.Errorf("outdated %v, %d changes told", b.outdated(), b.changed)
		}
		b.refuse(own) // a session that was opened before the change
		if b.outdated() {
			b.t.Error("a refusal of the version before counts for the new one")
		}
	})
}
