package bus

import (
	"sync"
	"time"
	"unique"

	"go.uber.org/zap"
)

// staleAfter is how long a view may be silent before it is called stale. A
// healthy one proves itself every second.
const staleAfter = 2 * time.Second

// Views are what a process holds in memory of the streams and buckets, one
// follower for each, shared by all services of the process. Each view starts at
// its first use, and is empty until its Ready channel is closed. What a view
// returns is shared by all its readers: nobody may change it.
type Views struct {
	// Instances are the records of the bucket INSTANCES.
	Instances *InstanceView
	// Sessions are the last statuses, the current codes and the owner records of EVENTS.
	Sessions *SessionView
	// Events are the last ten minutes of EVENTS.
	Events *RecentEvents
	// Endpoints are the records of the bucket ENDPOINTS.
	Endpoints *EndpointView
	// Workers are the leases in the bucket WORKERS.
	Workers *WorkerView
	// Settings are what the bucket SETTINGS says.
	Settings *SettingsView

	once sync.Once
}

// NewViews makes the views of a process. They read on the given connection, also
// for services that have one of their own. Nothing is read before a view's first use.
func NewViews(conn *Conn, log *zap.Logger) *Views {
	if log == nil {
		log = zap.NewNop()
	}
	sessions := newSessionView(conn, log)
	return &Views{
		Instances: newInstanceView(conn, log),
		Sessions:  sessions,
		Events:    newRecentEvents(sessions, log),
		Endpoints: newEndpointView(conn, log),
		Workers:   newWorkerView(conn, log),
		Settings:  newSettingsView(conn, log),
	}
}

// Close ends all views and waits for their goroutines; views that have not
// started stay so. What they hold stays readable. It must not be called from a
// callback. Close may be called again.
func (v *Views) Close() {
	v.once.Do(func() {
		v.Events.stop()
		v.Sessions.follower.Stop()
		v.Instances.follower.Stop()
		v.Endpoints.follower.Stop()
		v.Workers.follower.Stop()
		v.Settings.follower.Stop()
	})
}

// Stale names the views that are in use but not ready, or silent for more than
// two seconds; none when all is well.
func (v *Views) Stale() []string {
	var stale []string
	for _, view := range []struct {
		name string
		feed *feed
	}{
		{"instances", v.Instances.follower.feed},
		{"sessions", v.Sessions.follower.feed},
		{"endpoints", v.Endpoints.follower.feed},
		{"workers", v.Workers.follower.feed},
		{"settings", v.Settings.follower.feed},
	} {
		if view.feed.started.Load() && (!view.feed.isReady() || view.feed.silentFor() > staleAfter) {
			stale = append(stale, view.name)
		}
	}
	if v.Events.stale() {
		stale = append(stale, "events")
	}
	return stale
}

// intern returns an equal string that is held once, however many records carry it.
func intern[S ~string](s S) S {
	if s == "" {
		return ""
	}
	return unique.Make(s).Value()
}
