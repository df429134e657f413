package instance_test

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pairgate.dev/pkg/instance"
)

// fields runs one validator and returns the paths that it found bad.
func fields(check func(f *instance.FieldErrors)) []string {
	var f instance.FieldErrors
	check(&f)
	var out []string
	for _, e := range f {
		out = append(out, e.Field)
	}
	return out
}

func accepted(check func(f *instance.FieldErrors)) bool { return fields(check) == nil }

func TestCheckName(t *testing.T) {
	for name, want := range map[string]bool{
		"shop": true, " shop ": true, "Instance 1101000001": true, "магазин": true, "12345678": true, "a.b": true, "…": true,
		strings.Repeat("ж", 100): true, strings.Repeat("ж", 101): false,
		"": false, "   ": false, ".": false, "..": false, " .. ": false, "a/b": false, "a\x00b": false, "a\nb": false, "a\u0085b": false,
		"\xff": false, "01890a5d-ac96-774b-bcce-b302099a8057": false, "01890A5D-AC96-774B-BCCE-B302099A8057": false,
	} {
		if got := accepted(func(f *instance.FieldErrors) { instance.CheckName(f, "name", name) }); got != want {
			t.Errorf("name %q: accepted %v, want %v", name, got, want)
		}
	}
	var f instance.FieldErrors
	if got := instance.CheckName(&f, "name", "\t shop "); got != "shop" {
		t.Errorf("stored as %q", got)
	}
}

func TestNameAsNumber(t *testing.T) {
	for name, want := range map[string]uint64{"12345678": 12345678, "999999999999": 999999999999,
		"1234567": 0, "1000000000000": 0, "012345678": 0, "+12345678": 0, "1234567a": 0, "": 0} {
		if got, ok := instance.NameAsNumber(name); ok != (want != 0) || ok && got != want {
			t.Errorf("%q: %d, %v", name, got, ok)
		}
	}
}

func TestPhoneDigits(t *testing.T) {
	for phone, want := range map[string]string{
		"79001234567": "79001234567", "+7 (900) 123-45-67": "79001234567", "12345": "12345", "123456789012345": "123456789012345",
		"1234": "", "1234567890123456": "", "": "", "+": "", "++7900123": "", "7+900123": "", "089001234567": "", "7900x123": "", "٧٩٠٠١٢٣": "",
	} {
		if got, ok := instance.PhoneDigits(phone); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v, want %q", phone, got, ok, want)
		}
	}
}

func TestNumbersInRanges(t *testing.T) {
	for n, want := range map[uint64]bool{9_999_999: false, 10_000_000: true, 999_999_999_999: true, 1_000_000_000_000: false, 0: false} {
		if got := accepted(func(f *instance.FieldErrors) { instance.CheckNumber(f, "number", n) }); got != want {
			t.Errorf("number %d: %v", n, got)
		}
	}
	for n, want := range map[uint32]bool{0: true, 19: false, 20: true, 1800: true, 1801: false} {
		if got := accepted(func(f *instance.FieldErrors) { instance.CheckQRTimeout(f, "qrTimeout", n) }); got != want {
			t.Errorf("qrTimeout %d: %v", n, got)
		}
	}
	for n, want := range map[uint32]bool{0: true, 1: true, 500: true, 501: false} {
		if got := accepted(func(f *instance.FieldErrors) { instance.CheckPageSize(f, "pageSize", n) }); got != want {
			t.Errorf("pageSize %d: %v", n, got)
		}
	}
	var f instance.FieldErrors
	if instance.CheckQRTimeout(&f, "", 0) != 120 || instance.CheckPageSize(&f, "", 0) != 50 {
		t.Error("wrong defaults")
	}
	for v, want := range map[string]bool{"": true, "2.3000.1023223821": true, "2.3000.": false, "2.3000.0": false, "2.2413.1": false,
		"2.3000.4294967296": false, "2.3000.01": false, "2.3000.+1": false, "1.0.0": false, " 2.3000.1": false, "2.3000.1.1": false} {
		if got := accepted(func(f *instance.FieldErrors) { instance.CheckWhatsAppVersion(f, "v", v) }); got != want {
			t.Errorf("version %q: %v", v, got)
		}
	}
}

