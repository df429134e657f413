package labapi

import (
	"fmt"
	"math"
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
	// CodesPerSession is how many QR codes a session gets before it closes with
	// qr_timeout; 0 for no end, and for the usual 6 of WhatsApp, which has no more.
	CodesPerSession int `json:"codesPerSession"`

	// What follows is WhatsApp's alone.

	// LoginFailureReason is the reason with which RefusedLogins are refused; 0 for 400.
	// LoginFailureCode and LoginFailureSeconds go with it as code and expire, unless 0.
	LoginFailureReason  int `json:"loginFailureReason"`
	LoginFailureCode    int `json:"loginFailureCode"`
	LoginFailureSeconds int `json:"loginFailureSeconds"`
	// StreamErrors is how many of the next logins are followed by a stream:error of
	// the code StreamErrorCode (0: 503); it counts down.
	StreamErrors    int `json:"streamErrors"`
	StreamErrorCode int `json:"streamErrorCode"`
	// SilentPings: pings are not answered. SilentRequests: no request is, pings included.
	SilentPings    bool `json:"silentPings"`
	SilentRequests bool `json:"silentRequests"`
	// PairingDefect, DefectHMAC or DefectSignature, is what is wrong with what phones
	// hand to the devices that they link; empty for nothing.
	PairingDefect string `json:"pairingDefect"`
	// RotatedSecrets is how many of the next unlinked connections are told to make a
	// new secret after they have got their references; it counts down.
	RotatedSecrets int `json:"rotatedSecrets"`
	// OldPhones is how many of the next scans come from a phone that cannot link
	// devices: the device is told, and keeps its codes. It counts down.
	OldPhones int `json:"oldPhones"`
	// UnlinkedWindowSeconds is after what time an unlinked connection is closed; 0 for
	// CodesPerSession times CodeLifeSeconds where they are set, else for the usual 160.
	UnlinkedWindowSeconds float64 `json:"unlinkedWindowSeconds"`
	// UpgradeStatus is the HTTP status that new connections get instead of a WebSocket.
	UpgradeStatus int `json:"upgradeStatus"`
	// Certificate, CertificateWrong or CertificateExpired, is what is wrong with the
	// server's Noise certificates; empty for nothing.
	Certificate string `json:"certificate"`
	// HostileClose: connections are closed right behind their last stanza and an
	// xmlstreamend, and a device that unlinks itself is told that it was removed. Else
	// clients have 100 ms, and 5 s to come again once they were linked.
	HostileClose bool `json:"hostileClose"`
	// ClientRevision is the newest client's revision on the web page; 0 for that of the
	// library or of MinimumClientVersion, whichever is newer.
	ClientRevision int `json:"clientRevision"`
	// PreKeyCount is how many prekeys the server says to have of a device that has
	// uploaded none; from 1 on, whatsmeow uploads 50 instead of 812.
	PreKeyCount int `json:"preKeyCount"`
}

// Values of Faults.PairingDefect and Faults.Certificate.
const (
	DefectHMAC         = "hmac"
	DefectSignature    = "signature"
	CertificateWrong   = "wrong"
	CertificateExpired = "expired"
)

// Limits of the fields of Faults.
const (
	maxFaultCount   = 1_000_000
	maxFaultSeconds = 3600
	maxSlowMillis   = 60_000
	maxFaultReason  = 999
	maxBanSeconds   = 10 * 365 * 24 * 3600
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
		{"loginFailureReason", f.LoginFailureReason, maxFaultReason},
		{"loginFailureCode", f.LoginFailureCode, maxFaultReason},
		{"loginFailureSeconds", f.LoginFailureSeconds, maxBanSeconds},
		{"streamErrors", f.StreamErrors, maxFaultCount},
		{"streamErrorCode", f.StreamErrorCode, maxFaultReason},
		{"rotatedSecrets", f.RotatedSecrets, maxFaultCount},
		{"oldPhones", f.OldPhones, maxFaultCount},
		{"clientRevision", f.ClientRevision, math.MaxUint32},
		{"preKeyCount", f.PreKeyCount, maxFaultCount},
	} {
		if n.got < 0 || n.got > n.max {
			bad.Add(n.field, "must be 0 to %d", n.max)
		}
	}
	for _, w := range []struct{ field, got, one, other string }{
		{"pairingDefect", f.PairingDefect, DefectHMAC, DefectSignature},
		{"certificate", f.Certificate, CertificateWrong, CertificateExpired},
	} {
		if w.got != "" && w.got != w.one && w.got != w.other {
			bad.Add(w.field, "must be empty, %s or %s", w.one, w.other)
		}
	}
	if f.UpgradeStatus != 0 && (f.UpgradeStatus < 300 || f.UpgradeStatus > 599) {
		bad.Add("upgradeStatus", "must be 0 for none, or 300 to 599")
	}
	for field, life := range map[string]float64{"codeLifeSeconds": f.CodeLifeSeconds, "pairingCodeLifeSeconds": f.PairingCodeLifeSeconds, "unlinkedWindowSeconds": f.UnlinkedWindowSeconds} {
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
