package worker

import (
	"context"
	"sync"
	"sync/atomic"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/session-worker/driver"
	"pairgate.dev/services/session-worker/internal/clientversion"
	"pairgate.dev/services/session-worker/internal/fleet"
)

// versionKeeper keeps the client version of the driver for WhatsApp, where there is one.
type versionKeeper struct {
	keeper atomic.Pointer[clientversion.Keeper]
}

// outdated says that the provider is known to refuse the version in force here.
func (v *versionKeeper) outdated(provider instance.Provider) bool {
	keeper := v.keeper.Load()
	return provider == instance.WhatsApp && keeper != nil && keeper.Outdated()
}

// start sets the driver to the version in force, which has to happen before a
// session is opened, and keeps it there until stop is called. stop is to be called
// before sessions are closed. It fails only when ctx ends.
func (v *versionKeeper) start(ctx context.Context, client WhatsAppClient, endpoint string, deps Deps, settings *bus.SettingsView, d driver.Driver, sessions *fleet.Fleet) (stop func(), err error) {
	setter, ok := d.(driver.VersionSetter)
	if !ok {
		return func() {}, nil
	}
	select {
	case <-settings.Ready():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	keeper := clientversion.New(clientversion.Options{Driver: setter, Configured: client.Version,
		Setting: settings.Get().GetWhatsappVersion(), Latest: clientversion.NewWebPage(endpoint).Latest,
		Changed: func() { sessions.VersionChanged(d.Provider()) }, Refused: func() { sessions.VersionRefused(d.Provider()) },
		Log: deps.Log, Metrics: deps.Metrics})
	v.keeper.Store(keeper)
	unsubscribe := settings.Subscribe(func(s *pb.Settings) { keeper.Set(s.GetWhatsappVersion()) })
	keeper.Set(settings.Get().GetWhatsappVersion()) // It may have changed before that.
	running, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { keeper.Run(running) })
	return func() {
		unsubscribe()
		cancel()
		wg.Wait()
	}, nil
}
