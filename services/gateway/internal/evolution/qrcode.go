package evolution

import (
	"encoding/base64"
	"strings"

	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/gateway/internal/web"
)

// qrCode is the product's QR object. Without a code it is {"count":0}, with the reason beside it.
type qrCode struct {
	pairingCode string
	code        string
	image       []byte
	count       uint64
	// reason and message say why there is no code, in the words of a status.
	reason, message string
}

// MarshalJSON implements json.Marshaler. Members without a value are left out, but a
// pairing code that nobody has asked for is null.
func (q qrCode) MarshalJSON() ([]byte, error) {
	if q.code == "" && q.pairingCode == "" {
		return web.PlainJSON(struct {
			Count   int    `json:"count"`
			Reason  string `json:"reason,omitempty"`
			Message string `json:"message,omitempty"`
		}{0, q.reason, q.message})
	}
	out := struct {
		PairingCode *string `json:"pairingCode"`
		Code        string  `json:"code,omitempty"`
		Base64      string  `json:"base64,omitempty"`
		Count       uint64  `json:"count"`
	}{Code: q.code, Count: q.count}
	if q.pairingCode != "" {
		out.PairingCode = &q.pairingCode
	}
	if len(q.image) > 0 {
		out.Base64 = "data:image/png;base64," + base64.StdEncoding.EncodeToString(q.image)
	}
	return web.PlainJSON(out)
}

// show puts a code and its picture, where it was drawn, into the object.
func (q *qrCode) show(qr *pb.Qr) {
	q.code, q.image, q.count = qr.GetCode(), qr.GetImage(), qr.GetSequence()
}

// typed puts a code to be typed into the object: clients set the dash themselves.
func (q *qrCode) typed(p *pb.PairingCode) { q.pairingCode = strings.ReplaceAll(p.GetCode(), "-", "") }
