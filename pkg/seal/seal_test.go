package seal_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pairgate.dev/pkg/seal"
)

func mustRing(tb testing.TB, keys ...seal.Secret) *seal.Ring {
	tb.Helper()
	texts := make([]string, len(keys))
	for i, k := range keys {
		texts[i] = k.Reveal()
	}
	ring, err := seal.ParseRing(seal.Secret(strings.Join(texts, ",")))
	if err != nil {
		tb.Fatalf("ParseRing: %v", err)
	}
	return ring
}

func mustSeal(tb testing.TB, ring *seal.Ring, plain string, aad seal.AAD) []byte {
	tb.Helper()
	sealed, err := ring.Seal([]byte(plain), aad)
	if err != nil {
		tb.Fatalf("Seal: %v", err)
	}
	return sealed
}

func TestSealedBlobOpensForItsPurposeAndOwnerOnly(t *testing.T) {
	ring := mustRing(t, seal.NewMasterKey())
	aad := seal.For(seal.PurposeToken, "0190b0c1")
	for _, plain := range []string{"", "t", strings.Repeat("x", 100_000)} {
		sealed := mustSeal(t, ring, plain, aad)
		if len(sealed) != len(plain)+seal.Overhead {
			t.Errorf("sealed length %d, want %d", len(sealed), len(plain)+seal.Overhead)
		}
		got, err := ring.Open(sealed, aad)
		if err != nil || string(got) != plain {
			t.Fatalf("Open of %d bytes: %v", len(plain), err)
		}
	}

	sealed := mustSeal(t, ring, "plain", aad)
	for name, other := range map[string]seal.AAD{
		"another owner":      seal.For(seal.PurposeToken, "0190b0c2"),
		"another purpose":    seal.For(seal.PurposeWebhook, "0190b0c1"),
		"a shifted boundary": seal.For(seal.PurposeToken+"0", "190b0c1"),
	} {
		if _, err := ring.Open(sealed, other); !errors.Is(err, seal.ErrRefused) {
			t.Errorf("%s: %v, want ErrRefused", name, err)
		}
	}
}

func TestSameTextIsSealedDifferentlyEachTime(t *testing.T) {
	ring := mustRing(t, seal.NewMasterKey())
	aad := seal.For(seal.PurposeToken, "i")
	if bytes.Equal(mustSeal(t, ring, "same", aad), mustSeal(t, ring, "same", aad)) {
		t.Fatal("two blobs of one text are equal")
	}
}

func TestPurposeAndOwnerAreRequired(t *testing.T) {
	ring := mustRing(t, seal.NewMasterKey())
	for name, aad := range map[string]seal.AAD{
		"zero": {}, "no owner": seal.For(seal.PurposeToken, ""), "no purpose": seal.For("", "i"),
	} {
		if _, err := ring.Seal([]byte("x"), aad); !errors.Is(err, seal.ErrNoContext) {
			t.Errorf("Seal, %s: %v", name, err)
		}
		if _, err := ring.Open(make([]byte, 100), aad); !errors.Is(err, seal.ErrNoContext) {
			t.Errorf("Open, %s: %v", name, err)
		}
	}
}

func TestEveryChangedByteIsNoticed(t *testing.T) {
	ring := mustRing(t, seal.NewMasterKey())
	aad := seal.For(seal.PurposeToken, "i")
	sealed := mustSeal(t, ring, "plain", aad)
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := ring.Open(changed, aad); err == nil {
			t.Errorf("byte %d changed, and the blob still opens", i)
		}
	}
	for n := range sealed {
		if _, err := ring.Open(sealed[:n], aad); err == nil {
			t.Errorf("cut to %d bytes, and the blob still opens", n)
		}
	}
}

func TestRotationKeepsOldBlobsReadableUntilTheKeyIsRemoved(t *testing.T) {
	oldKey, newKey := seal.NewMasterKey(), seal.NewMasterKey()
	before, during, after := mustRing(t, oldKey), mustRing(t, newKey, oldKey), mustRing(t, newKey)
	aad := seal.For(seal.PurposeCredentials, "i")
	sealed := mustSeal(t, before, "plain", aad)

	if before.Stale(sealed) || !during.Stale(sealed) {
		t.Error("a blob is stale as soon as another key comes first, not before")
	}
	plain, err := during.Open(sealed, aad)
	if err != nil {
		t.Fatalf("Open with both keys: %v", err)
	}
	again := mustSeal(t, during, string(plain), aad)
	if during.Stale(again) {
		t.Error("a blob sealed anew is still stale")
	}
	if _, err := after.Open(again, aad); err != nil {
		t.Errorf("Open without the old key: %v", err)
	}
	if _, err := after.Open(sealed, aad); !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("old blob without the old key: %v, want ErrUnknownKey", err)
	}
	if during.Stale(nil) || during.Stale([]byte("no blob")) {
		t.Error("bytes that are no blob count as stale")
	}
}

