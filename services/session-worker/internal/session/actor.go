// Package session runs the session of one instance: a goroutine with a mailbox
// around the pure machine of pkg/instance. Whatever happens becomes an input;
// whatever is to be done hangs off an output.
package session

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/service"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/session-worker/driver"
)

// Host is what an actor needs of the worker around it. Its methods may be
// called from the actor's goroutine at any time until Stop has returned.
type Host interface {
	// Send queues an event of the instance, in the trace of ctx. It does not block.
	Send(ctx context.Context, event *pb.Event)
	// Record returns the latest wish and settings known.
	Record() *pb.InstanceRecord
	// AwaitCreated waits until the event that tells of the instance's creation was stored.
	AwaitCreated(ctx context.Context) error
	// VersionRefused says that the messenger is known to refuse the client version in force.
	VersionRefused() bool
	// Proxy returns the way out that the instance demands; nil for none.
	Proxy(record *pb.InstanceRecord) (*driver.Proxy, error)
	// Adopted is called when the first step was taken, and before that when the key
	// store cannot tell: others need not wait for it. It may be called more than once.
	Adopted()
	// Park is called when nothing is open or under way. When it returns true the
	// actor ends at once; the host keeps the status for the next one.
	Park(status instance.Status) bool
	// Transition and TransitionRefused feed the metrics.
	Transition(to instance.Phase, reason instance.Reason)
	TransitionRefused()
}

// Params are what an actor is started with.
type Params struct {
	ID    instance.ID
	Epoch uint64
	// Last is the last published status; nil when there is none.
	Last *instance.Status
	// Driver is nil when this worker has none for the instance's provider.
	Driver  driver.Driver
	Backoff instance.Backoff
	Log     *zap.Logger
}

// Actor is the running session of one instance.
type Actor struct {
	Params
	host    Host
	box     *mailbox
	machine *instance.Machine
	log     *zap.Logger

	ctx    context.Context
	cancel context.CancelFunc
	// done is closed when the actor's goroutine has ended, tasks counts the calls
	// into the driver that run beside it.
	done  chan struct{}
	tasks sync.WaitGroup

	timers  [instance.Timers]*time.Timer
	phase   instance.Phase
	ended   bool
	trace   episode
	mu      sync.Mutex
	session driver.Session
	shown   instance.Phase
}

// Start starts an actor; end it with Stop unless it parks.
func Start(p Params, host Host) *Actor {
	ctx, cancel := context.WithCancel(context.Background())
	a := &Actor{Params: p, host: host, box: newMailbox(), machine: instance.NewMachine(p.Backoff),
		log: p.Log.With(zap.String("instance", string(p.ID))), ctx: ctx, cancel: cancel, done: make(chan struct{})}
	go a.run()
	return a
}

// Wish tells the actor of a newer wish.
func (a *Actor) Wish(w instance.Wish) { a.box.put(instance.WishChanged{Wish: w}) }

// VersionChanged tells the actor that sessions opened from now on show another client version.
func (a *Actor) VersionChanged() { a.box.put(instance.VersionChanged{}) }

// VersionRefused tells the actor that the messenger refuses the client version in force.
func (a *Actor) VersionRefused() { a.box.put(instance.VersionRefused{}) }

// Touch says that somebody looks at the codes.
func (a *Actor) Touch() { a.box.put(instance.Touched{}) }

// Phase returns the phase last published by this actor; empty before the first.
func (a *Actor) Phase() instance.Phase {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.shown
}

// Quiet says that the mailbox is empty.
func (a *Actor) Quiet() bool { return a.box.empty() }

// Stop ends the actor and its session, without unlinking, and waits for both.
// Nothing is sent after it has returned.
func (a *Actor) Stop() {
	a.cancel()
	a.Wait()
}

// Wait waits until an actor that was stopped or has parked runs nothing any more.
func (a *Actor) Wait() { <-a.done }

func (a *Actor) run() {
	defer close(a.done)
	defer a.tasks.Wait()
	defer a.cancel()
	defer a.trace.end()
	defer a.closeSession()
	defer a.stopTimers()
	adopt, ok := a.adoption()
	if !ok {
		return
	}
	a.step(adopt)
	a.host.Adopted()
	for {
		if a.ended || a.machine.Resting() {
			if a.host.Park(a.machine.Status()) {
				return
			}
		}
		in, ok := a.box.take(a.ctx)
		if !ok {
			return
		}
		a.step(in)
	}
}

