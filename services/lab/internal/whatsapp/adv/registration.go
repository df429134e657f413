package adv

import (
	"errors"
	"fmt"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/whatsmeow/proto/waCompanionReg"
	"go.mau.fi/whatsmeow/proto/waWa6"
	"google.golang.org/protobuf/proto"
)

// ErrRegistration is in the error of ParseRegistration, ErrPreKey in that of
// VerifyPreKey.
var (
	ErrRegistration = errors.New("adv: the device's registration is malformed")
	ErrPreKey       = errors.New("adv: the prekey is not signed by the device's identity")
)

// Registration is what an unpaired device says of itself in the handshake.
type Registration struct {
	ID       uint32
	Identity [32]byte
	PreKey   PreKey
	// BuildHash is the MD5 of the client's version in dotted form.
	BuildHash []byte
	// Props has what the phone shows in its list of devices.
	Props *waCompanionReg.DeviceProps
}

// PreKey is a signed prekey.
type PreKey struct {
	ID        uint32
	Key       [32]byte
	Signature []byte
}

// ParseRegistration reads a registration and verifies the signature of its prekey.
// Errors wrap ErrRegistration or ErrPreKey.
func ParseRegistration(data *waWa6.ClientPayload_DevicePairingRegistrationData) (Registration, error) {
	props := new(waCompanionReg.DeviceProps)
	switch {
	case len(data.GetERegid()) != 4:
		return Registration{}, fmt.Errorf("%w: a registration id of %d bytes", ErrRegistration, len(data.GetERegid()))
	case len(data.GetEKeytype()) != 1 || data.GetEKeytype()[0] != ecc.DjbType:
		return Registration{}, fmt.Errorf("%w: keys of another type than Curve25519", ErrRegistration)
	case len(data.GetEIdent()) != keySize:
		return Registration{}, fmt.Errorf("%w: an identity key of %d bytes", ErrRegistration, len(data.GetEIdent()))
	case len(data.GetESkeyID()) != 3:
		return Registration{}, fmt.Errorf("%w: a prekey id of %d bytes", ErrRegistration, len(data.GetESkeyID()))
	case len(data.GetESkeyVal()) != keySize:
		return Registration{}, fmt.Errorf("%w: a prekey of %d bytes", ErrRegistration, len(data.GetESkeyVal()))
	case len(data.GetBuildHash()) != 16:
		return Registration{}, fmt.Errorf("%w: a build hash of %d bytes", ErrRegistration, len(data.GetBuildHash()))
	case proto.Unmarshal(data.GetDeviceProps(), props) != nil:
		return Registration{}, fmt.Errorf("%w: device properties that are none", ErrRegistration)
	}
	r := Registration{
		ID:        bigEndian(data.GetERegid()),
		Identity:  [32]byte(data.GetEIdent()),
		PreKey:    PreKey{ID: bigEndian(data.GetESkeyID()), Key: [32]byte(data.GetESkeyVal()), Signature: data.GetESkeySig()},
		BuildHash: data.GetBuildHash(),
		Props:     props,
	}
	return r, VerifyPreKey(r.Identity, r.PreKey)
}

// VerifyPreKey checks that the identity key signed the prekey; the error is ErrPreKey.
// What is signed is the key with its type in front (whatsmeow's keypair.go).
func VerifyPreKey(identity [32]byte, key PreKey) error {
	if !verify(identity, append([]byte{ecc.DjbType}, key.Key[:]...), key.Signature) {
		return ErrPreKey
	}
	return nil
}

func bigEndian(b []byte) (n uint32) {
	for _, c := range b {
		n = n<<8 | uint32(c)
	}
	return n
}
