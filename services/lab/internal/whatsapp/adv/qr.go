package adv

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// LinkPrefix is what the text of a QR code may begin with, for cameras of phones that
// open links (whatsmeow's pair.go puts it there since 2026).
const LinkPrefix = "https://wa.me/settings/linked_devices#"

// ErrQR is in the error of ParseQR.
var ErrQR = errors.New("adv: not the text of a QR code for linking a device")

// QR is what a device shows as a QR code. It is a secret: who has it can link the
// device to his own account.
type QR struct {
	// Ref tells the server which connection shows the code.
	Ref string
	// Noise is the device's Noise key, Identity its identity key.
	Noise, Identity [32]byte
	// Secret is the ADV secret, by which the device recognizes the phone that scanned.
	Secret [32]byte
	// ClientType says what kind of client the device is; empty from older clients.
	ClientType string
}

// ParseQR reads the text of a QR code: the reference, three keys in base64 and
// perhaps a client type between commas, perhaps after LinkPrefix. The error wraps ErrQR
// and does not repeat the text.
func ParseQR(text string) (QR, error) {
	fields := strings.Split(strings.TrimPrefix(text, LinkPrefix), ",")
	if len(fields) != 4 && len(fields) != 5 {
		return QR{}, fmt.Errorf("%w: %d fields instead of 4 or 5", ErrQR, len(fields))
	}
	if fields[0] == "" || strings.ContainsAny(fields[0], "#: ") {
		return QR{}, fmt.Errorf("%w: no reference, or another link", ErrQR)
	}
	qr := QR{Ref: fields[0]}
	for i, key := range []*[32]byte{&qr.Noise, &qr.Identity, &qr.Secret} {
		raw, err := base64.StdEncoding.DecodeString(fields[i+1])
		if err != nil || len(raw) != keySize {
			return QR{}, fmt.Errorf("%w: field %d is not a key", ErrQR, i+2)
		}
		*key = [32]byte(raw)
	}
	if len(fields) == 5 {
		qr.ClientType = fields[4]
	}
	return qr, nil
}
