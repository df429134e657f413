package instance_test

import (
	"strings"
	"testing"
	"time"

	"pairgate.dev/pkg/instance"
)

// life is a machine whose outputs are noted as words.
type life struct {
	t    *testing.T
	now  time.Time
	m    *instance.Machine
	wish instance.Wish
	last *instance.Status
	gen  uint64
	// serial of each timer as last set.
	serials map[instance.Timer]uint64
	after   map[instance.Timer]time.Duration
	due     map[instance.Timer]time.Time
	got     []string
	// versionRefused is what the next adoption is told.
	versionRefused bool
}

func newLife(t *testing.T) *life {
	l := &life{t: t, now: time.Unix(1_800_000_000, 0)}
	l.adopt(false)
	return l
}

func (l *life) adopt(linked bool) {
	l.m = instance.NewMachine(instance.Backoff{Base: time.Second, Max: time.Minute, Rand: func() float64 { return 0.999 }})
	l.serials, l.after, l.due, l.gen = map[instance.Timer]uint64{}, map[instance.Timer]time.Duration{}, map[instance.Timer]time.Time{}, 0
	epoch := uint64(1)
	if l.last != nil {
		epoch = l.last.Epoch + 1
	}
	l.step(instance.Adopt{Epoch: epoch, Last: l.last, Created: l.now, Linked: linked, Account: ann, VersionRefused: l.versionRefused, Wish: l.wish})
}

var ann = instance.Account{ID: "a1", Phone: "15550001", Name: "Ann"}

func (l *life) step(in instance.Input) {
	l.got = nil
	for _, out := range l.m.Step(l.now, in) {
		switch out := out.(type) {
		case instance.PublishStatus:
			if previous := l.last; previous != nil && (out.Status.Previous != previous.Phase || out.Status.PreviouslyLinked != (previous.Account != nil)) ||
				previous == nil && out.Status.Previous != "" {
				l.t.Fatalf("a status says that %q was before it, linked %v, after %+v", out.Status.Previous, out.Status.PreviouslyLinked, previous)
			}
			l.last = &out.Status
			l.got = append(l.got, string(out.Status.Phase)+"/"+string(out.Status.Reason))
		case instance.PublishCode:
			l.got = append(l.got, map[bool]string{true: "withdraw", false: "code"}[out.Code.Text == ""])
		case instance.PublishPairingCode:
			l.got = append(l.got, map[bool]string{true: "withdraw-typed", false: "typed"}[out.Code.Code == ""])
		case instance.PublishPasskey:
			l.got = append(l.got, "passkey")
		case instance.OpenPairing:
			l.gen = out.Generation
			l.got = append(l.got, "pair")
		case instance.OpenLogin:
			l.gen = out.Generation
			l.got = append(l.got, "login")
		case instance.CloseSession:
			l.got = append(l.got, "close")
		case instance.LogoutSession:
			l.got = append(l.got, "logout")
		case instance.ForgetKeys:
			l.got = append(l.got, "forget")
		case instance.SetTimer:
			l.serials[out.Timer], l.after[out.Timer], l.due[out.Timer] = out.Serial, out.After, l.now.Add(out.After)
		case instance.RefusedTransition:
			l.t.Fatalf("refused %s -> %s", out.From, out.To)
		case instance.End:
			l.got = append(l.got, "end")
		}
	}
}

func (l *life) tell(e instance.SessionEvent) {
	l.step(instance.FromSession{Generation: l.gen, Event: e})
}

// fire lets the time pass until the timer has run down.
func (l *life) fire(timer instance.Timer) {
	if l.due[timer].After(l.now) {
		l.now = l.due[timer]
	}
	l.step(instance.TimerFired{Timer: timer, Serial: l.serials[timer]})
}

func (l *life) want(what string, outputs string) {
	l.t.Helper()
	if got := strings.Join(l.got, " "); got != outputs {
		l.t.Fatalf("%s:\n got  %s\n want %s", what, got, outputs)
	}
}

func (l *life) connect() {
	l.wish.Connect = l.wish.Last() + 1
	l.wish.Pairing = instance.PairingWish{Method: instance.MethodQR, Window: 2 * time.Minute, RequestedAt: l.now}
	l.step(instance.WishChanged{Wish: l.wish})
}

