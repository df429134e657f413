package instance_test

import (
	"testing"
	"time"

	"pairgate.dev/pkg/instance"
)

// A phone may link in the moment in which the window ends. Nobody was told of
// that link, so the device is unlinked again and what was asked for goes on.
func TestMachineUnlinksALinkThatCameAfterItsWindow(t *testing.T) {
	l := newLife(t)
	l.connect()
	l.code()
	l.fire(instance.TimerWindow)
	l.want("the window ends", "withdraw close idle/qr_timeout")
	l.wish.Connect = l.wish.Last() + 1
	l.wish.Pairing.RequestedAt = l.now
	l.adopt(true)
	l.want("keys that nobody was told of", "login")
	l.tell(instance.Connected{Account: ann})
	l.want("the messenger is told", "logout")
	l.step(instance.LogoutDone{Generation: l.gen, Confirmed: true})
	l.want("the keys go", "close forget")
	l.step(instance.KeysForgotten{})
	l.want("then the connect", "idle/qr_timeout connecting/connect_requested pair")
	if l.last.ObservedRequest != l.wish.Connect || l.last.Attempt != 2 {
		t.Fatalf("status %+v", l.last)
	}
}

func TestMachineDeletesKeysThatNobodyWasToldOf(t *testing.T) {
	l := newLife(t)
	l.connect()
	l.fire(instance.TimerWindow)
	l.wish.Delete = l.wish.Last() + 1
	l.adopt(true)
	l.want("the device is to be unlinked", "login")
	l.tell(instance.Closed{Reason: instance.ReasonLoggedOutOnPhone})
	l.step(instance.KeysForgotten{})
	l.want("deleted", "deleted/deleted end")

	idle := newLife(t)
	idle.delete()
	idle.want("keys are looked for in any case", "forget")
	idle.step(instance.KeysForgotten{})
	idle.want("deleted", "deleted/deleted end")
}

// Statuses can be lost, keys are what a link is made of.
func TestMachineLogsInWithKeysWhenTheStatusesWereLost(t *testing.T) {
	l := newLife(t)
	l.wish = instance.Wish{Connect: 3, Logout: 2, Pairing: instance.PairingWish{RequestedAt: l.now}}
	l.adopt(true)
	l.want("adoption", "offline/worker_lost login")
	if l.last.ObservedRequest != 3 {
		t.Fatalf("status %+v", l.last)
	}
	l.last = nil
	l.wish.Logout = 4
	l.adopt(true)
	l.want("a logout after the last connect", "login")
}

// A worker without the driver says so, and the next one with it logs in.
func TestMachineWaitsForAWorkerWithTheDriver(t *testing.T) {
	l := newLife(t)
	l.link()
	l.adopt(true)
	l.tell(instance.Closed{Reason: instance.ReasonProviderMissing, Detail: "no driver"})
	l.want("no driver here", "offline/provider_missing")
	if !l.m.Resting() {
		t.Fatal("it tries again where there is no driver")
	}
	l.adopt(true)
	l.want("the next owner", "offline/worker_lost login")
}

// A question at the very end of a window must not leave it open for ever.
func TestMachineEndsAWindowWhoseQuestionCameTooLate(t *testing.T) {
	l := newLife(t)
	l.connect()
	l.code()
	l.now = l.now.Add(instance.MaxWindow - time.Second)
	l.step(instance.Touched{})
	l.tell(instance.Scanned{})
	l.fire(instance.TimerWindow)
	l.want("who has scanned is not turned away", "")
	l.now = l.now.Add(instance.MaxWindow)
	l.tell(instance.PasswordNeeded{})
	l.want("but has no more time for an answer", "close idle/qr_timeout")
}

func TestMachineKeepsALoginUnderWayWhenConnectIsAskedAgain(t *testing.T) {
	l := newLife(t)
	l.link()
	l.tell(instance.Closed{Reason: instance.ReasonUnreachable})
	l.connect()
	l.want("the wait is cut short", "offline/connect_requested login")
	l.connect()
	l.want("asked again", "offline/connect_requested")
	l.tell(instance.Connected{Account: ann})
	l.want("online", "online/reconnected")
	l.restart()
	l.want("a restart does begin anew", "close offline/restart_requested login")
}

func TestMachineForgetsTheEndOfARestrictionThatHasNoneAnyMore(t *testing.T) {
	l := newLife(t)
	l.link()
	l.tell(instance.Restricted{Until: l.now.Add(time.Minute)})
	l.tell(instance.Restricted{})
	l.want("restricted for good", "suspended/restricted")
	l.fire(instance.TimerUntil)
	l.want("the end that was told before", "")
}

func TestMachineIsNotMovedBackByAnOlderWish(t *testing.T) {
	l := newLife(t)
	l.link()
	older := l.wish
	l.wish.Delete = l.wish.Last() + 1
	l.adopt(true)
	l.step(instance.WishChanged{Wish: older})
	l.tell(instance.Closed{Reason: instance.ReasonLoggedOutOnPhone})
	l.step(instance.KeysForgotten{})
	if l.last.Phase != instance.Deleted || l.last.ObservedRequest != l.wish.Delete {
		t.Fatalf("status %+v", l.last)
	}
}