func TestParseRingReadsEveryBase64Spelling(t *testing.T) {
	key := bytes.Repeat([]byte{0xfb, 0xff}, 16)
	sealed := mustSeal(t, mustRing(t, seal.Secret(base64.StdEncoding.EncodeToString(key))), "plain", seal.For("p", "o"))
	for name, enc := range map[string]*base64.Encoding{
		"raw standard": base64.RawStdEncoding, "url": base64.URLEncoding, "raw url": base64.RawURLEncoding,
	} {
		ring, err := seal.ParseRing(seal.Secret(" " + enc.EncodeToString(key) + " \n"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := ring.Open(sealed, seal.For("p", "o")); err != nil {
			t.Errorf("%s: another key was read: %v", name, err)
		}
	}
}

func TestBadKeysAreNamedByPositionAndNeverShown(t *testing.T) {
	good := seal.NewMasterKey().Reveal()
	for _, tt := range []struct {
		name, keys string
		position   int
		reason     string
	}{
		{"not base64", good + ",sesame!open", 2, "is not base64"},
		{"short", base64.StdEncoding.EncodeToString([]byte("sesame")), 1, "has 6 bytes, want 32"},
		{"trailing comma", good + ",", 2, "is empty"},
		{"twice", good + "," + good, 2, "is in the list already"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := seal.ParseRing(seal.Secret(tt.keys))
			bad, ok := errors.AsType[*seal.KeyError](err)
			if !ok || bad.Position != tt.position || bad.Reason != tt.reason {
				t.Fatalf("got %v, want key %d %s", err, tt.position, tt.reason)
			}
			if strings.Contains(err.Error(), "sesame") || strings.Contains(err.Error(), good) {
				t.Errorf("the error shows a key: %v", err)
			}
		})
	}
	for _, keys := range []seal.Secret{"", "  "} {
		if _, err := seal.ParseRing(keys); !errors.Is(err, seal.ErrNoKey) {
			t.Errorf("no key: %v", err)
		}
	}
}

func TestSecretIsRedactedHoweverItIsPrinted(t *testing.T) {
	const secret = seal.Secret("sesame")
	hexed := hex.EncodeToString([]byte(secret))
	type config struct{ Password seal.Secret }
	asJSON, err := json.Marshal(map[string]any{"a": secret, "b": config{secret}})
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("hello", "secret", secret, "config", config{secret})
	printed := []string{
		string(asJSON), logged.String(), fmt.Sprint(secret), fmt.Errorf("bad: %v", secret).Error(),
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "% x", "%10s"} {
		printed = append(printed, fmt.Sprintf(verb, secret), fmt.Sprintf(verb, config{secret}), fmt.Sprintf(verb, &config{secret}))
	}
	for _, text := range printed {
		if strings.Contains(text, "sesame") || strings.Contains(strings.ToLower(text), hexed) || !strings.Contains(text, "redacted") {
			t.Errorf("printed as %s", text)
		}
	}
	if got := fmt.Sprintf("%s|%v", seal.Secret(""), seal.Secret("")); got != "|" {
		t.Errorf("empty secret printed as %q", got)
	}
}

func TestTokens(t *testing.T) {
	a, b := seal.NewToken(), seal.NewToken()
	if a == b || len(a) != seal.TokenLength || strings.Trim(a, "0123456789abcdef") != "" {
		t.Errorf("tokens %q and %q are not two different texts of %d lower-case hex characters", a, b, seal.TokenLength)
	}
	const want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // FIPS 180-2, "abc"
	if got := seal.HashToken("abc"); got != want {
		t.Errorf("HashToken = %s", got)
	}
	if !seal.Equal("a", "a") || seal.Equal("a", "b") || seal.Equal("a", "aa") || !seal.Equal("", "") {
		t.Error("Equal is wrong")
	}
}

func FuzzOpen(f *testing.F) {
	ring := mustRing(f, seal.NewMasterKey(), seal.NewMasterKey())
	aad := seal.For(seal.PurposeToken, "i")
	sealed := mustSeal(f, ring, "plain", aad)
	f.Add(sealed)
	f.Add(sealed[:len(sealed)-1])
	f.Add([]byte{})
	f.Add(make([]byte, seal.Overhead))
	f.Fuzz(func(t *testing.T, blob []byte) {
		plain, err := ring.Open(blob, aad)
		if err == nil && !bytes.Equal(blob, sealed) {
			t.Fatalf("a forged blob opened to %q", plain)
		}
		ring.Stale(blob)
	})
}

func FuzzParseRing(f *testing.F) {
	f.Add("")
	f.Add(",")
	f.Add(seal.NewMasterKey().Reveal())
	f.Add(seal.NewMasterKey().Reveal() + "," + seal.NewMasterKey().Reveal())
	f.Fuzz(func(t *testing.T, keys string) {
		ring, err := seal.ParseRing(seal.Secret(keys))
		if err != nil {
			return
		}
		aad := seal.For("p", "o")
		sealed, err := ring.Seal([]byte("x"), aad)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ring.Open(sealed, aad); err != nil {
			t.Fatalf("a ring cannot open what it sealed: %v", err)
		}
	})
}
