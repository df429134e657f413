package console

import (
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
)

const (
	// Of each address five attempts at once, then one every twelve seconds.
	loginBurst = 5
	loginEvery = 12 * time.Second
	// maxLogins bounds the addresses that are told apart.
	maxLogins = 10_000
)

// loginLimit slows down who guesses the key. It counts in this process alone.
type loginLimit struct {
	mu     sync.Mutex
	from   map[string]*rate.Limiter
	others *rate.Limiter // of addresses for which there is no room
	swept  time.Time
}

func newLoginLimit() *loginLimit {
	return &loginLimit{from: map[string]*rate.Limiter{}, others: rate.NewLimiter(rate.Every(loginEvery), loginBurst)}
}

// allow takes one attempt of the address.
func (l *loginLimit) allow(from string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket := l.from[from]
	// Looking through all is dear, so new addresses cannot cause it at will.
	if bucket == nil && len(l.from) >= maxLogins && now.Sub(l.swept) >= loginEvery {
		l.swept = now
		for key, b := range l.from {
			if b.TokensAt(now) >= loginBurst {
				delete(l.from, key)
			}
		}
	}
	switch {
	case bucket != nil:
	case len(l.from) >= maxLogins:
		bucket = l.others
	default:
		bucket = rate.NewLimiter(rate.Every(loginEvery), loginBurst)
		l.from[from] = bucket
	}
	return bucket.AllowN(now, 1)
}

// origin is where a request came from, as far as attempts are counted: an IPv6
// network of 64 bits belongs to one customer.
func origin(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Unmap().Is4() {
		return host
	}
	network, err := addr.Prefix(64)
	if err != nil {
		return host
	}
	return network.String()
}

// pages are where a sign-in may lead to.
var pages = regexp.MustCompile(`^/console/(new|instances/[0-9a-f-]{36})$`)

// after is the page to show after signing in.
func after(next string) string {
	if pages.MatchString(next) {
		return next
	}
	return "/"
}

type loginPage struct {
	frame
	Next string
	Bad  string
}

// root is the list of instances for who is signed in, and the way in for any other browser.
func (c *Console) root(w http.ResponseWriter, r *http.Request) error {
	if !wantsHTML(r) {
		if c.Other != nil {
			return c.Other(w, r)
		}
		return instance.Problemf(instance.CodeNotFound, "There is no such route.")
	}
	return c.open(func(w http.ResponseWriter, r *http.Request) error {
		one, ok := c.sessions.of(r, time.Now())
		if !ok {
			return c.loginForm(w, http.StatusOK, after(r.URL.Query().Get("next")), "")
		}
		return c.list(w, r, one)
	})(w, r)
}

func (c *Console) loginForm(w http.ResponseWriter, status int, next, bad string) error {
	return render(w, status, "login", loginPage{frame: frame{Title: "Sign in"}, Next: next, Bad: bad})
}

// login trades the admin key for a cookie.
func (c *Console) login(w http.ResponseWriter, r *http.Request) error {
	if err := sameOrigin(r); err != nil {
		return err
	}
	if err := parseForm(w, r); err != nil {
		return err
	}
	next, now := after(r.PostForm.Get("next")), time.Now()
	if !c.logins.allow(origin(r), now) {
		w.Header().Set("Retry-After", "12")
		return c.loginForm(w, http.StatusTooManyRequests, next, "Too many attempts from your address. Wait a moment, then try again.")
	}
	if !seal.Equal(r.PostForm.Get("key"), c.AdminKey.Reveal()) {
		return c.loginForm(w, http.StatusUnauthorized, next, "This is not the admin key.")
	}
	http.SetCookie(w, cookie(r, c.sessions.encode(c.sessions.begin(now)), int(sessionLife.Seconds())))
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

func (c *Console) signOut(w http.ResponseWriter, r *http.Request, one session) error {
	c.sessions.end(one, time.Now())
	http.SetCookie(w, cookie(r, "", -1))
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}