func (l *life) connectWithCode(phone string) {
	l.wish.Connect = l.wish.Last() + 1
	l.wish.Pairing = instance.PairingWish{Method: instance.MethodCode, Phone: phone, Window: 2 * time.Minute, RequestedAt: l.now}
	l.step(instance.WishChanged{Wish: l.wish})
}

func (l *life) logout() {
	l.wish.Logout = l.wish.Last() + 1
	l.step(instance.WishChanged{Wish: l.wish})
}

func (l *life) restart() {
	l.wish.Restart = l.wish.Last() + 1
	l.step(instance.WishChanged{Wish: l.wish})
}

func (l *life) delete() {
	l.wish.Delete = l.wish.Last() + 1
	l.step(instance.WishChanged{Wish: l.wish})
}

func (l *life) code() {
	l.tell(instance.CodeIssued{Text: "text", Expires: l.now.Add(20 * time.Second)})
}

func (l *life) link() {
	l.connect()
	l.code()
	l.tell(instance.Scanned{})
	l.tell(instance.Linked{Account: ann})
	l.tell(instance.Connected{Account: ann})
	if l.last.Phase != instance.Online {
		l.t.Fatalf("not linked: %v", l.last)
	}
}

func TestMachineLinks(t *testing.T) {
	l := newLife(t)
	l.want("an instance without status", "")
	l.connect()
	l.want("connect", "connecting/connect_requested pair")
	l.code()
	l.want("the first code", "pairing/qr_issued code")
	l.code()
	l.want("a refresh publishes no status", "code")
	l.tell(instance.Scanned{})
	l.want("the scan", "withdraw syncing/scanned")
	l.tell(instance.Linked{Account: ann})
	l.want("linked", "")
	l.tell(instance.Connected{Account: ann})
	l.want("online", "online/linked")
	if l.last.Account == nil || *l.last.Account != ann {
		t.Fatalf("account %v", l.last.Account)
	}
}

// A messenger that closes once after a link and expects a login is not news.
func TestMachineLogsInAfterALink(t *testing.T) {
	l := newLife(t)
	l.connect()
	l.code()
	l.tell(instance.Scanned{})
	l.tell(instance.Linked{Account: ann})
	l.tell(instance.Closed{Reason: instance.ReasonConnectionClosed})
	l.want("the close", "")
	if l.after[instance.TimerRetry] != 0 {
		t.Fatalf("the first login waits %v", l.after[instance.TimerRetry])
	}
	l.fire(instance.TimerRetry)
	l.want("the retry", "login")
	l.tell(instance.Connected{Account: ann})
	l.want("online", "online/linked")
}

func TestMachineEndsTheWindow(t *testing.T) {
	l := newLife(t)
	l.connect()
	l.code()
	l.now = l.now.Add(90 * time.Second)
	l.step(instance.Touched{})
	l.fire(instance.TimerWindow)
	l.want("a window that was asked for meanwhile goes on", "")
	l.fire(instance.TimerWindow)
	l.want("its end", "withdraw close idle/qr_timeout")
}

func TestMachineEndsTheWindowHalfAnHourAfterItsRequestWhateverIsAsked(t *testing.T) {
	l := newLife(t)
	begun := l.now
	l.connect()
	for l.last.Phase != instance.Idle && l.now.Sub(begun) < time.Hour {
		l.code()
		l.now = l.now.Add(time.Minute)
		l.step(instance.Touched{})
		if !l.due[instance.TimerWindow].After(l.now) {
			l.fire(instance.TimerWindow)
		}
	}
	if took := l.now.Sub(begun); took != instance.MaxWindow {
		t.Fatalf("ended after %v", took)
	}
}

func TestMachineOpensAWindowAnewAfterAnOwnerWasLost(t *testing.T) {
	l := newLife(t)
	l.connect()
	l.code()
	l.now = l.now.Add(time.Minute)
	l.adopt(false)
	l.want("adoption", "withdraw connecting/worker_lost pair")
	if l.last.Attempt != 2 || l.last.Epoch != 2 {
		t.Fatalf("status %+v", l.last)
	}
	if l.after[instance.TimerWindow] != 2*time.Minute {
		t.Fatalf("the fresh window has %v", l.after[instance.TimerWindow])
	}
	l.code()
	l.want("the first code of the attempt", "pairing/qr_issued code")
}

