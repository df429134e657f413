package console

import (
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"pairgate.dev/pkg/seal"
)

func newTestSessions(tb testing.TB, key string) *sessions {
	tb.Helper()
	s, err := newSessions(seal.Secret(key))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestSessionsEndInTimeBySigningOutAndByAnotherKey(t *testing.T) {
	s, now := newTestSessions(t, "an-admin-key-for-tests-0001"), time.Now()
	one, two := s.begin(now), s.begin(now)
	if got, ok := s.decode(s.encode(one), now); !ok || got.nonce != one.nonce || !got.expires.Equal(one.expires) {
		t.Error("a new session is none")
	}
	if _, ok := newTestSessions(t, "an-admin-key-for-tests-0001").decode(s.encode(one), now); !ok {
		t.Error("another gateway with the same key does not know it")
	}
	if _, ok := newTestSessions(t, "an-admin-key-for-tests-0002").decode(s.encode(one), now); ok {
		t.Error("another key does not end it")
	}
	if _, ok := s.decode(s.encode(one), now.Add(sessionLife-time.Minute)); !ok {
		t.Error("it ends too early")
	}
	if _, ok := s.decode(s.encode(one), now.Add(sessionLife)); ok {
		t.Error("it does not end")
	}
	longer := one
	longer.expires = one.expires.Add(time.Hour)
	forged := append(longer.bytes(), s.sign("cookie", one.bytes())...)
	if _, ok := s.decode(string(forged), now); ok {
		t.Error("a life can be made longer")
	}
	s.end(one, now)
	if _, ok := s.decode(s.encode(one), now); ok {
		t.Error("signing out does not end it")
	}
	if _, ok := s.decode(s.encode(two), now); !ok {
		t.Error("signing out ends another's")
	}
	if !s.checkFormToken(two, s.formToken(two)) || s.checkFormToken(two, s.formToken(one)) || s.checkFormToken(two, "") {
		t.Error("form tokens are not those of their session")
	}
}

func TestEndedSessionsStayBounded(t *testing.T) {
	s, now := newTestSessions(t, "an-admin-key-for-tests-0001"), time.Now()
	for range maxEnded + 100 {
		s.end(s.begin(now), now)
	}
	if len(s.ended) > maxEnded {
		t.Errorf("%d are remembered", len(s.ended))
	}
	later := now.Add(sessionLife + time.Second)
	s.end(s.begin(later), later)
	if len(s.ended) != 1 {
		t.Errorf("%d are remembered after all but one would be over", len(s.ended))
	}
}

func TestLoginLimitIsOfEachAddressAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoginLimit()
		attempts := func(from string) (allowed int) {
			for range 100 {
				if l.allow(from, time.Now()) {
					allowed++
				}
			}
			return allowed
		}
		if got := attempts("a"); got != loginBurst {
			t.Errorf("%d attempts at once", got)
		}
		if got := attempts("b"); got != loginBurst {
			t.Errorf("%d attempts of another", got)
		}
		time.Sleep(loginEvery) // of the bubble's clock
		if got := attempts("a"); got != 1 {
			t.Errorf("%d attempts after a while", got)
		}
		for i := range 2 * maxLogins {
			l.allow(strconv.Itoa(i), time.Now())
		}
		if len(l.from) > maxLogins {
			t.Errorf("%d addresses are told apart", len(l.from))
		}
	})
}

func TestIPv6NetworksCountAsOneAddress(t *testing.T) {
	r := httptest.NewRequest("POST", "/console/login", nil)
	for remote, wanted := range map[string]string{"192.0.2.7:1234": "192.0.2.7", "[2001:db8:1:2:3::4]:1234": "2001:db8:1:2::/64",
		"[::ffff:192.0.2.7]:1": "::ffff:192.0.2.7", "pipe": "pipe"} {
		r.RemoteAddr = remote
		if got := origin(r); got != wanted {
			t.Errorf("%s counts as %s, want %s", remote, got, wanted)
		}
	}
}

func FuzzCookie(f *testing.F) {
	s := newTestSessions(f, "an-admin-key-for-tests-0001")
	now := time.Unix(1_900_000_000, 0)
	good := s.encode(session{expires: now.Add(time.Hour)}) // the same in every process that fuzzes
	for _, seed := range []string{"", good, good[1:], good + "A", "AAAA", "====", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		one, ok := s.decode(value, now)
		if ok && s.encode(one) != value {
			t.Errorf("%q is a second way to write a session", value)
		}
		if ok && value != good {
			t.Errorf("%q was not signed here", value)
		}
	})
}

func FuzzBareURL(f *testing.F) {
	for _, seed := range []string{"https://user:sesame@example.com/in?key=sesame#sesame", "http://[::1]:80/", "%zz", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if once := bare(text); len(once) > 3*len(text)+30 {
			t.Errorf("%q grows to %q", text, once)
		}
	})
}