func TestTokensAndKeys(t *testing.T) {
	for token, want := range map[string]bool{strings.Repeat("a", 16): true, strings.Repeat("~", 256): true, strings.Repeat("a", 15): false,
		strings.Repeat("a", 257): false, "sixteen letters!": false, "sixteenletters\u00e9": false, "sixteenletters!\x7f": false} {
		if got := accepted(func(f *instance.FieldErrors) { instance.CheckToken(f, "token", token) }); got != want {
			t.Errorf("token %q: %v", token, got)
		}
	}
	hash := strings.Repeat("0a", 32)
	for h, want := range map[string]bool{hash: true, strings.ToUpper(hash): false, hash[1:]: false, "": false, strings.Repeat("g", 64): false} {
		if got := accepted(func(f *instance.FieldErrors) { instance.CheckTokenHash(f, "tokenHash", h) }); got != want {
			t.Errorf("hash %q: %v", h, got)
		}
	}
	for k, want := range map[string]bool{"": true, "a": true, strings.Repeat("k", 255): true, strings.Repeat("k", 256): false, "a b": true, "a\tb": false} {
		if got := accepted(func(f *instance.FieldErrors) { instance.CheckIdempotencyKey(f, "k", k) }); got != want {
			t.Errorf("key %q: %v", k, got)
		}
	}
}

func TestCheckWebhookURL(t *testing.T) {
	lookup := func(host string) []netip.Addr {
		switch host {
		case "receiver":
			return []netip.Addr{netip.MustParseAddr("10.1.2.3")}
		case "mixed":
			return []netip.Addr{netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("192.0.2.1")}
		}
		return nil
	}
	open := instance.Networks{Lookup: lookup, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}}
	for _, c := range []struct {
		url         string
		closed, lab bool // accepted without and with the allowed networks
	}{
		{"https://example.com/hook", true, true},
		{"https://example.com:8443/hook?a=b", true, true},
		{"HTTPS://Example.com", true, true},
		{"https://93.184.216.34/", true, true},
		{"https://[2606:2800:220:1::1]:443/", true, true},
		{"https://xn--e1afmkfd.xn--p1ai/", true, true},
		{"http://example.com/", false, false},
		{"http://93.184.216.34/", false, false},
		{"http://127.0.0.1:9000/", false, true},
		{"http://localhost:9000/", false, true},
		{"http://[::ffff:127.0.0.1]:9000/", false, true},
		{"https://127.0.0.1:9000/", false, true},
		{"https://localhost/", false, true},
		{"http://receiver:9000/", false, true},
		{"http://mixed:9000/", false, false},
		{"http://unknown:9000/", false, false},
		{"https://10.0.0.1/", false, true},
		{"https://192.168.0.1/", false, false},
		{"https://169.254.169.254/latest", false, false},
		{"https://100.64.0.1/", false, false},
		{"https://0.0.0.0/", false, false},
		{"https://[::1]/", false, false},
		{"https://[fe80::1%25eth0]/", false, false},
		{"https://127.1/", false, false},
		{"https://2130706433/", false, false},
		{"https://0x7f.0.0.1/", false, false},
		{"https://0x7f000001/", false, false},
		{"https://user@example.com/", false, false},
		{"https://user:pw@example.com/", false, false},
		{"https://example.com/#x", false, false},
		{"https://example.com/#", false, false},
		{"https://example.com:0/", false, false},
		{"https://example.com:65536/", false, false},
		{"https://example.com:/", false, false},
		{"https://exa mple.com/", false, false},
		{"https://example.com/a b", false, false},
		{"https://example.com/\n", false, false},
		{"https://пример.рф/", false, false},
		{"https:///hook", false, false},
		{"https:example.com", false, false},
		{"//example.com", false, false},
		{"example.com/hook", false, false},
		{"ftp://example.com", false, false},
		{"https://-a.example/", false, false},
		{"https://a..example/", false, false},
		{"", false, false},
		{"https://example.com/" + strings.Repeat("a", 2028), true, true},
		{"https://example.com/" + strings.Repeat("a", 2029), false, false},
	} {
		for allowed, want := range map[*instance.Networks]bool{{}: c.closed, &open: c.lab} {
			if got := accepted(func(f *instance.FieldErrors) { instance.CheckWebhookURL(f, "url", c.url, *allowed) }); got != want {
				t.Errorf("%.60q with networks %v: accepted %v, want %v", c.url, allowed.Allow, got, want)
			}
		}
	}
}

func TestWebhookSecrets(t *testing.T) {
	for n := range 70 {
		key := []byte(strings.Repeat("k", n))
		secret := instance.EncodeWebhookSecret(key)
		for _, s := range []string{secret, strings.TrimRight(secret, "=")} {
			got, ok := instance.DecodeWebhookSecret(s)
			if want := n >= 24 && n <= 64; ok != want || ok && string(got) != string(key) {
				t.Errorf("secret of %d bytes: %v", n, ok)
			}
		}
	}
	for _, s := range []string{"", "whsec_", "secret", strings.Repeat("a", 32), "whsec_" + strings.Repeat("*", 40), "whsec_" + strings.Repeat("a", 20) + "\n" + strings.Repeat("a", 20)} {
		if accepted(func(f *instance.FieldErrors) { instance.CheckWebhookSecret(f, "secret", s) }) {
			t.Errorf("%q accepted", s)
		}
	}
}

