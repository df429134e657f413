package instance_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pairgate.dev/pkg/instance"
)

// world drives a machine with inputs in any order and checks what must hold
// whatever happens. It keeps what survives a worker: the last status, the wish
// and whether keys are stored.
type world struct {
	tb      testing.TB
	now     time.Time
	m       *instance.Machine
	wish    instance.Wish
	last    *instance.Status
	epoch   uint64
	keys    bool
	account instance.Account

	generation uint64
	open       bool
	pairing    bool
	scanned    bool
	logout     *instance.LogoutSession
	forgetting bool
	timers     map[instance.Timer]pendingTimer
	ended      bool

	attempt, sequence uint64
	shown             bool
	trace             []string
}

type pendingTimer struct {
	serial uint64
	at     time.Time
}

func newWorld(tb testing.TB) *world {
	w := &world{tb: tb, now: time.Unix(1_800_000_000, 0), epoch: 0,
		account: instance.Account{ID: "a1", Phone: "15550001", Name: "Ann"}}
	w.adopt()
	return w
}

func (w *world) adopt() {
	w.epoch++
	w.ended = false
	w.m = instance.NewMachine(instance.Backoff{Base: time.Second, Max: time.Minute, Rand: func() float64 { return 0.5 }})
	w.open, w.pairing, w.logout, w.forgetting = false, false, nil, false
	w.timers = map[instance.Timer]pendingTimer{}
	in := instance.Adopt{Epoch: w.epoch, Last: w.last, Created: w.now, Linked: w.keys, VersionRefused: w.chance(), Wish: w.wish}
	if w.keys {
		in.Account = w.account
	}
	w.step(in)
}

func (w *world) fail(format string, args ...any) {
	w.tb.Helper()
	for _, line := range w.trace {
		w.tb.Log(line)
	}
	w.tb.Fatalf(format, args...)
}

func (w *world) step(in instance.Input) {
	w.tb.Helper()
	w.trace = append(w.trace, fmt.Sprintf("%s  <- %T %+v", w.now.Format("15:04:05"), in, in))
	for _, out := range w.m.Step(w.now, in) {
		w.trace = append(w.trace, fmt.Sprintf("            -> %T %+v", out, out))
		w.output(out)
	}
}

func (w *world) output(out instance.Output) {
	w.tb.Helper()
	if w.ended {
		w.fail("output after End: %T", out)
	}
	switch out := out.(type) {
	case instance.PublishStatus:
		w.status(out.Status)
	case instance.PublishCode:
		w.code(out.Code)
	case instance.OpenPairing:
		w.opened(out.Generation, true)
	case instance.OpenLogin:
		w.opened(out.Generation, false)
	case instance.CloseSession:
		if !w.open {
			w.fail("CloseSession without a session")
		}
		w.open = false
		if w.pairing && w.scanned && w.chance() {
			w.keys = true // The driver was just storing them.
		}
	case instance.LogoutSession:
		if !w.open {
			w.fail("LogoutSession without a session")
		}
		w.logout = &out
	case instance.ForgetKeys:
		w.forgetting = true
	case instance.SetTimer:
		w.timers[out.Timer] = pendingTimer{serial: out.Serial, at: w.now.Add(out.After)}
	case instance.StopTimer:
		delete(w.timers, out.Timer)
	case instance.RefusedTransition:
		w.fail("refused transition %s -> %s (%s)", out.From, out.To, out.Reason)
	case instance.End:
		if w.last.Phase != instance.Deleted {
			w.fail("End in phase %s", w.last.Phase)
		}
		w.ended = true
	}
}

func (w *world) opened(generation uint64, pairing bool) {
	w.tb.Helper()
	if w.open {
		w.fail("a second session while one is open")
	}
	if generation <= w.generation && w.generation != 0 && w.m == nil {
		w.fail("generation went back")
	}
	w.generation, w.open, w.pairing, w.scanned = generation, true, pairing, false
}