// The keys were stored, the status was not published: the account is linked.
func TestMachineFindsTheLinkThatACrashHid(t *testing.T) {
	l := newLife(t)
	l.connect()
	l.code()
	l.adopt(true)
	l.want("adoption with keys", "withdraw offline/worker_lost login")
	l.tell(instance.Connected{Account: ann})
	l.want("online", "online/reconnected")
	if l.last.Attempt != 1 {
		t.Fatalf("attempt %d", l.last.Attempt)
	}
}

func TestMachineNeverPairsWithoutACommand(t *testing.T) {
	l := newLife(t)
	l.link()
	l.adopt(false)
	l.want("keys that are gone", "offline/keys_missing")
	l.connect()
	l.want("connect looks for the keys again", "offline/connect_requested login")
	l.tell(instance.Closed{Reason: instance.ReasonKeysMissing})
	l.want("still gone", "offline/keys_missing")
	l.logout()
	l.tell(instance.Closed{Reason: instance.ReasonKeysMissing})
	l.want("nobody to log out at", "forget")
	l.step(instance.KeysForgotten{})
	l.want("the logout always converges", "idle/logged_out_by_user")
	l.connect()
	l.want("and a link is possible again", "connecting/connect_requested pair")
}

func TestMachineTriesOnceWhenReplaced(t *testing.T) {
	l := newLife(t)
	l.link()
	l.tell(instance.Closed{Reason: instance.ReasonReplaced})
	l.want("the first time", "offline/connection_closed")
	l.fire(instance.TimerRetry)
	l.want("the one try", "login")
	l.tell(instance.Connected{Account: ann})
	l.tell(instance.Closed{Reason: instance.ReasonReplaced})
	l.want("the second time", "offline/replaced")
	if !l.m.Resting() {
		t.Fatal("something is under way still")
	}
	l.restart()
	l.want("a command", "offline/restart_requested login")
}

func TestMachineBacksOff(t *testing.T) {
	l := newLife(t)
	l.link()
	var waits []time.Duration
	l.tell(instance.Closed{Reason: instance.ReasonConnectionClosed})
	for range 9 {
		waits = append(waits, l.after[instance.TimerRetry].Round(time.Second))
		l.fire(instance.TimerRetry)
		l.tell(instance.Closed{Reason: instance.ReasonUnreachable})
	}
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		if waits[i] != want*time.Second {
			t.Fatalf("waits %v", waits)
		}
	}
	l.want("the same news is told once", "")
}

func TestMachineLogsOut(t *testing.T) {
	l := newLife(t)
	l.link()
	l.logout()
	l.want("the messenger is told first", "logout")
	// Its connection may close before the answer is heard.
	l.tell(instance.Closed{Reason: instance.ReasonConnectionClosed})
	l.want("the close", "")
	l.step(instance.LogoutDone{Generation: l.gen, Confirmed: true})
	l.want("then the keys go", "forget")
	l.step(instance.KeysForgotten{Failed: true})
	l.fire(instance.TimerForget)
	l.want("until they are gone", "forget")
	l.step(instance.KeysForgotten{})
	l.want("the fact", "idle/logged_out_by_user")
}

func TestMachineGivesUpALogoutThatNobodyAnswers(t *testing.T) {
	l := newLife(t)
	l.link()
	l.tell(instance.Closed{Reason: instance.ReasonUnreachable})
	l.logout()
	l.want("a session is needed to log out", "login")
	l.fire(instance.TimerLogout)
	l.want("given up", "close forget")
	l.step(instance.KeysForgotten{})
	if !strings.Contains(l.last.Detail, "did not confirm") {
		t.Fatalf("detail %q", l.last.Detail)
	}
}

func TestMachineDoesCommandsInOrder(t *testing.T) {
	l := newLife(t)
	l.link()
	l.wish.Logout = l.wish.Last() + 1
	l.wish.Connect = l.wish.Last() + 1
	l.wish.Pairing.RequestedAt = l.now
	l.step(instance.WishChanged{Wish: l.wish})
	l.want("first the logout", "logout")
	l.step(instance.LogoutDone{Generation: l.gen, Confirmed: true})
	l.step(instance.KeysForgotten{})
	l.want("then the connect", "idle/logged_out_by_user connecting/connect_requested pair")
	if l.last.ObservedRequest != l.wish.Connect || l.last.Attempt != 2 {
		t.Fatalf("status %+v", l.last)
	}
	l.step(instance.WishChanged{Wish: l.wish})
	l.want("saying it twice changes nothing", "")
}

