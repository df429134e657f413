package signature_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	oracle "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"pairgate.dev/services/webhook-dispatcher/signature"
)

const (
	secretA = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	secretB = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

var vectors = []struct {
	name, secret, id string
	at               int64
	body, want       string
}{
	{"A", secretA, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, `{"test": 2432232314}`,
		"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
	{"B", secretB, "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1649367553, `{"email":"test@example.com","username":"test_user"}`,
		"v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="},
}

func keys(tb testing.TB, list string) []signature.Key {
	tb.Helper()
	ks, err := signature.ParseSecrets(list)
	if err != nil {
		tb.Fatal(err)
	}
	return ks
}

func headers(id string, at int64, sig string) http.Header {
	h := http.Header{}
	h.Set(signature.HeaderID, id)
	h.Set(signature.HeaderTimestamp, strconv.FormatInt(at, 10))
	h.Set(signature.HeaderSignature, sig)
	return h
}

func TestPublishedVectors(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			at := time.Unix(v.at, 0)
			got := signature.Sign(keys(t, v.secret), v.id, at, []byte(v.body))
			if got != v.want {
				t.Fatalf("Sign = %s, want %s", got, v.want)
			}
			if err := signature.Verify(keys(t, v.secret), headers(v.id, v.at, v.want), []byte(v.body), at); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestOfficialLibraryVerifiesWhatWeSign(t *testing.T) {
	now := time.Now()
	body := []byte(`{"kind":"status"}`)
	sig := signature.Sign(keys(t, secretA+" "+secretB), "id-1", now, body)
	for _, secret := range []string{secretA, secretB} {
		wh, err := oracle.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := wh.Verify(body, headers("id-1", now.Unix(), sig)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRotationVerifiesWithEitherKey(t *testing.T) {
	at := time.Unix(1700000000, 0)
	body := []byte("{}")
	sig := "v1a,unknown v1,!!! " + signature.Sign(keys(t, secretB+" "+secretA), "x", at, body)
	for _, secret := range []string{secretA, secretB} {
		if err := signature.Verify(keys(t, secret), headers("x", at.Unix(), sig), body, at); err != nil {
			t.Fatal(err)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	at := time.Unix(1700000000, 0)
	body := []byte("{}")
	good := signature.Sign(keys(t, secretA), "x", at, body)
	cases := []struct {
		name string
		h    http.Header
		body string
		now  time.Time
		want error
	}{
		{"OtherBody", headers("x", at.Unix(), good), "{ }", at, signature.ErrMismatch},
		{"OtherID", headers("y", at.Unix(), good), "{}", at, signature.ErrMismatch},
		{"OtherTime", headers("x", at.Unix()+1, good), "{}", at, signature.ErrMismatch},
		{"TooOld", headers("x", at.Unix(), good), "{}", at.Add(301 * time.Second), signature.ErrTimestamp},
		{"TooNew", headers("x", at.Unix(), good), "{}", at.Add(-301 * time.Second), signature.ErrTimestamp},
		{"NoID", headers("", at.Unix(), good), "{}", at, signature.ErrHeaders},
		{"NoHeaders", http.Header{}, "{}", at, signature.ErrHeaders},
		{"UnknownVersion", headers("x", at.Unix(), strings.Replace(good, "v1,", "v2,", 1)), "{}", at, signature.ErrMismatch},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if err := signature.Verify(keys(t, secretA), c.h, []byte(c.body), c.now); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
	if err := signature.Verify(keys(t, secretB), headers("x", at.Unix(), good), body, at); !errors.Is(err, signature.ErrMismatch) {
		t.Fatalf("another key: %v", err)
	}
}

func TestSecretsAreCheckedAndNeverPrinted(t *testing.T) {
	for _, bad := range []string{"", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_***", secretA + " nonsense"} {
		if _, err := signature.ParseSecrets(bad); !errors.Is(err, signature.ErrSecret) {
			t.Errorf("ParseSecrets(%q) = %v", bad, err)
		}
	}
	k := keys(t, secretA)[0]
	if s := fmt.Sprintf("%v %+v %#v %s", k, k, k, k); strings.Contains(s, "49") || strings.Contains(s, "MfKQ") {
		t.Errorf("a key prints itself: %s", s)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("msg", "1614265330", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", []byte(`{}`))
	f.Add("", "x", "v1,", []byte{})
	f.Add("a", "-1", "v1,= v1a, v1,AAAA", []byte("\x00"))
	f.Fuzz(func(t *testing.T, id, timestamp, sig string, body []byte) {
		h := http.Header{}
		h.Set(signature.HeaderID, id)
		h.Set(signature.HeaderTimestamp, timestamp)
		h.Set(signature.HeaderSignature, sig)
		if signature.Verify(keys(t, secretA), h, body, time.Unix(1614265330, 0)) == nil && !strings.Contains(sig, "v1,") {
			t.Fatal("verified without a v1 signature")
		}
	})
}

func FuzzParseSecrets(f *testing.F) {
	f.Add(secretA)
	f.Add(secretA + " " + secretB)
	f.Add("whsec_")
	f.Fuzz(func(t *testing.T, s string) {
		ks, err := signature.ParseSecrets(s)
		if (err == nil) != (len(ks) > 0) {
			t.Fatalf("%d keys and error %v", len(ks), err)
		}
	})
}