func (w *world) status(s instance.Status) {
	w.tb.Helper()
	if !s.Phase.Valid() || !s.Reason.Valid() {
		w.fail("unknown phase %q or reason %q", s.Phase, s.Reason)
	}
	prev := instance.Initial(w.now)
	if w.last != nil {
		prev = *w.last
	}
	if s.Phase != prev.Phase && !instance.Allowed(prev.Phase, s.Phase) {
		w.fail("%s -> %s is not in the table", prev.Phase, s.Phase)
	}
	if s.ObservedRequest < prev.ObservedRequest {
		w.fail("observedRequest went back from %d to %d", prev.ObservedRequest, s.ObservedRequest)
	}
	if s.ObservedRequest > w.wish.Last() {
		w.fail("observed request %d of %d", s.ObservedRequest, w.wish.Last())
	}
	if s.Phase == instance.Idle && s.Account != nil {
		w.fail("idle, but linked")
	}
	if s.Attempt < prev.Attempt {
		w.fail("attempt went back from %d to %d", prev.Attempt, s.Attempt)
	}
	if s.Epoch < prev.Epoch {
		w.fail("epoch went back")
	}
	left := instance.OnlyUserLeaves(prev) && (s.Phase != prev.Phase || s.Phase == instance.Offline && !instance.OnlyUserLeaves(s))
	if left && w.wish.Last() <= prev.ObservedRequest && !(prev.Account != nil && s.Reason == instance.ReasonKeysMissing) {
		w.fail("left %s/%s for %s without a user's command", prev.Phase, prev.Reason, s.Phase)
	}
	if prev.Phase == instance.Pairing && s.Phase != instance.Pairing && w.shown {
		w.fail("left pairing with a code still shown")
	}
	if s.Phase == instance.Pairing && prev.Phase == instance.Pairing && s.Attempt != prev.Attempt {
		w.fail("a new attempt without a status of its own")
	}
	if s.Phase != prev.Phase && !s.Since.Equal(w.now) || s.Phase == prev.Phase && w.last != nil && !s.Since.Equal(prev.Since) && s.Attempt == prev.Attempt {
		w.fail("since %v is wrong", s.Since)
	}
	w.last = &s
}

func (w *world) code(c instance.ShownCode) {
	w.tb.Helper()
	if c.Text == "" {
		w.shown = false
		return
	}
	w.shown = true
	if w.last == nil || w.last.Phase != instance.Pairing || w.last.Attempt != c.Attempt {
		w.fail("a code without the status pairing of its attempt before it")
	}
	if c.Attempt == w.attempt && c.Sequence != w.sequence+1 || c.Attempt != w.attempt && c.Sequence != 1 {
		w.fail("code %d/%d after %d/%d", c.Attempt, c.Sequence, w.attempt, w.sequence)
	}
	w.attempt, w.sequence = c.Attempt, c.Sequence
}

// act turns one byte of chance into one input.
func (w *world) act(b byte) {
	if w.ended {
		w.adopt()
		return
	}
	w.now = w.now.Add(time.Duration(b) * 40 * time.Millisecond)
	kind, arg := b%32, b/32
	switch kind {
	case 0, 1, 2:
		w.wish.Connect = w.wish.Last() + 1
		w.wish.Pairing = instance.PairingWish{Method: instance.MethodQR, Window: 20 * time.Second, RequestedAt: w.now}
		if arg%2 == 1 {
			w.wish.Pairing.Method, w.wish.Pairing.Phone = instance.MethodCode, "15550001"
		}
		w.maybeTell(arg)
	case 3:
		w.wish.Logout = w.wish.Last() + 1
		w.maybeTell(arg)
	case 4:
		w.wish.Restart = w.wish.Last() + 1
		w.maybeTell(arg)
	case 5:
		if arg == 7 {
			w.wish.Delete = w.wish.Last() + 1
			w.maybeTell(arg)
		}
	case 6:
		w.step(instance.Touched{})
	case 7:
		w.adopt()
	case 8:
		if arg%2 == 0 {
			w.step(instance.VersionChanged{})
		} else {
			w.step(instance.VersionRefused{})
		}
	case 9, 10, 11:
		w.fireTimer()
	case 12:
		w.answerLogout(arg)
	case 13:
		w.answerForget(arg)
	case 14:
		// Something stale.
		w.step(instance.FromSession{Generation: w.generation - 1, Event: instance.Connected{Account: w.account}})
		w.step(instance.TimerFired{Timer: instance.Timer(arg % byte(instance.Timers)), Serial: 0})
		w.step(instance.LogoutDone{Generation: w.generation + 5})
	default:
		w.messenger(kind, arg)
	}
}

// chance is true about half of the time.
func (w *world) chance() bool { return w.now.UnixMilli()/40%2 == 0 }

func (w *world) maybeTell(arg byte) {
	if arg != 6 { // Sometimes a worker hears of several requests at once.
		w.step(instance.WishChanged{Wish: w.wish})
	}
}

func (w *world) fireTimer() {
	var first *instance.Timer
	for t := range instance.Timers {
		if p, ok := w.timers[t]; ok && (first == nil || p.at.Before(w.timers[*first].at)) {
			first = &t
		}
	}
	if first == nil {
		return
	}
	p := w.timers[*first]
	delete(w.timers, *first)
	if p.at.After(w.now) {
		w.now = p.at
	}
	w.step(instance.TimerFired{Timer: *first, Serial: p.serial})
}