func TestEventKindsAndFormats(t *testing.T) {
	got := fields(func(f *instance.FieldErrors) {
		instance.CheckEventKinds(f, "events", []string{"status", "nonsense", "qr", ""})
	})
	if !slices.Equal(got, []string{"events[1]", "events[3]"}) {
		t.Errorf("bad fields %v", got)
	}
	var f instance.FieldErrors
	if got := instance.CheckEventKinds(&f, "events", []string{"status", "qr", "status"}); !slices.Equal(got, []string{"qr", "status"}) {
		t.Errorf("stored as %v", got)
	}
	if instance.CheckFormat(&f, "format", "") != instance.FormatNative || f != nil {
		t.Error("the empty format is native")
	}
	if accepted(func(f *instance.FieldErrors) { instance.CheckFormat(f, "format", "xml") }) {
		t.Error("unknown format accepted")
	}
}

func TestCheckHeaders(t *testing.T) {
	bad := map[string]string{
		"X-Break": "a\r\nX-Other: b", "X-Long": strings.Repeat("v", 4097), "User-Agent": "x", "webhook-id": "x", "Webhook-Anything": "x", "Host": "x",
		"Content-Length": "1", "Connection": "close", "Transfer-Encoding": "chunked", "Content-Type": "text/plain", "ce-id": "x", "Proxy-Authorization": "x",
		"no spaces": "x", "X-Null": "a\x00b",
	}
	good := map[string]string{"Authorization": "Bearer x", "X-Api-Key": "k", "X-Tab": "a\tb", "X-Text": "ж", "jwt_key": "x"}
	all := maps.Clone(bad)
	maps.Copy(all, good)
	var f instance.FieldErrors
	got := instance.CheckHeaders(&f, "headers", all)
	if !maps.Equal(got, good) {
		t.Errorf("kept %v", slices.Sorted(maps.Keys(got)))
	}
	var paths []string
	for _, e := range f {
		paths = append(paths, e.Field)
	}
	for name := range bad {
		if want := "headers." + name; !slices.Contains(paths, want) && name != "no spaces" {
			t.Errorf("%s is not among the bad fields %v", want, paths)
		}
	}
	if len(f) != len(bad) {
		t.Errorf("%d bad fields, want %d", len(f), len(bad))
	}
	if got := instance.CheckHeaders(&f, "headers", map[string]string{"content-type": "application/json; charset=UTF-8"}); len(got) != 0 || len(f) != len(bad) {
		t.Error("a Content-Type that says what is sent anyway is not accepted and left out")
	}
	if accepted(func(f *instance.FieldErrors) {
		instance.CheckHeaders(f, "headers", map[string]string{"X-A": "1", "x-a": "2"})
	}) {
		t.Error("the same header twice accepted")
	}
	many := map[string]string{}
	for i := range 21 {
		many["X-"+strings.Repeat("a", i+1)] = "v"
	}
	if accepted(func(f *instance.FieldErrors) { instance.CheckHeaders(f, "headers", many) }) {
		t.Error("21 headers accepted")
	}
}

func TestCheckQRStyle(t *testing.T) {
	var f instance.FieldErrors
	got := instance.CheckQRStyle(&f, "settings.qr", instance.QRStyle{Foreground: "#175197", Background: "#FFFFFF", Level: "h", Size: 2048, Margin: 16})
	if want := (instance.QRStyle{Foreground: "#175197", Background: "#ffffff", Level: "H", Size: 2048, Margin: 16}); f != nil || got != want {
		t.Errorf("%+v, %v", got, f)
	}
	bad := fields(func(f *instance.FieldErrors) {
		instance.CheckQRStyle(f, "settings.qr", instance.QRStyle{Foreground: "blue", Background: "#12345g", Level: "X", Size: 63, Margin: 17})
	})
	if want := []string{"settings.qr.foreground", "settings.qr.background", "settings.qr.level", "settings.qr.size", "settings.qr.margin"}; !slices.Equal(bad, want) {
		t.Errorf("bad fields %v", bad)
	}
	for _, s := range []instance.QRStyle{{Foreground: "#ffffff"}, {Background: "#000000"}, {Foreground: "#ffffff", Background: "#000000"}, {Foreground: "#ffff00"}} {
		if accepted(func(f *instance.FieldErrors) { instance.CheckQRStyle(f, "qr", s) }) {
			t.Errorf("unreadable colours accepted: %+v", s)
		}
	}
	if !accepted(func(f *instance.FieldErrors) { instance.CheckQRStyle(f, "qr", instance.QRStyle{}) }) {
		t.Error("the default style is refused")
	}
}

