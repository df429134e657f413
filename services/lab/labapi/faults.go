package labapi

import (
	"fmt"
	"strconv"
	"strings"

	"pairgate.dev/pkg/instance"
)

// Faults is what the messenger does wrong. The zero value is a messenger that
// works. POST /faults sets the fields that its body names and leaves the others;
// DELETE /faults takes all back. Faults are forgotten when the lab stops.
type Faults struct {
	// MinimumClientVersion, one to four numbers between dots, is the oldest client
	// version that new sessions may have; older ones close with client_outdated.
	MinimumClientVersion string `json:"minimumClientVersion"`
	// RefusedLogins is how many of the next logins close with login_refused; it counts down.
	RefusedLogins int `json:"refusedLogins"`
	// ThrottledLogins is how many of the next logins close with throttled, to try
	// again after ThrottleSeconds (0: not said); it counts down.
	ThrottledLogins int `json:"throttledLogins"`
	ThrottleSeconds int `json:"throttleSeconds"`
	// Silence: connections are taken, but nothing is read from or said to them.
	Silence bool `json:"silence"`
	// SlowAnswersMs is how long every answer is held back, in milliseconds.
	SlowAnswersMs int `json:"slowAnswersMs"`
	// AbruptCloseAfter cuts each connection, without a word, when it is to hear
	// more than this many messages, the greeting included; 0 for never.
	AbruptCloseAfter int `json:"abruptCloseAfter"`
	// RefuseConnections: new connections are reset at once; open ones stay.
	RefuseConnections bool `json:"refuseConnections"`
	// CutLinks is how many of the next links lose their connection after the phone
	// has linked the device and before the device hears of it; it counts down.
	CutLinks int `json:"cutLinks"`
	// CodeLifeSeconds is the life of a QR code; 0 for the usual 20.
	CodeLifeSeconds float64 `json:"codeLifeSeconds"`
	// PairingCodeLifeSeconds is the life of a pairing code; 0 for the usual 180.
	PairingCodeLifeSeconds float64 `json:"pairingCodeLifeSeconds"`
	// CodesPerSession is how many QR codes a session gets before it closes with qr_timeout; 0 for no end.
	CodesPerSession int `json:"codesPerSession"`
}

// Limits of the fields of Faults.
const (
	maxFaultCount   = 1_000_000
	maxFaultSeconds = 3600
	maxSlowMillis   = 60_000
	minCodeLife     = 0.05
)

// Validate returns nil or a *instance.Problem that names every field out of its range.
func (f Faults) Validate() error {
	var bad instance.FieldErrors
	if f.MinimumClientVersion != "" {
		if _, err := ParseVersion(f.MinimumClientVersion); err != nil {
			bad.Add("minimumClientVersion", "must be one to four numbers between dots")
		}
	}
	for _, n := range []struct {
		field    string
		got, max int
	}{
		{"refusedLogins", f.RefusedLogins, maxFaultCount},
		{"throttledLogins", f.ThrottledLogins, maxFaultCount},
		{"throttleSeconds", f.ThrottleSeconds, maxFaultSeconds},
		{"slowAnswersMs", f.SlowAnswersMs, maxSlowMillis},
		{"abruptCloseAfter", f.AbruptCloseAfter, maxFaultCount},
		{"cutLinks", f.CutLinks, maxFaultCount},
		{"codesPerSession", f.CodesPerSession, maxFaultCount},
	} {
		if n.got < 0 || n.got > n.max {
			bad.Add(n.field, "must be 0 to %d", n.max)
		}
	}
	for field, life := range map[string]float64{"codeLifeSeconds": f.CodeLifeSeconds, "pairingCodeLifeSeconds": f.PairingCodeLifeSeconds} {
		if life != 0 && !(life >= minCodeLife && life <= maxFaultSeconds) {
			bad.Add(field, "must be 0 for the usual life, or %g to %d", minCodeLife, maxFaultSeconds)
		}
	}
	return bad.Err()
}

// Version is a client version; missing numbers are 0.
type Version [4]uint32

// ParseVersion reads one to four decimal numbers between dots.
func ParseVersion(s string) (v Version, err error) {
	parts := strings.Split(s, ".")
	if len(parts) > len(v) {
		return Version{}, fmt.Errorf("more than %d numbers", len(v))
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil {
			return Version{}, fmt.Errorf("not a version")
		}
		v[i] = uint32(n)
	}
	return v, nil
}

// Less says whether v is older than w.
func (v Version) Less(w Version) bool {
	for i := range v {
		if v[i] != w[i] {
			return v[i] < w[i]
		}
	}
	return false
}
