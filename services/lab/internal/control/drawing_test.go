package control

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/skip2/go-qrcode"
)

// Decision: the phones of the lab read every code that is drawn well. These are the ones
// among 200 of each size that the library's reader alone passes over, and the first.
func TestEveryDrawnCodeIsRead(t *testing.T) {
	for _, tc := range []struct {
		level qrcode.RecoveryLevel
		size  int
		codes []int
	}{
		{qrcode.Low, 128, []int{0, 63, 65, 70, 86, 118, 149, 192, 197}},
		{qrcode.Medium, 256, []int{0, 20, 30, 54, 104, 114}},
	} {
		for _, n := range tc.codes {
			var parts []string
			for i := range 5 {
				key := sha256.Sum256(fmt.Append(nil, n, i))
				parts = append(parts, base64.StdEncoding.EncodeToString(key[:]))
			}
			text := "2@" + strings.Join(parts, ",") + ",1"
			picture, err := qrcode.Encode(text, tc.level, tc.size)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := decodePicture(picture); err != nil || got != text {
				t.Errorf("code %d of %d pixels: %v", n, tc.size, err)
			}
		}
	}
}