// The pause between tries to find out whether an instance is linked doubles from the one to the other.
const (
	lookupRetry    = time.Second
	lookupRetryMax = 30 * time.Second
)

// adoption gathers what the machine has to know at first: the order of events
// demands that the creation is told before anything else, and keys in the store
// decide what is linked, not the last status. Without the driver nobody can look
// for keys; that they are missing must not be concluded from it.
func (a *Actor) adoption() (in instance.Adopt, ok bool) {
	if a.Last == nil {
		if err := a.host.AwaitCreated(a.ctx); err != nil {
			return in, false
		}
	}
	for pause := lookupRetry; a.ctx.Err() == nil; pause = min(2*pause, lookupRetryMax) {
		record := a.host.Record()
		in = instance.Adopt{Epoch: a.Epoch, Last: a.Last, Created: record.GetInstance().GetCreatedAt().AsTime(), Wish: WishOf(record),
			VersionRefused: a.host.VersionRefused()}
		if a.Driver == nil {
			if a.Last != nil && a.Last.Account != nil {
				in.Linked, in.Account = true, *a.Last.Account
			}
			return in, true
		}
		account, linked, err := a.Driver.Account(a.ctx, a.ID)
		if err == nil {
			in.Linked, in.Account = linked, account
			return in, true
		}
		a.host.Adopted()
		a.log.Warn("the key store does not tell whether there are keys; trying again", zap.Duration("after", pause), zap.Error(err))
		select {
		case <-a.ctx.Done():
		case <-time.After(pause):
		}
	}
	return in, false
}

func (a *Actor) step(in instance.Input) {
	a.trace.observe(a, in)
	for _, out := range a.machine.Step(time.Now(), in) {
		a.do(out)
	}
	a.trace.rest()
}

func (a *Actor) do(out instance.Output) {
	switch out := out.(type) {
	case instance.PublishStatus:
		a.publishStatus(out.Status)
	case instance.PublishCode:
		a.host.Send(a.traced(), a.event(instance.KindCode, out.Code.Attempt, codeBody(out.Code)))
	case instance.PublishPairingCode:
		a.host.Send(a.traced(), a.event(instance.KindPairingCode, out.Code.Attempt, pairingCodeBody(out.Code)))
	case instance.PublishPasskey:
		a.host.Send(a.traced(), a.event(instance.KindPasskey, out.Attempt, passkeyBody(out.Challenge)))
	case instance.OpenPairing:
		a.openPairing(out)
	case instance.OpenLogin:
		a.openLogin(out)
	case instance.CloseSession:
		a.closeSession()
	case instance.LogoutSession:
		a.logout(out)
	case instance.ForgetKeys:
		a.forget()
	case instance.SetTimer:
		a.setTimer(out)
	case instance.StopTimer:
		if t := a.timers[out.Timer]; t != nil {
			t.Stop()
		}
	case instance.RefusedTransition:
		a.host.TransitionRefused()
		a.log.Error("a transition that is not allowed was asked for and not made; this is a bug",
			zap.String("from", string(out.From)), zap.String("to", string(out.To)), zap.String("reason", string(out.Reason)))
	case instance.End:
		a.ended = true
	}
}

func (a *Actor) publishStatus(s instance.Status) {
	ctx := a.traced()
	a.host.Send(ctx, a.event(instance.KindStatus, s.Attempt, statusBody(s)))
	a.trace.told(s)
	if s.Phase != a.phase {
		a.host.Transition(s.Phase, s.Reason)
		a.log.Info("phase", zap.String("from", string(a.phase)), zap.String("to", string(s.Phase)),
			zap.String("reason", string(s.Reason)), zap.Uint64("attempt", s.Attempt), zap.Uint64("wish", s.ObservedRequest), service.TraceID(ctx))
		a.phase = s.Phase
	}
	a.mu.Lock()
	a.shown = s.Phase
	a.mu.Unlock()
}

func (a *Actor) setTimer(t instance.SetTimer) {
	if old := a.timers[t.Timer]; old != nil {
		old.Stop()
	}
	a.timers[t.Timer] = time.AfterFunc(t.After, func() {
		a.box.put(instance.TimerFired{Timer: t.Timer, Serial: t.Serial})
	})
}

func (a *Actor) stopTimers() {
	for _, t := range a.timers {
		if t != nil {
			t.Stop()
		}
	}
}
