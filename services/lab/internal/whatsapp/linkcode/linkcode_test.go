package linkcode_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"go.mau.fi/whatsmeow/util/gcmutil"
	"go.mau.fi/whatsmeow/util/hkdfutil"

	"pairgate.dev/services/lab/internal/whatsapp/linkcode"
)

const code = "ABCD1234"

// companion is a device that shows code, in the steps of whatsmeow's pair-code.go.
type companion struct {
	ephemeral, identity *ecdh.PrivateKey
	wrapped             []byte
}

// finished is what a companion makes of an attempt.
type finished struct {
	companion             companion
	phone, shared, random []byte
}

func key(t testing.TB) *ecdh.PrivateKey {
	t.Helper()
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func crypt(salt, iv, in []byte) []byte {
	secret, _ := pbkdf2.Key(sha256.New, code, salt, 131072, 32)
	block, _ := aes.NewCipher(secret)
	out := make([]byte, len(in))
	cipher.NewCTR(block, iv).XORKeyStream(out, in)
	return out
}

func agree(own *ecdh.PrivateKey, other []byte) []byte {
	public, _ := ecdh.X25519().NewPublicKey(other)
	shared, _ := own.ECDH(public)
	return shared
}

func newCompanion(t testing.TB) companion {
	c := companion{ephemeral: key(t), identity: key(t)}
	head := bytes.Repeat([]byte{5}, 48)
	c.wrapped = append(head, crypt(head[:32], head[32:], c.ephemeral.PublicKey().Bytes())...)
	return c
}

func (c companion) finish(attempt *linkcode.Attempt) finished {
	wrapped := attempt.WrappedEphemeral()
	return finished{c, attempt.Identity(), agree(c.ephemeral, crypt(wrapped[:32], wrapped[32:48], wrapped[48:])), bytes.Repeat([]byte{8}, 32)}
}

func (f finished) content() []byte {
	return slices.Concat(f.companion.identity.PublicKey().Bytes(), f.phone, f.random)
}

// bundle is the key bundle for the phone, with this content.
func (f finished) bundle(content []byte) []byte {
	salt, nonce := bytes.Repeat([]byte{6}, 32), bytes.Repeat([]byte{7}, 12)
	key := hkdfutil.SHA256(f.shared, salt, []byte("link_code_pairing_key_bundle_encryption_key"), 32)
	sealed, _ := gcmutil.Encrypt(key, nonce, content, nil)
	return slices.Concat(salt, nonce, sealed)
}

// secret is the ADV secret.
func (f finished) secret() []byte {
	return hkdfutil.SHA256(slices.Concat(f.shared, agree(f.companion.identity, f.phone), f.random), nil, []byte("adv_secret"), 32)
}

func TestBothSidesGetOneSecret(t *testing.T) {
	c, phone := newCompanion(t), key(t)
	attempt, err := linkcode.Answer("abcd-1234", c.wrapped, phone)
	if err != nil {
		t.Fatal(err)
	}
	if len(attempt.WrappedEphemeral()) != linkcode.WrappedSize || !bytes.Equal(attempt.Identity(), phone.PublicKey().Bytes()) {
		t.Error("what goes to the device is malformed")
	}
	done := c.finish(attempt)
	bundle := done.bundle(done.content())
	got, err := attempt.Finish(bundle, c.identity.PublicKey().Bytes())
	if err != nil || !bytes.Equal(got[:], done.secret()) {
		t.Errorf("secrets differ, or %v", err)
	}

	for name, tc := range map[string]struct {
		bundle, identity []byte
		want             error
	}{
		"short bundle":     {bundle[:40], c.identity.PublicKey().Bytes(), linkcode.ErrMessage},
		"cut bundle":       {bundle[:len(bundle)-1], c.identity.PublicKey().Bytes(), linkcode.ErrWrongCode},
		"short identity":   {bundle, []byte{1}, linkcode.ErrMessage},
		"another identity": {bundle, key(t).PublicKey().Bytes(), linkcode.ErrMessage},
	} {
		if _, err := attempt.Finish(tc.bundle, tc.identity); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	for name, change := range map[string]func([]byte) []byte{
		"another phone": func(b []byte) []byte { b[40] ^= 1; return b },
		"short content": func(b []byte) []byte { return b[:95] },
	} {
		if _, err := attempt.Finish(done.bundle(change(done.content())), c.identity.PublicKey().Bytes()); !errors.Is(err, linkcode.ErrMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAWrongCodeIsToldApart(t *testing.T) {
	c := newCompanion(t)
	attempt, err := linkcode.Answer("ABCD1235", c.wrapped, key(t))
	if err != nil {
		t.Fatal(err)
	}
	done := c.finish(attempt)
	if _, err := attempt.Finish(done.bundle(done.content()), c.identity.PublicKey().Bytes()); !errors.Is(err, linkcode.ErrWrongCode) {
		t.Errorf("%v", err)
	}
}

func TestAnswerRefuses(t *testing.T) {
	wrapped := make([]byte, linkcode.WrappedSize)
	for _, typed := range []string{"", "ABCD123", "ABCD12345", "ABCD123O", "ABCD1230", "АBCD123"} {
		if _, err := linkcode.Answer(typed, wrapped, key(t)); !errors.Is(err, linkcode.ErrCode) {
			t.Errorf("%q: %v", typed, err)
		}
	}
	if _, err := linkcode.Answer(code, wrapped[1:], key(t)); !errors.Is(err, linkcode.ErrMessage) {
		t.Errorf("%v", err)
	}
}

func FuzzNormalize(f *testing.F) {
	f.Add("abcd-1234")
	f.Add("ABCD 123I")
	f.Fuzz(func(t *testing.T, typed string) {
		once, err := linkcode.Normalize(typed)
		if err != nil {
			return
		}
		if twice, err := linkcode.Normalize(once); err != nil || once != twice || len(once) != linkcode.Length {
			t.Errorf("%q, then %q, %v", once, twice, err)
		}
	})
}

func FuzzFinish(f *testing.F) {
	attempt, err := linkcode.Answer(code, make([]byte, linkcode.WrappedSize), key(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(make([]byte, 32+12+96+16), key(f).PublicKey().Bytes())
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, bundle, identity []byte) {
		if _, err := attempt.Finish(bundle, identity); err == nil {
			t.Error("accepted without the device's key")
		}
	})
}
