package seal_test

import (
	"errors"
	"testing"

	"pairgate.dev/pkg/seal"
)

// A blob must not open as another field, even of the same owner.
func TestFieldsAreApart(t *testing.T) {
	ring, err := seal.ParseRing(seal.NewMasterKey())
	if err != nil {
		t.Fatal(err)
	}
	const id = "01890a5d-ac96-774b-bcce-b302099a8057"
	fields := []seal.AAD{seal.ForToken(id), seal.ForProxyPassword(id), seal.ForWebhookSecret(id), seal.ForWebhookHeaders(id), seal.ForReply(id)}
	for i, a := range fields {
		blob, err := ring.Seal([]byte("x"), a)
		if err != nil {
			t.Fatal(err)
		}
		for k, b := range fields {
			if _, err := ring.Open(blob, b); (err == nil) != (i == k) || err != nil && !errors.Is(err, seal.ErrRefused) {
				t.Errorf("field %d opened as %d: %v", i, k, err)
			}
		}
	}
}
