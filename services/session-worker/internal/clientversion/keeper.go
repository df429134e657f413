// Package clientversion decides which client version the worker shows to
// WhatsApp, which refuses versions after some months, for all sessions alike.
//
// In this order: what an operator has set at run time, what the environment
// says, what WhatsApp Web is at if that is newer than the library's, the
// library's own. WhatsApp Web is asked every few hours, and soon after the version
// in force was refused. A version that an operator chose is never replaced.
package clientversion

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/session-worker/driver"
)

// Options are what a Keeper works with. All but Rand are required.
type Options struct {
	// Driver shows the version and says what WhatsApp thinks of it.
	Driver driver.VersionSetter
	// Configured is the version that the environment names; empty for none.
	Configured Version
	// Setting is what an operator has set at run time before; empty for nothing.
	Setting string
	// Latest asks WhatsApp Web. It is called by one goroutine at a time and ends soon after its context.
	Latest func(context.Context) (Version, error)
	// Changed is called after the driver was given another version, or when the one in
	// force is accepted again; Refused when that was found to be refused. Both are
	// called by Run, one at a time.
	Changed, Refused func()
	Log              *zap.Logger
	Metrics          prometheus.Registerer
	// Rand returns a number in [0, 1), so that workers do not ask all at once; nil for the usual one.
	Rand func() float64
}

// Keeper keeps the driver at the version that has to be in force.
type Keeper struct {
	Options
	metrics *metrics
	wake    chan struct{}

	mu      sync.Mutex
	known   candidates
	inForce Choice
	// urgent asks for a look at WhatsApp Web before the next is due.
	urgent bool

	// What follows is used by New and Run only.
	schedule schedule
	answers  chan answer
	// told is the version of which the log has said that it is refused.
	told Version
}

// New returns a Keeper that has set the driver to the version in force. From then
// on Run has to run for anything to change.
func New(o Options) *Keeper {
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	k := &Keeper{Options: o, metrics: newMetrics(o.Metrics), wake: make(chan struct{}, 1), answers: make(chan answer, 1),
		schedule: schedule{rand: o.Rand}}
	k.known = candidates{configured: o.Configured, builtIn: Version(o.Driver.OwnVersion()), refused: map[Version]bool{}}
	k.inForce = Choice{k.known.builtIn, BuiltIn}
	o.Driver.OnVersionVerdict(k.verdict)
	k.Set(o.Setting)
	k.choose()
	k.show()
	return k
}

// Set takes what an operator has set at run time; empty when that was taken back.
// What has no known form is ignored, and what was set before stays.
func (k *Keeper) Set(setting string) {
	v, err := parse(setting)
	if err != nil {
		k.Log.Error("the client version for WhatsApp in the bucket SETTINGS is ignored: it has no known form")
		return
	}
	k.mu.Lock()
	k.known.settings = v
	k.mu.Unlock()
	k.poke()
}

// Outdated says that WhatsApp is known to refuse the version in force.
func (k *Keeper) Outdated() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.known.refused[k.inForce.Version]
}

// verdict notes what WhatsApp thinks of a version. The driver's goroutines call it.
func (k *Keeper) verdict(version string, refused bool) {
	v := Version(version)
	k.mu.Lock()
	if refused {
		k.known.refused[v] = true
		k.urgent = k.urgent || v == k.inForce.Version
	} else {
		delete(k.known.refused, v)
	}
	k.mu.Unlock()
	k.poke()
}

func (k *Keeper) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Run keeps the version up to date until ctx ends, and has nothing under way when it returns.
func (k *Keeper) Run(ctx context.Context) {
	var asking sync.WaitGroup
	defer asking.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		if k.choose() {
			k.Changed()
		}
		k.report()
		k.arm(timer)
		select {
		case <-ctx.Done():
		case <-k.wake:
		case <-timer.C:
			k.begin()
			asking.Go(func() {
				v, err := k.Latest(ctx)
				k.answers <- answer{v, err}
			})
		case a := <-k.answers:
			k.answered(ctx, a)
		}
	}
}

// choose puts the right version in force and says whether it is another one now.
func (k *Keeper) choose() (changed bool) {
	k.mu.Lock()
	before, now := k.inForce, k.known.choose()
	k.inForce = now
	if changed = now.Version != before.Version; changed {
		// The driver tries it anew, whatever was known of it.
		delete(k.known.refused, now.Version)
	}
	k.known.prune()
	// What was not looked up while an operator had chosen is of interest again.
	k.urgent = k.urgent || before.Source.Pinned() && !now.Source.Pinned()
	k.mu.Unlock()
	if !changed {
		return false
	}
	set := now.Version
	if now.Source == BuiltIn {
		set = ""
	}
	if err := k.Driver.SetClientVersion(string(set)); err != nil {
		k.Log.Error("the driver for WhatsApp does not take the client version; this is a bug", zap.Error(err))
	}
	k.Log.Info("WhatsApp is shown another client version from now on", zap.String("version", string(now.Version)),
		zap.String("source", string(now.Source)))
	if now.Source.Pinned() && k.known.builtIn.newerThan(now.Version) {
		k.Log.Warn("the client version that is set for WhatsApp is older than the built-in one; with none set, the newest known is taken",
			zap.String("version", string(now.Version)), zap.String("built-in", string(k.known.builtIn)))
	}
	return true
}

// report tells whether the version in force is refused: the metrics always, the
// log and the sessions once.
func (k *Keeper) report() {
	choice, refused := k.show()
	switch {
	case !refused:
		if k.told == choice.Version {
			k.Log.Info("WhatsApp accepts the client version again", zap.String("version", string(choice.Version)))
			k.Changed() // For outdated instances it is as good as another one.
		}
		k.told = ""
	case k.told != choice.Version:
		k.told = choice.Version
		k.Log.Error("WhatsApp refuses the client version: its instances are outdated, and none can log in or link, until it is another one",
			zap.String("version", string(choice.Version)), zap.String("source", string(choice.Source)), zap.String("do", remedy(choice.Source)))
		k.Refused()
	}
}

func (k *Keeper) show() (choice Choice, refused bool) {
	k.mu.Lock()
	choice = k.inForce
	refused = k.known.refused[choice.Version]
	k.mu.Unlock()
	k.metrics.show(choice, refused)
	return choice, refused
}

// remedy says what an operator can do.
func remedy(s Source) string {
	const set = `request pairgate.v1.settings.update with {"whatsappVersion": "2.3000.<number>"}; ` + instance.WhatsAppVersionSource
	switch s {
	case Settings:
		return "set a newer version, or an empty one to let Pairgate find it: " + set
	case Configuration:
		return "remove or renew PAIRGATE_WHATSAPP_VERSION (CONFIG_SESSION_PHONE_VERSION); at once and without a restart: " + set
	}
	return "nothing, if WhatsApp Web can be reached from here, where the current version is looked up now; else " + set + "; or upgrade Pairgate"
}
