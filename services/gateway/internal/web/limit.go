package web

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"pairgate.dev/pkg/instance"
)

// maxLimited bounds the callers that are told apart.
const maxLimited = 50_000

// Limiter gives each caller a bucket of tokens: so many requests per second, twice
// that in a burst. It counts in this process alone.
type Limiter struct {
	perSecond int

	mu      sync.Mutex
	callers map[string]*rate.Limiter
}

// NewLimiter makes a limiter; 0 requests per second stands for no limit.
func NewLimiter(perSecond int) *Limiter {
	return &Limiter{perSecond: perSecond, callers: map[string]*rate.Limiter{}}
}

// Allow takes one request from the caller's bucket and tells the rest in the
// headers RateLimit-Limit, -Remaining, -Reset and -Policy: the size of a burst, what
// is left of it, and in how many seconds it is whole again, as from now and as from
// nothing. The error is a problem with CodeTooManyRequests.
func (l *Limiter) Allow(w http.ResponseWriter, caller string) error {
	if l.perSecond <= 0 {
		return nil
	}
	bucket, now := l.bucket(caller), time.Now()
	allowed := bucket.AllowN(now, 1)
	left, burst := bucket.TokensAt(now), l.burst()
	h := w.Header()
	h.Set("RateLimit-Limit", strconv.Itoa(burst))
	h.Set("RateLimit-Remaining", strconv.Itoa(max(0, int(left))))
	h.Set("RateLimit-Reset", strconv.Itoa(int(math.Ceil((float64(burst)-left)/float64(l.perSecond)))))
	h.Set("RateLimit-Policy", strconv.Itoa(burst)+";w="+strconv.Itoa(burst/l.perSecond))
	if allowed {
		return nil
	}
	// A token comes back within a second at any rate of at least one.
	return &instance.Problem{Code: instance.CodeTooManyRequests, RetryAfter: 1,
		Detail: "More than " + strconv.Itoa(l.perSecond) + " requests per second with this token; slow down."}
}

func (l *Limiter) burst() int { return 2 * l.perSecond }

func (l *Limiter) bucket(caller string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.callers[caller]; b != nil {
		return b
	}
	if len(l.callers) >= maxLimited {
		l.forget()
	}
	b := rate.NewLimiter(rate.Limit(l.perSecond), l.burst())
	l.callers[caller] = b
	return b
}

// forget drops buckets that are full, because a new one would be the same; and
// all, should none be.
func (l *Limiter) forget() {
	for caller, b := range l.callers {
		if b.Tokens() >= float64(l.burst()) {
			delete(l.callers, caller)
		}
	}
	if len(l.callers) >= maxLimited {
		clear(l.callers)
	}
}
