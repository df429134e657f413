package passkey_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/types"

	"pairgate.dev/services/lab/internal/whatsapp/passkey"
)

func authenticator(t testing.TB, seed byte) *passkey.Authenticator {
	t.Helper()
	a, err := passkey.NewAuthenticator([32]byte{seed})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func options(t testing.TB, c *passkey.Challenge) []byte {
	t.Helper()
	o, err := c.Options()
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestAuthenticatorAnswersAChallenge(t *testing.T) {
	challenge := passkey.NewChallenge(authenticator(t, 1).Credential(), 10*time.Minute)
	// Made anew from its seed, as after a restart.
	answer, err := authenticator(t, 1).Answer(options(t, challenge))
	if err != nil {
		t.Fatal(err)
	}
	// What lies between is whatsmeow, which reads the answer and writes it again.
	var between types.WebAuthnResponse
	if err := json.Unmarshal(answer, &between); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(between)
	if err != nil {
		t.Fatal(err)
	}
	for _, answer := range [][]byte{answer, again} {
		if err := challenge.Verify(answer); err != nil {
			t.Error(err)
		}
	}
	if err := passkey.NewChallenge(authenticator(t, 1).Credential(), time.Minute).Verify(answer); !errors.Is(err, passkey.ErrAssertion) {
		t.Errorf("an old answer: %v", err)
	}
	if err := passkey.NewChallenge(authenticator(t, 2).Credential(), time.Minute).Verify(answer); !errors.Is(err, passkey.ErrAssertion) {
		t.Errorf("another's answer: %v", err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	challenge := passkey.NewChallenge(authenticator(t, 1).Credential(), time.Minute)
	answer, err := authenticator(t, 1).Answer(options(t, challenge))
	if err != nil {
		t.Fatal(err)
	}
	replace := func(from, to string) func(*types.WebAuthnResponse) {
		return func(r *types.WebAuthnResponse) {
			r.Response.ClientDataJSON = bytes.Replace(r.Response.ClientDataJSON, []byte(from), []byte(to), 1)
		}
	}
	for name, change := range map[string]func(*types.WebAuthnResponse){
		"type":        func(r *types.WebAuthnResponse) { r.Type = "password" },
		"id":          func(r *types.WebAuthnResponse) { r.ID = "other" },
		"raw id":      func(r *types.WebAuthnResponse) { r.RawID[0] ^= 1 },
		"ceremony":    replace("webauthn.get", "webauthn.create"),
		"origin":      replace("web.whatsapp.com", "web.whatsapp.example"),
		"frame":       replace("false", "true"),
		"client data": replace("{", ""),
		"unsigned":    replace("}", " }"),
		"site":        func(r *types.WebAuthnResponse) { r.Response.AuthenticatorData[0] ^= 1 },
		"flags":       func(r *types.WebAuthnResponse) { r.Response.AuthenticatorData[32] = 1 },
		"short":       func(r *types.WebAuthnResponse) { r.Response.AuthenticatorData = r.Response.AuthenticatorData[:36] },
		"signature":   func(r *types.WebAuthnResponse) { r.Response.Signature = r.Response.Signature[1:] },
	} {
		var response types.WebAuthnResponse
		if err := json.Unmarshal(answer, &response); err != nil {
			t.Fatal(err)
		}
		change(&response)
		wrong, err := json.Marshal(response)
		if err != nil {
			t.Fatal(err)
		}
		if err := challenge.Verify(wrong); !errors.Is(err, passkey.ErrAssertion) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnswerRefuses(t *testing.T) {
	a := authenticator(t, 1)
	for name, tc := range map[string]struct {
		options string
		want    error
	}{
		"nothing":      {``, passkey.ErrOptions},
		"no challenge": {`{"rpId":"whatsapp.com"}`, passkey.ErrOptions},
		"another site": {`{"challenge":"AAAAAAAAAAAAAAAAAAAAAAAA","rpId":"example.org"}`, passkey.ErrRelyingParty},
		"another key":  {`{"challenge":"AAAAAAAAAAAAAAAAAAAAAAAA","rpId":"whatsapp.com","allowCredentials":[{"id":"AAAA","type":"public-key"}]}`, passkey.ErrCredential},
	} {
		if _, err := a.Answer([]byte(tc.options)); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	a := authenticator(f, 1)
	f.Add(options(f, passkey.NewChallenge(a.Credential(), time.Minute)))
	f.Fuzz(func(t *testing.T, options []byte) {
		answer, err := a.Answer(options)
		if err == nil && !json.Valid(answer) {
			t.Errorf("answer %q", answer)
		}
	})
}

func FuzzVerify(f *testing.F) {
	a := authenticator(f, 1)
	old, err := a.Answer(options(f, passkey.NewChallenge(a.Credential(), time.Minute)))
	if err != nil {
		f.Fatal(err)
	}
	challenge := passkey.NewChallenge(a.Credential(), time.Minute)
	f.Add(old)
	f.Fuzz(func(t *testing.T, assertion []byte) {
		if challenge.Verify(assertion) == nil {
			t.Error("accepted without the passkey")
		}
	})
}
