//go:build bench

package bench

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/lab/labclient"
	"pairgate.dev/services/standalone/internal/e2e"
)

// linksAtOnce is how many instances link at a time where many are linked for what they cost.
const linksAtOnce = 4

// emulated is a lab in a process of its own, which can be killed and started again
// at the same addresses.
type emulated struct {
	process                      *e2e.Process
	start                        func()
	control, whatsapp, noiseRoot string
}

func startEmulated(t *testing.T) *emulated {
	l := &emulated{control: "127.0.0.1:0", whatsapp: "127.0.0.1:0"}
	dir := t.TempDir()
	l.start = func() {
		l.process = e2e.Start(t, binaries.Build(t, "lab"), []string{"--control-addr", l.control, "--whatsapp-addr", l.whatsapp, "--data-dir", dir}, nil)
		line := func(prefix string) string {
			return strings.TrimPrefix(l.process.Await(prefix, func(s string) bool { return strings.HasPrefix(s, prefix) }), prefix)
		}
		l.control, l.whatsapp, l.noiseRoot = line("control http://"), line("whatsapp "), line("whatsapp-noise-root ")
	}
	l.start()
	return l
}

// TestWhatsAppSessions compares sessions of Pairgate with clients of the library
// that do nothing else, and lets all of them lose their connection at once.
func TestWhatsAppSessions(t *testing.T) {
	messenger := startEmulated(t)
	phones := labclient.New(messenger.control)
	defer phones.Close()
	// Devices of both sides upload 50 prekeys, not the 812 of a first login, which
	// would measure the database of the keys and nothing else.
	if err := phones.SetFaults(t.Context(), labapi.Faults{PreKeyCount: 1}); err != nil {
		t.Fatal(err)
	}
	const setting = syncSecond
	job := bareJob{Control: messenger.control, WhatsApp: messenger.whatsapp, NoiseRoot: messenger.noiseRoot, Clients: *sessions}

	var bareIdle int64
	bare := startBare(t, job, func(p *e2e.Process) { bareIdle = e2e.SettledRSS(t, p, time.Minute) })
	bareEach := (e2e.SettledRSS(t, bare.process, 2*time.Minute) - bareIdle) / int64(*sessions)
	bare.process.Kill()

	d := e2e.ServeAt(t, &binaries, filepath.Join(t.TempDir(), "data"), map[string]string{"PAIRGATE_NATS_SYNC": setting,
		"PAIRGATE_WHATSAPP_ENDPOINT": messenger.whatsapp, "PAIRGATE_WHATSAPP_NOISE_ROOT": messenger.noiseRoot})
	process := d.Processes["pairgate"]
	empty := e2e.SettledRSS(t, process, time.Minute)
	l := &linking{t: t, d: d, phones: phones, events: follow(t, d, "/v1/events")}
	l.all(*sessions)
	each := (e2e.SettledRSS(t, process, 2*time.Minute) - empty) / int64(*sessions)

	durations(t, "WhatsApp: connect → first QR picture at an HTTP client, median; floor: the bare library's QR",
		quantile(l.qr, 0.5), quantile(bare.FirstQR, 0.5), "", setting)
	durations(t, "the same: scan → online at an HTTP client, median; floor: the bare library connected", quantile(l.online, 0.5), quantile(bare.Online, 0.5), "", setting)
	figure(t, "our share of connect → first QR and of scan → online, medians",
		short(quantile(l.qr, 0.5)-quantile(bare.FirstQR, 0.5))+", "+short(quantile(l.online, 0.5)-quantile(bare.Online, 0.5)), "≤ 5 ms each", setting)
	r := row{what: fmt.Sprintf("memory of each of %d linked WhatsApp sessions; floor: bare clients", *sessions), measured: kilobytes(each), floor: kilobytes(bareEach),
		ratio: fmt.Sprintf("%.2f", float64(each)/float64(bareEach)), aim: "≤ 1.2", sync: setting}
	t.Logf("%+v", r)
	results.add(r)

	// The messenger dies and comes back: everybody is cut off at once.
	messenger.process.Kill()
	messenger.start()
	back := l.allBack(time.Now())
	figure(t, fmt.Sprintf("all %d cut off at once: back online after, median and last", *sessions), short(quantile(back, 0.5))+", "+short(quantile(back, 1)), "", setting)
	results.chart("Sessions that came back online in each second after the messenger did", back)
}

