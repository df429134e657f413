package console

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"pairgate.dev/pkg/seal"
)

const (
	cookieName = "pairgate_console"
	// sessionLife is how long a cookie is good for.
	sessionLife = 12 * time.Hour
	nonceSize   = 16
	// maxEnded bounds the sessions that are remembered as signed out.
	maxEnded = 10_000
	// sweepInterval is the least time between two looks for those that are over.
	sweepInterval = time.Minute
)

// session is one signed-in browser: when it ends, and what tells it from others.
type session struct {
	expires time.Time
	nonce   [nonceSize]byte
}

// sessions makes and checks cookies. They are signed with a key that comes from the
// admin key, so that every gateway accepts them, none has to keep them, and
// another admin key ends them all. Signing out is remembered by this process
// alone; the browser forgets the cookie in any case.
type sessions struct {
	key []byte

	mu    sync.Mutex
	ended map[[nonceSize]byte]time.Time // until when they would have lasted
	swept time.Time
}

func newSessions(adminKey seal.Secret) (*sessions, error) {
	key, err := hkdf.Key(sha256.New, []byte(adminKey.Reveal()), nil, "pairgate console sessions v1", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("console: session key: %w", err)
	}
	return &sessions{key: key, ended: map[[nonceSize]byte]time.Time{}}, nil
}

// begin makes a new session.
func (s *sessions) begin(now time.Time) session {
	fresh := session{expires: now.Add(sessionLife).Truncate(time.Second)}
	rand.Read(fresh.nonce[:])
	return fresh
}

// end makes the session useless in this process.
func (s *sessions) end(one session, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ended) >= maxEnded && now.Sub(s.swept) >= sweepInterval {
		s.swept = now
		for nonce, until := range s.ended {
			if now.After(until) {
				delete(s.ended, nonce)
			}
		}
	}
	if len(s.ended) < maxEnded {
		s.ended[one.nonce] = one.expires
	}
}

// alive says whether the session may still be used.
func (s *sessions) alive(one session, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ended := s.ended[one.nonce]
	return !ended && now.Before(one.expires)
}

// encode is the value of the session's cookie.
func (s *sessions) encode(one session) string {
	body := one.bytes()
	return base64.RawURLEncoding.EncodeToString(append(body, s.sign("cookie", body)...))
}

// decode reads a cookie's value. ok is false for one that was not signed here, or
// is over.
func (s *sessions) decode(value string, now time.Time) (one session, ok bool) {
	const size = 8 + nonceSize + sha256.Size
	if len(value) != base64.RawURLEncoding.EncodedLen(size) {
		return session{}, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil || len(raw) != size {
		return session{}, false
	}
	body, signature := raw[:8+nonceSize], raw[8+nonceSize:]
	if !hmac.Equal(signature, s.sign("cookie", body)) {
		return session{}, false
	}
	one.expires = time.Unix(int64(binary.BigEndian.Uint64(body)), 0)
	copy(one.nonce[:], body[8:])
	return one, s.alive(one, now)
}

// formToken is what a form of this session must bring back.
func (s *sessions) formToken(one session) string {
	return base64.RawURLEncoding.EncodeToString(s.sign("form", one.bytes()))
}

func (s *sessions) checkFormToken(one session, token string) bool {
	return seal.Equal(token, s.formToken(one))
}

func (one session) bytes() []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(one.expires.Unix())), one.nonce[:]...)
}

func (s *sessions) sign(what string, body []byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(what + "|"))
	mac.Write(body)
	return mac.Sum(nil)
}

// of returns the session of a request.
func (s *sessions) of(r *http.Request, now time.Time) (session, bool) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return session{}, false
	}
	return s.decode(cookie.Value, now)
}

// cookie is what a browser keeps of a session. Strict: no request that another
// site causes carries it.
func cookie(r *http.Request, value string, maxAge int) *http.Cookie {
	return &http.Cookie{Name: cookieName, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true,
		SameSite: http.SameSiteStrictMode, Secure: overTLS(r)}
}

// overTLS says whether the browser speaks TLS, to us or to a proxy before us. Who
// forges the header makes only his own cookie useless.
func overTLS(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}