func TestMachineDeletes(t *testing.T) {
	l := newLife(t)
	l.link()
	l.connect()
	l.want("connect when linked is satisfied", "online/linked")
	l.delete()
	l.want("delete logs out", "logout")
	l.step(instance.LogoutDone{Generation: l.gen, Confirmed: false})
	l.step(instance.KeysForgotten{})
	l.want("and ends", "deleted/deleted end")
	l.adopt(false)
	l.want("a deleted instance stays so", "end")
}

// A pairing code asked for again inside its life is the same code, and a new one after it.
func TestMachineKeepsAPairingCodeForItsLife(t *testing.T) {
	l := newLife(t)
	l.connectWithCode("15550001")
	l.want("connect", "connecting/connect_requested pair")
	l.tell(instance.PairingCodeIssued{Code: "ABCD1234", Phone: "15550001", Expires: l.now.Add(3 * time.Minute)})
	l.want("the code", "pairing/code_issued typed")
	l.code()
	l.want("the QR stays live beside it", "code")
	l.connectWithCode("15550001")
	l.want("asked again", "pairing/code_issued")
	l.connect()
	l.want("the QR is asked for: it is there", "pairing/code_issued")
	l.now = l.now.Add(4 * time.Minute)
	l.connectWithCode("15550001")
	l.want("asked after its life", "withdraw withdraw-typed close connecting/connect_requested pair")
	l.connectWithCode("15550002")
	l.want("for another phone", "close connecting/connect_requested pair")
}

func TestMachineAsksForPasswordAndPasskey(t *testing.T) {
	l := newLife(t)
	l.connect()
	l.code()
	l.tell(instance.PasswordNeeded{})
	l.want("password", "withdraw passwordRequired/password_needed")
	l.tell(instance.PasswordNeeded{Wrong: true})
	l.want("wrong", "passwordRequired/password_wrong")
	l.tell(instance.PasskeyNeeded{Challenge: instance.Passkey{Options: "{}"}})
	l.want("passkey", "passkeyRequired/passkey_needed passkey")
	if l.last.Passkey == nil {
		t.Fatal("the status has no challenge")
	}
	l.tell(instance.Scanned{})
	l.want("answered", "syncing/scanned")
	if l.last.Passkey != nil {
		t.Fatal("the challenge stays")
	}
}

func TestMachineFollowsTheMessengersVerdicts(t *testing.T) {
	until := time.Unix(1_800_003_600, 0)
	for _, c := range []struct {
		name       string
		event      instance.SessionEvent
		want       string
		then       instance.Timer
		afterwards string
	}{
		{name: "banned for good", event: instance.Closed{Reason: instance.ReasonBanned}, want: "blocked/banned", then: -1},
		{name: "banned until", event: instance.Closed{Reason: instance.ReasonBanned, Until: until}, want: "blocked/banned", then: instance.TimerUntil, afterwards: "login"},
		{name: "restricted until", event: instance.Restricted{Until: until}, want: "suspended/restricted", then: instance.TimerUntil, afterwards: "online/restriction_ended"},
		{name: "outdated", event: instance.Closed{Reason: instance.ReasonClientOutdated}, want: "outdated/client_outdated", then: instance.TimerRetry, afterwards: "login"},
		{name: "throttled", event: instance.Closed{Reason: instance.ReasonThrottled, Until: until}, want: "offline/throttled", then: instance.TimerRetry, afterwards: "login"},
		{name: "unlinked on the phone", event: instance.Closed{Reason: instance.ReasonLoggedOutOnPhone}, want: "forget", then: -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLife(t)
			l.link()
			l.tell(c.event)
			l.want("the verdict", c.want)
			if c.then >= 0 {
				l.fire(c.then)
				l.want("afterwards", c.afterwards)
			}
		})
	}
}

