package simulated

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

func TestCodeTexts(t *testing.T) {
	seen := map[string]bool{}
	for range 500 {
		text := newCodeText()
		if seen[text] || len(text) < 150 || len(text) > 240 || strings.Count(text, ",") != 4 {
			t.Fatalf("a code of %d characters, seen before: %v", len(text), seen[text])
		}
		seen[text] = true
		typed := newTypedCode()
		if len(typed) != typedLength || strings.Trim(typed, typedAlphabet) != "" || normalizeTyped(strings.ToLower(typed[:4]+"-"+typed[4:])) != typed {
			t.Fatalf("a pairing code %q", typed)
		}
	}
}

func FuzzPasskeyAnswer(f *testing.F) {
	client, _ := json.Marshal(map[string]string{"type": "webauthn.get", "challenge": "c"})
	good, _ := json.Marshal(map[string]any{"id": "x", "response": map[string]string{"clientDataJSON": base64.RawURLEncoding.EncodeToString(client)}})
	if !answers(string(good), "c") || answers(string(good), "d") {
		f.Fatal("the right answer is refused, or one to another challenge accepted")
	}
	f.Add(string(good), "c")
	f.Add("null", "")
	f.Fuzz(func(t *testing.T, response, challenge string) {
		if answers(response, challenge) && answers(response, challenge+"x") {
			t.Fatal("answers two challenges")
		}
	})
}

func FuzzNormalizeTyped(f *testing.F) {
	f.Add("abcd-1234")
	f.Add(" A B ")
	f.Fuzz(func(t *testing.T, typed string) {
		once := normalizeTyped(typed)
		if strings.ContainsAny(once, "- ") {
			t.Fatalf("%q", once)
		}
	})
}
