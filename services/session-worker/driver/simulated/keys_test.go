package simulated

import (
	"strings"
	"testing"

	"pairgate.dev/pkg/simwire"
)

func FuzzDecodeKeys(f *testing.F) {
	good, err := keys{Version: keysVersion, Device: "d", Key: "secret", Account: simwire.Account{ID: "a", Phone: "1"}}.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"version":1}`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, secret []byte) {
		k, err := decodeKeys(secret)
		if err != nil {
			if len(secret) > 8 && strings.Contains(err.Error(), string(secret)) {
				t.Fatal("the error shows what is stored")
			}
			return
		}
		again, err := k.encode()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeKeys(again); err != nil || back != k {
			t.Fatalf("does not survive: %v", err)
		}
	})
}
