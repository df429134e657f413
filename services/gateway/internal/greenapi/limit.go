package greenapi

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// minBurst is how many requests may come at once where the rate is low: clients
	// that ask once a second do not do so to the millisecond.
	minBurst = 3
	// maxBuckets bounds what is remembered.
	maxBuckets = 200_000
)

// limits count requests by instance and method, in this process alone.
type limits struct {
	off bool

	mu      sync.Mutex
	buckets map[bucketKey]*rate.Limiter
}

type bucketKey struct {
	instance string
	method   *method
}

func newLimits(off bool) *limits { return &limits{off: off, buckets: map[bucketKey]*rate.Limiter{}} }

// allow takes a request from the bucket of the instance and method, and tells what
// is left in the product's headers. The error is a refusal.
func (l *limits) allow(w http.ResponseWriter, instance string, m *method, max bool) error {
	perSecond := m.whatsapp
	if max {
		perSecond = m.max
	}
	now := time.Now()
	bucket := l.bucket(bucketKey{instance, m}, perSecond)
	allowed := l.off || bucket.AllowN(now, 1)
	w.Header().Set("X-RateLimit-Remaining", strconv.Itoa(max0(int(bucket.TokensAt(now)))))
	w.Header().Set("X-RateLimit-Replenish-Rate", strconv.FormatFloat(perSecond, 'f', -1, 64))
	if !allowed {
		return errTooMany
	}
	return nil
}

func max0(n int) int { return max(n, 0) }

func (l *limits) bucket(key bucketKey, perSecond float64) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.buckets[key]; b != nil {
		return b
	}
	if len(l.buckets) >= maxBuckets {
		l.forget()
	}
	b := rate.NewLimiter(rate.Limit(perSecond), max(minBurst, int(perSecond)))
	l.buckets[key] = b
	return b
}

// forget drops buckets that are full, because a new one would be the same; and
// all, should none be.
func (l *limits) forget() {
	for key, b := range l.buckets {
		if b.Tokens() >= float64(b.Burst()) {
			delete(l.buckets, key)
		}
	}
	if len(l.buckets) >= maxBuckets {
		clear(l.buckets)
	}
}
