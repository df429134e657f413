package whatsapp

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.mau.fi/whatsmeow/proto/waCompanionReg"
	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/store"
	"google.golang.org/protobuf/proto"
)

// verdictLife is how long a refused version is taken for refused without asking
// again. A refusal is final as a rule, but has been seen to be taken back.
const verdictLife = 5 * time.Minute

// versions is the client version in force and what the messenger thinks of it.
type versions struct {
	mu       sync.Mutex
	version  store.WAVersionContainer
	refused  store.WAVersionContainer
	askAgain time.Time
	tell     func(version string, refused bool)
}

// OwnVersion implements driver.VersionSetter: the version of the library.
func (d *Driver) OwnVersion() string { return store.GetWAVersion().String() }

// SetClientVersion implements driver.VersionSetter. A version is three numbers
// with dots between, each below 2^32.
func (d *Driver) SetClientVersion(version string) error {
	parsed := store.GetWAVersion()
	if version != "" {
		var err error
		if parsed, err = parseVersion(version); err != nil {
			return err
		}
	}
	d.versions.mu.Lock()
	defer d.versions.mu.Unlock()
	d.versions.version, d.versions.refused = parsed, store.WAVersionContainer{}
	return nil
}

// OnVersionVerdict implements driver.VersionSetter.
func (d *Driver) OnVersionVerdict(fn func(version string, refused bool)) {
	d.versions.mu.Lock()
	defer d.versions.mu.Unlock()
	d.versions.tell = fn
}

// parseVersion is the library's ParseVersion without its liking for signs and overflow.
func parseVersion(s string) (v store.WAVersionContainer, err error) {
	parts := strings.Split(s, ".")
	if len(parts) != len(v) {
		return v, fmt.Errorf("whatsapp: the client version %q is not three numbers with dots between", s)
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil || part != strconv.FormatUint(n, 10) {
			return v, fmt.Errorf("whatsapp: the client version %q is not three numbers with dots between", s)
		}
		v[i] = uint32(n)
	}
	if v.IsZero() {
		return v, fmt.Errorf("whatsapp: the client version %q is no version", s)
	}
	return v, nil
}

// inForce returns the version to be shown now; refused says that there is no need to ask.
func (v *versions) inForce(now time.Time) (version store.WAVersionContainer, refused bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.version, v.version == v.refused && now.Before(v.askAgain)
}

// verdict takes what the messenger said of a version that it was shown.
func (v *versions) verdict(version store.WAVersionContainer, refused bool, now time.Time) {
	v.mu.Lock()
	if version != v.version {
		// Said to a session that was opened before another version was set.
		v.mu.Unlock()
		return
	}
	known := v.refused == version
	switch {
	case refused:
		v.refused, v.askAgain = version, now.Add(verdictLife)
	case known:
		v.refused = store.WAVersionContainer{}
	}
	tell := v.tell
	v.mu.Unlock()
	if tell != nil && known != refused {
		tell(version.String(), refused)
	}
}

// payload returns what a device shows the messenger at each connection. The
// library's own way to set it is by variables of the whole process.
func payload(device *store.Device, version store.WAVersionContainer, name string, p platform) func() *waWa6.ClientPayload {
	return func() *waWa6.ClientPayload {
		payload := device.GetClientPayload()
		payload.UserAgent.AppVersion = version.ProtoAppVersion()
		if registration := payload.DevicePairingData; registration != nil {
			hash := version.Hash()
			registration.BuildHash = hash[:]
			props := proto.CloneOf(store.DeviceProps)
			props.Os, props.PlatformType = proto.String(name), p.device.Enum()
			if encoded, err := proto.Marshal(props); err == nil {
				registration.DeviceProps = encoded
			}
		}
		return payload
	}
}

// usePlatform makes the platform the library's, which passkeys are bound to. It
// has one for the process; useRoot's lock guards it.
func usePlatform(p platform) {
	roots.Lock()
	defer roots.Unlock()
	if store.DeviceProps.GetPlatformType() == waCompanionReg.DeviceProps_UNKNOWN {
		store.DeviceProps.PlatformType = p.device.Enum()
	}
}