func TestCheckProxy(t *testing.T) {
	good := instance.Proxy{Protocol: "socks5", Host: "proxy.example.com", Port: 1080, Username: "u", Password: "p"}
	if !accepted(func(f *instance.FieldErrors) { instance.CheckProxy(f, "proxy", good, instance.WhatsApp) }) {
		t.Error("a good proxy is refused")
	}
	if got := fields(func(f *instance.FieldErrors) { instance.CheckProxy(f, "proxy", good, instance.Simulated) }); !slices.Equal(got, []string{"proxy"}) {
		t.Errorf("simulated with a proxy: %v", got)
	}
	bad := instance.Proxy{Protocol: "ftp", Host: "a/b", Port: 65536, Password: "p\n"}
	want := []string{"proxy.protocol", "proxy.host", "proxy.port", "proxy.password", "proxy.username"}
	if got := fields(func(f *instance.FieldErrors) { instance.CheckProxy(f, "proxy", bad, instance.MAX) }); !slices.Equal(got, want) {
		t.Errorf("bad fields %v", got)
	}
}

// No message may repeat what was given: it may be a secret.
func TestMessagesDoNotRepeatValues(t *testing.T) {
	const secret = "s3cr3t"
	var f instance.FieldErrors
	instance.CheckName(&f, "a", secret+"/")
	instance.CheckPhone(&f, "b", secret)
	instance.CheckToken(&f, "c", secret)
	instance.CheckWebhookSecret(&f, "d", secret)
	instance.CheckWebhookURL(&f, "e", "http://"+secret+"@host/", instance.Networks{})
	instance.CheckHeaders(&f, "g", map[string]string{"X-A": secret + "\n", secret + " x": "y"})
	instance.CheckProvider(&f, "h", secret)
	instance.CheckProxy(&f, "i", instance.Proxy{Protocol: secret, Host: secret + "/", Password: secret + "\n"}, instance.MAX)
	if len(f) < 10 {
		t.Fatalf("only %d bad fields", len(f))
	}
	for _, e := range f {
		if strings.Contains(e.Field+e.Message, secret) {
			t.Errorf("%s: %s", e.Field, e.Message)
		}
	}
}

func FuzzCheckName(f *testing.F) {
	for _, s := range []string{"shop", " a ", "a/b", "..", "\xff", "01890a5d-ac96-774b-bcce-b302099a8057", "12345678"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		var e instance.FieldErrors
		got := instance.CheckName(&e, "name", name)
		if e != nil {
			return
		}
		if got != strings.TrimSpace(got) || got == "" || !utf8.ValidString(got) || utf8.RuneCountInString(got) > 100 ||
			strings.Contains(got, "/") || strings.ContainsFunc(got, unicode.IsControl) {
			t.Fatalf("%q accepted", got)
		}
		if again := instance.CheckName(&e, "name", got); e != nil || again != got {
			t.Fatalf("%q is not accepted again", got)
		}
	})
}

func FuzzPhoneDigits(f *testing.F) {
	for _, s := range []string{"79001234567", "+7 (900) 123-45-67", "", "+", "00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, phone string) {
		digits, ok := instance.PhoneDigits(phone)
		if again, okAgain := instance.PhoneDigits(digits); ok && (!okAgain || again != digits || len(digits) < 5 || len(digits) > 15) {
			t.Fatalf("%q gives %q", phone, digits)
		}
	})
}

func FuzzCheckWebhookURL(f *testing.F) {
	for _, s := range []string{"https://example.com/hook", "http://127.0.0.1:80", "https://[::1]:1/", "https://a@b/", "https://0x7f.1/", "https://[::ffff:10.0.0.1]/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var e instance.FieldErrors
		instance.CheckWebhookURL(&e, "url", raw, instance.Networks{})
		if e == nil && !strings.EqualFold(raw[:8], "https://") {
			t.Fatalf("%q accepted without allowed networks", raw)
		}
	})
}

func FuzzCheckHeaders(f *testing.F) {
	f.Add("X-A", "b")
	f.Add("Content-Type", "application/json")
	f.Add("a b", "\r\n")
	f.Fuzz(func(t *testing.T, name, value string) {
		var e instance.FieldErrors
		out := instance.CheckHeaders(&e, "headers", map[string]string{name: value})
		if len(out) == 1 && (e != nil || strings.ContainsAny(name+value, "\r\n\x00") || strings.EqualFold(name, "host")) {
			t.Fatalf("%q: %q accepted", name, value)
		}
	})
}

func FuzzDecodeWebhookSecret(f *testing.F) {
	f.Add("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	f.Add("whsec_")
	f.Fuzz(func(t *testing.T, secret string) {
		if key, ok := instance.DecodeWebhookSecret(secret); ok {
			if again, ok := instance.DecodeWebhookSecret(instance.EncodeWebhookSecret(key)); !ok || string(again) != string(key) {
				t.Fatalf("%q does not survive", secret)
			}
		}
	})
}
