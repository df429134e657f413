package session

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/session-worker/driver"
)

func (a *Actor) openPairing(o instance.OpenPairing) {
	a.open("pair", o.Generation, func(ctx context.Context, common driver.Common, record *pb.InstanceRecord, sink driver.Sink) driver.Session {
		return a.Driver.Pair(ctx, driver.PairParams{Common: common, Method: o.Method, Phone: o.Phone,
			ExpectPhone: record.GetInstance().GetPhone()}, sink)
	})
}

func (a *Actor) openLogin(o instance.OpenLogin) {
	a.open("log in", o.Generation, func(ctx context.Context, common driver.Common, _ *pb.InstanceRecord, sink driver.Sink) driver.Session {
		return a.Driver.Login(ctx, driver.LoginParams{Common: common}, sink)
	})
}

// opener calls the driver.
type opener func(context.Context, driver.Common, *pb.InstanceRecord, driver.Sink) driver.Session

// open opens a session whose events carry the generation. what names it in traces.
func (a *Actor) open(what string, generation uint64, open opener) {
	ctx, span := a.trace.drive(a, what)
	sink := func(e instance.SessionEvent) {
		noteEvent(span, e)
		a.box.put(instance.FromSession{Generation: generation, Event: e})
	}
	record := a.host.Record()
	if a.Driver == nil {
		sink(instance.Closed{Reason: instance.ReasonProviderMissing,
			Detail: "No worker here has a driver for this instance's messenger. Start one that is configured for it."})
		return
	}
	proxy, err := a.host.Proxy(record)
	if err != nil {
		// A direct connection instead is never made: the proxy is there to hide us or to be let in.
		a.log.Error("the proxy's password cannot be opened; is this the right master key?", zap.Error(err))
		sink(instance.Closed{Reason: instance.ReasonInternal, Detail: "The proxy's password cannot be read with this master key."})
		return
	}
	common := driver.Common{Instance: a.ID, DeviceName: record.GetInstance().GetSettings().GetDeviceName(), Proxy: proxy}
	s := open(ctx, common, record, sink)
	a.mu.Lock()
	a.session = s
	a.mu.Unlock()
}

func (a *Actor) current() driver.Session {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.session
}

func (a *Actor) closeSession() {
	a.mu.Lock()
	s := a.session
	a.session = nil
	a.mu.Unlock()
	if s != nil {
		s.Close()
	}
	a.trace.driven()
}

func (a *Actor) logout(o instance.LogoutSession) {
	s := a.current()
	if s == nil {
		a.box.put(instance.LogoutDone{Generation: o.Generation})
		return
	}
	a.tasks.Go(func() {
		ctx, cancel := context.WithDeadline(a.ctx, o.Deadline)
		defer cancel()
		err := s.Logout(ctx)
		if err != nil && a.ctx.Err() == nil {
			a.log.Warn("the messenger did not confirm a logout", zap.Error(err))
		}
		a.box.put(instance.LogoutDone{Generation: o.Generation, Confirmed: err == nil})
	})
}

// forgetTimeout bounds one try to delete keys.
const forgetTimeout = 10 * time.Second

func (a *Actor) forget() {
	if a.Driver == nil {
		a.log.Warn("keys, if there are any, stay in the key store: there is no driver to delete them")
		a.box.put(instance.KeysForgotten{})
		return
	}
	a.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(a.ctx, forgetTimeout)
		defer cancel()
		err := a.Driver.Forget(ctx, a.ID)
		if err != nil && a.ctx.Err() == nil {
			a.log.Error("keys could not be deleted; trying again", zap.Error(err))
		}
		a.box.put(instance.KeysForgotten{Failed: err != nil})
	})
}

// Password hands the account's password to the session that asked for it. The
// error is a *instance.Problem.
func (a *Actor) Password(ctx context.Context, password string) error {
	s, err := a.asked(instance.PasswordRequired)
	if err != nil {
		return err
	}
	taker, ok := s.(driver.PasswordTaker)
	if !ok {
		return instance.Problemf(instance.CodeNotOffered, "This messenger takes no password.")
	}
	return given(taker.SubmitPassword(ctx, password))
}

// Passkey hands an authenticator's answer to the session that asked for it, or
// confirms the code that was compared. The error is a *instance.Problem.
func (a *Actor) Passkey(ctx context.Context, response string, confirm bool) error {
	s, err := a.asked(instance.PasskeyRequired)
	if err != nil {
		return err
	}
	taker, ok := s.(driver.PasskeyTaker)
	if !ok {
		return instance.Problemf(instance.CodeNotOffered, "This messenger takes no passkey.")
	}
	if confirm {
		return given(taker.ConfirmPasskey(ctx))
	}
	return given(taker.SubmitPasskey(ctx, response))
}

// Presence shows the account as available or not. The error is a *instance.Problem.
func (a *Actor) Presence(ctx context.Context, available bool) error {
	a.mu.Lock()
	s, phase := a.session, a.shown
	a.mu.Unlock()
	if s == nil || phase != instance.Online && phase != instance.Suspended {
		return NotConnected(phase)
	}
	setter, ok := s.(driver.PresenceSetter)
	if !ok {
		return instance.Problemf(instance.CodeNotOffered, "This messenger knows no presence.")
	}
	return given(setter.SetPresence(ctx, available))
}

// NotConnected is the answer to what needs a linked and connected account.
func NotConnected(phase instance.Phase) *instance.Problem {
	p := instance.Problemf(instance.CodeConflict, "The instance is not linked and connected.")
	p.Phase = phase
	return p
}

func (a *Actor) asked(phase instance.Phase) (driver.Session, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.shown != phase || a.session == nil {
		return nil, NotAsked(a.shown)
	}
	return a.session, nil
}

// NotAsked is the answer to a password or passkey that the phase does not ask for.
func NotAsked(phase instance.Phase) *instance.Problem {
	p := instance.Problemf(instance.CodeConflict, "Nothing is asked for in this phase.")
	p.Phase = phase
	return p
}

func given(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, driver.ErrNotAsked):
		return instance.Problemf(instance.CodeConflict, "The messenger has not asked for this.")
	}
	return instance.Problemf(instance.CodeUnavailable, "It could not be handed to the messenger; try again.")
}