func TestMachineRecoversWhenTheVersionChanges(t *testing.T) {
	l := newLife(t)
	l.link()
	l.tell(instance.Closed{Reason: instance.ReasonClientOutdated})
	l.step(instance.VersionChanged{})
	l.want("linked", "login")
	l.tell(instance.Connected{Account: ann})
	l.want("online", "online/reconnected")

	unlinked := newLife(t)
	unlinked.connect()
	unlinked.tell(instance.Closed{Reason: instance.ReasonClientOutdated})
	unlinked.want("outdated", "outdated/client_outdated")
	unlinked.step(instance.VersionChanged{})
	unlinked.want("unlinked", "idle/version_changed")
}

func TestRefusalOfTheOldVersionSaysNothingOfTheNew(t *testing.T) {
	refused := instance.Closed{Reason: instance.ReasonClientOutdated}
	l := newLife(t)
	l.link()
	l.tell(instance.Closed{Reason: instance.ReasonUnreachable})
	l.fire(instance.TimerRetry)
	l.step(instance.VersionChanged{})
	l.tell(refused)
	l.want("a login with the old version", "login")
	l.tell(refused)
	l.want("the new version", "outdated/client_outdated")

	pairing := newLife(t)
	pairing.connect()
	pairing.step(instance.VersionChanged{})
	pairing.tell(refused)
	pairing.want("a pairing with the old version", "connecting/version_changed")
	pairing.fire(instance.TimerRetry)
	pairing.want("the same window", "pair")
	pairing.tell(refused)
	pairing.want("the new version", "outdated/client_outdated")
}

func TestRefusalOfTheVersionIsNotFoundOutLater(t *testing.T) {
	l := newLife(t)
	l.link()
	l.step(instance.VersionRefused{})
	l.want("what is online stays so", "")
	l.tell(instance.Closed{Reason: instance.ReasonUnreachable})
	l.step(instance.VersionRefused{})
	l.want("what waits tries at once", "login")
	l.step(instance.VersionRefused{})
	l.want("what is under way goes on", "")
	l.tell(instance.Closed{Reason: instance.ReasonClientOutdated})
	l.want("refused", "outdated/client_outdated")
	l.step(instance.VersionRefused{})
	l.want("what is outdated waits", "")
}

func TestOutdatedEndsAtAWorkerWhoseVersionIsNotRefused(t *testing.T) {
	for refused, want := range map[bool]string{true: "outdated/client_outdated", false: "idle/version_changed"} {
		l := newLife(t)
		l.connect()
		l.tell(instance.Closed{Reason: instance.ReasonClientOutdated})
		l.versionRefused = refused
		l.adopt(false)
		l.want("unlinked", want)
	}
	l := newLife(t)
	l.link()
	l.tell(instance.Closed{Reason: instance.ReasonClientOutdated})
	l.adopt(true)
	l.want("linked", "outdated/client_outdated login")
}

func TestMachinePairsAgainInsideItsWindow(t *testing.T) {
	l := newLife(t)
	l.connect()
	l.tell(instance.Closed{Reason: instance.ReasonUnreachable, Detail: "no route"})
	l.want("unreachable", "connecting/unreachable")
	l.fire(instance.TimerRetry)
	l.want("the next try", "pair")
	l.code()
	l.tell(instance.Closed{Reason: instance.ReasonQRTimeout})
	l.want("the messenger's codes are used up", "withdraw connecting/connect_requested pair")
	l.code()
	l.want("the attempt goes on", "pairing/qr_issued code")
	if l.last.Attempt != 1 {
		t.Fatalf("attempt %d", l.last.Attempt)
	}
	l.tell(instance.Closed{Reason: instance.ReasonWrongPhone, Detail: "another number"})
	l.want("the wrong phone", "withdraw idle/wrong_phone")
}

func TestMachineDropsWhatIsStale(t *testing.T) {
	l := newLife(t)
	l.connect()
	old, serial := l.gen, l.serials[instance.TimerWindow]
	l.restart()
	l.want("restart", "close connecting/restart_requested pair")
	l.step(instance.FromSession{Generation: old, Event: instance.CodeIssued{Text: "late"}})
	l.want("a code of the session before", "")
	l.step(instance.TimerFired{Timer: instance.TimerWindow, Serial: serial + 10})
	l.want("a timer of nobody", "")
}
