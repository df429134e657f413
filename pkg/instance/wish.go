package instance

import "time"

// Wish is what users want of a session: the number of the last request of each
// kind, 0 where there was none. Numbers are given by the registry and grow by
// one at each request of any kind.
type Wish struct {
	Connect uint64
	Logout  uint64
	Restart uint64
	Delete  uint64
	// Pairing is what the last connect asked for.
	Pairing PairingWish
}

// PairingWish is how a pairing window is to be opened.
type PairingWish struct {
	Method Method
	// Phone is in digits; only with MethodCode.
	Phone string
	// Window is how long codes are shown after they were last asked for.
	Window time.Duration
	// RequestedAt is when it was asked for.
	RequestedAt time.Time
}

// MaxWindow is how long after its request a pairing window is ended whatever is
// asked, unless its own length is longer.
const MaxWindow = 30 * time.Minute

// DefaultWindow is the length of a pairing window where the wish names none.
const DefaultWindow = 120 * time.Second

func (w PairingWish) window() time.Duration {
	if w.Window <= 0 {
		return DefaultWindow
	}
	return w.Window
}

type command int

const (
	cmdNone command = iota
	cmdConnect
	cmdLogout
	cmdRestart
	cmdDelete
)

// next returns the first request after done that has to be acted on. A deletion
// overtakes what was asked before it, because its outcome is the same.
func (w Wish) next(done uint64) (command, uint64) {
	if w.Delete > done {
		return cmdDelete, w.Delete
	}
	cmd, number := cmdNone, uint64(0)
	consider := func(c command, n uint64) {
		if n > done && (cmd == cmdNone || n < number) {
			cmd, number = c, n
		}
	}
	consider(cmdConnect, w.Connect)
	consider(cmdLogout, w.Logout)
	consider(cmdRestart, w.Restart)
	return cmd, number
}

// Last returns the greatest request number of the wish.
func (w Wish) Last() uint64 { return max(w.Connect, w.Logout, w.Restart, w.Delete) }