func (w *world) answerLogout(arg byte) {
	if w.logout != nil {
		l := w.logout
		w.logout = nil
		w.step(instance.LogoutDone{Generation: l.Generation, Confirmed: arg%2 == 0})
	}
}

func (w *world) answerForget(arg byte) {
	if w.forgetting {
		w.forgetting = false
		if arg != 0 {
			w.keys = false
		}
		w.step(instance.KeysForgotten{Failed: arg == 0})
	}
}

func (w *world) messenger(kind, arg byte) {
	if !w.open {
		return
	}
	tell := func(e instance.SessionEvent) {
		w.step(instance.FromSession{Generation: w.generation, Event: e})
	}
	switch kind {
	case 15, 16, 17:
		if w.pairing {
			tell(instance.CodeIssued{Text: "code", Issued: w.now, Expires: w.now.Add(20 * time.Second)})
		}
	case 18:
		if w.pairing {
			tell(instance.PairingCodeIssued{Code: "ABCD1234", Phone: "15550001", Issued: w.now, Expires: w.now.Add(3 * time.Minute)})
		}
	case 19:
		if w.pairing {
			tell(instance.PasswordNeeded{Wrong: arg%2 == 0})
		}
	case 20:
		if w.pairing {
			tell(instance.PasskeyNeeded{Challenge: instance.Passkey{Options: "{}", Expires: w.now.Add(time.Minute)}})
		}
	case 21, 22:
		if w.pairing {
			w.scanned = true
			tell(instance.Scanned{})
		}
	case 23, 24:
		if w.pairing && w.scanned {
			w.keys = true
			tell(instance.Linked{Account: w.account})
		}
	case 25, 26:
		if w.keys {
			tell(instance.Connected{Account: w.account})
		}
	case 27:
		tell(instance.Restricted{Until: w.now.Add(time.Duration(arg) * time.Minute)})
	case 28:
		tell(instance.Unrestricted{})
	default:
		reasons := instance.CloseReasons()
		closed := instance.Closed{Reason: reasons[(int(arg)*3+int(kind)-29)%len(reasons)], Detail: "closed"}
		if w.chance() {
			closed.Until = w.now.Add(time.Minute)
		}
		w.open = false
		w.step(instance.FromSession{Generation: w.generation, Event: closed})
	}
}

// TestMachineHoldsUnderAnyOrderOfInputs runs many random lives of an instance.
func TestMachineHoldsUnderAnyOrderOfInputs(t *testing.T) {
	for seed := range uint64(1500) {
		r := rand.New(rand.NewPCG(seed, 7))
		w := newWorld(t)
		for range 300 {
			w.act(byte(r.UintN(256)))
		}
	}
}

// TestMachineAlwaysSettles leaves the machine alone with a messenger that
// answers nothing: every life comes to rest or waits for a timer.
func TestMachineAlwaysSettles(t *testing.T) {
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 8))
		w := newWorld(t)
		for range 100 {
			w.act(byte(r.UintN(256)))
		}
		w.step(instance.WishChanged{Wish: w.wish})
		w.wish.Delete = w.wish.Last() + 1
		w.step(instance.WishChanged{Wish: w.wish})
		for i := 0; !w.ended; i++ {
			if i > 50 {
				w.fail("a deletion never ends")
			}
			w.answerForget(1)
			w.fireTimer()
		}
	}
}

// TestMachineObservesEveryRequest leaves the machine alone with a messenger that
// says nothing: whatever was asked for, some status says that it was taken up.
func TestMachineObservesEveryRequest(t *testing.T) {
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 9))
		w := newWorld(t)
		for range 100 {
			w.act(byte(r.UintN(256)))
		}
		if r.UintN(2) == 0 {
			w.adopt()
		}
		w.step(instance.WishChanged{Wish: w.wish})
		observed := func() bool { return w.last != nil && w.last.ObservedRequest >= w.wish.Last() }
		for i := 0; !w.ended && w.wish.Last() > 0 && !observed(); i++ {
			if i > 50 {
				w.fail("request %d is never observed", w.wish.Last())
			}
			w.answerForget(1)
			w.fireTimer()
		}
	}
}

func FuzzMachine(f *testing.F) {
	f.Add([]byte{0, 15, 21, 23, 25, 29, 9, 25, 3, 12, 13})
	f.Add([]byte{0, 15, 7, 15, 21, 7, 23, 25, 7, 25})
	f.Fuzz(func(t *testing.T, acts []byte) {
		w := newWorld(t)
		for _, b := range acts[:min(len(acts), 500)] {
			w.act(b)
		}
	})
}
