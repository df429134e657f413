package whatsapp

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"go.mau.fi/whatsmeow/types"
)

func FuzzPasskeyAnswer(f *testing.F) {
	f.Add(`{"id":"aWQ","rawId":"aWQ","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"YQ","signature":"cw","userHandle":null}}`)
	f.Add(`{}`)
	f.Add(`[`)
	f.Add(`{"rawId":"a=="}`)
	f.Fuzz(func(t *testing.T, s string) {
		answer, err := parsePasskeyAnswer(s)
		if err != nil {
			if len(s) > 0 && strings.Contains(err.Error(), s) && len(s) > 8 {
				t.Error("the error shows the answer")
			}
			return
		}
		encoded, err := json.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		var again types.WebAuthnResponse
		if err := json.Unmarshal(encoded, &again); err != nil {
			t.Errorf("what was read cannot be sent: %v", err)
		}
	})
}

func FuzzEndpoint(f *testing.F) {
	for _, s := range []string{"127.0.0.1:80", "localhost:1", "[::1]:443", "10.0.0.1:80", "127.0.0.1:0", "example.com:80", "127.0.0.1", ":80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if CheckEndpoint(s) != nil || strings.HasPrefix(s, "localhost:") {
			return
		}
		if addr, err := netip.ParseAddrPort(s); err == nil && !addr.Addr().IsLoopback() {
			t.Errorf("%q is taken for this machine", s)
		}
	})
}

func FuzzCodeRedrawing(f *testing.F) {
	f.Add("https://wa.me/settings/linked_devices#2@a,b,c,d,1", "d", "e")
	f.Add(",,", "", "x")
	f.Fuzz(func(t *testing.T, code, old, secret string) {
		c := &qrClock{codes: []string{code}}
		c.redraw(old, secret)
		if !strings.Contains(secret, ",") && strings.Count(c.codes[0], ",") != strings.Count(code, ",") {
			t.Errorf("%q became %q", code, c.codes[0])
		}
	})
}
