package control

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"testing"
	"time"

	"github.com/skip2/go-qrcode"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/lab/internal/refusal"
)

func FuzzAccountBody(f *testing.F) {
	f.Add([]byte(`{"provider":"simulated","phone":"79001234567","name":"Ada","passkey":true}`))
	f.Add([]byte(`{"phone":null,"name":"\u0000","x":[]}`))
	f.Add([]byte(`[]`))
	a := &API{messengers: map[string]Messenger{"simulated": nil}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := parseBody(raw, false)
		if err != nil {
			if _, ok := errors.AsType[*instance.Problem](err); !ok {
				t.Fatalf("not a problem: %v", err)
			}
			return
		}
		account := a.readAccount(b)
		if b.done() == nil && (account.Provider != "simulated" || !validPhone(account.Phone) || len(account.Name) > 4*maxName) {
			t.Fatalf("accepted %+v", account)
		}
	})
}

func FuzzUntil(f *testing.F) {
	f.Add([]byte(`{"until":"2030-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"seconds":1e300}`))
	f.Add([]byte(`{"seconds":0.5,"until":null}`))
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := parseBody(raw, true)
		if err != nil {
			return
		}
		until := readUntil(b, now)
		if b.done() == nil && !until.IsZero() && (!until.After(now) || until.After(now.Add(maxRestriction+time.Second))) {
			t.Fatalf("accepted %v", until)
		}
	})
}

func FuzzPicture(f *testing.F) {
	qr, err := qrcode.Encode("text", qrcode.Low, 64)
	if err != nil {
		f.Fatal(err)
	}
	var blank bytes.Buffer
	if err := png.Encode(&blank, image.NewGray(image.Rect(0, 0, 3, 3))); err != nil {
		f.Fatal(err)
	}
	f.Add(qr)
	f.Add(blank.Bytes())
	f.Add([]byte("GIF89a"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		text, err := decodePicture(raw)
		if _, refused := errors.AsType[*refusal.Error](err); err != nil && !refused || err == nil && text == "" {
			t.Fatalf("%q, %v", text, err)
		}
	})
}
