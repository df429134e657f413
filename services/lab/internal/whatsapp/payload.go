package whatsapp

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"strconv"

	"go.mau.fi/whatsmeow/proto/waWa6"
	"google.golang.org/protobuf/proto"

	"pairgate.dev/services/lab/internal/accounts"
	"pairgate.dev/services/lab/internal/whatsapp/adv"
	"pairgate.dev/services/lab/labapi"
)

// errPayload says that a client says something of itself that none says.
var errPayload = errors.New("whatsapp: a malformed client payload")

// payload is what a client says of itself in the handshake: who it registers as, or
// which device of which account it is.
type payload struct {
	version      labapi.Version
	registration *adv.Registration
	user         string
	device       uint16
}

// parsePayload reads and checks a ClientPayload.
func parsePayload(raw []byte) (payload, error) {
	var m waWa6.ClientPayload
	if err := proto.Unmarshal(raw, &m); err != nil {
		return payload{}, errPayload
	}
	v := m.GetUserAgent().GetAppVersion()
	if v.GetPrimary() == 0 {
		return payload{}, fmt.Errorf("%w: no version", errPayload)
	}
	p := payload{version: labapi.Version{v.GetPrimary(), v.GetSecondary(), v.GetTertiary(), v.GetQuaternary()}}
	if m.DevicePairingData == nil {
		if m.Username == nil || m.GetDevice() == 0 || m.GetDevice() > accounts.MaxNumber || !m.GetPassive() {
			return payload{}, fmt.Errorf("%w: neither a registration nor a login", errPayload)
		}
		p.user, p.device = strconv.FormatUint(m.GetUsername(), 10), uint16(m.GetDevice())
		return p, nil
	}
	if m.Username != nil || m.GetPassive() || m.GetPull() {
		return payload{}, fmt.Errorf("%w: a registration with parts of a login", errPayload)
	}
	registration, err := adv.ParseRegistration(m.DevicePairingData)
	if err != nil {
		return payload{}, err
	}
	// The build hash is that of the three numbers which web clients have (seen in
	// whatsmeow's store/clientpayload.go).
	hash := md5.Sum(fmt.Appendf(nil, "%d.%d.%d", p.version[0], p.version[1], p.version[2]))
	if !bytes.Equal(hash[:], registration.BuildHash) {
		return payload{}, fmt.Errorf("%w: a build hash of another version", errPayload)
	}
	p.registration = &registration
	return p, nil
}

// outdated says whether the client is older than the faults allow.
func (s *Server) outdated(p payload) bool {
	minimum, err := labapi.ParseVersion(s.faults.Now().MinimumClientVersion)
	return err == nil && p.version.Less(minimum)
}