func kilobytes(bytes int64) string { return fmt.Sprintf("%.1f KB", float64(bytes)/1000) }

// linking links instances over HTTP and hears of it by a stream of events.
type linking struct {
	t          *testing.T
	d          *e2e.Deployment
	phones     *labclient.Client
	events     *stream
	ids        map[string]bool
	qr, online []time.Duration
}

// all creates and links n instances.
func (l *linking) all(n int) {
	l.t.Helper()
	l.ids = map[string]bool{}
	type link struct {
		id      string
		qr      time.Duration
		scanned time.Time
		alone   bool
	}
	links := make(chan link, n)
	err := oneByOneThenMore(n, func(i int, alone bool) error {
		phone := fmt.Sprintf("1888%07d", i)
		if _, err := l.phones.AddAccount(l.t.Context(), labapi.NewAccount{Provider: "whatsapp", Phone: phone, Name: "Ours"}); err != nil {
			return err
		}
		created, err := l.d.API.Try(http.MethodPost, "/v1/instances", map[string]any{"name": "session " + phone, "provider": "whatsapp"})
		if err != nil || created.Status != http.StatusCreated {
			return fmt.Errorf("create: %s (%w)", created.Raw, err)
		}
		id, _ := created.Body["instance"].(map[string]any)["id"].(string)
		began := time.Now()
		shown, err := l.d.API.Try(http.MethodPost, "/v1/instances/"+id+"/connect?wait=60", nil)
		took := time.Since(began)
		if err != nil || shown.Status != http.StatusOK {
			return fmt.Errorf("connect: %s (%w)", shown.Raw, err)
		}
		qr, _ := shown.Body["qr"].(map[string]any)
		code, _ := qr["code"].(string)
		at := time.Now()
		if err := l.phones.ScanCode(l.t.Context(), phone, code); err != nil {
			return err
		}
		links <- link{id, took, at, alone}
		return l.d.API.Poll("/v1/instances/"+id+"/status", func(status map[string]any) bool { return status["phase"] == string(instance.Online) })
	})
	if err != nil {
		l.t.Fatal(err)
	}
	close(links)
	scanned := map[string]time.Time{}
	for k := range links {
		l.ids[k.id] = true
		if k.alone {
			scanned[k.id], l.qr = k.scanned, append(l.qr, k.qr)
		}
	}
	for id, at := range l.wentOnline() {
		if from, ok := scanned[id]; ok {
			l.online = append(l.online, at.Sub(from))
		}
	}
}

// wentOnline waits until each instance has told that it is online, and returns when it did.
func (l *linking) wentOnline() map[string]time.Time {
	l.t.Helper()
	online := map[string]time.Time{}
	for len(online) < len(l.ids) {
		a := l.events.next(l.t, func(a arrival) bool { return a.kind == string(instance.KindStatus) })
		var event struct {
			Instance struct{ ID string }
			Status   struct{ Phase string }
		}
		if err := json.Unmarshal([]byte(a.data), &event); err != nil {
			l.t.Fatal(err)
		}
		if event.Status.Phase == string(instance.Online) {
			online[event.Instance.ID] = a.at
		}
	}
	return online
}

// allBack returns how long each took from the given time to be online again.
func (l *linking) allBack(from time.Time) (back []time.Duration) {
	l.t.Helper()
	for _, at := range l.wentOnline() {
		back = append(back, at.Sub(from))
	}
	return back
}
