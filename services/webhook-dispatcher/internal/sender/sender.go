// Package sender makes one attempt to deliver one webhook over HTTP.
//
// What it guarantees: no redirect is followed; no proxy of the environment is
// used; no private, local or reserved address is dialled unless its network was
// allowed; plain http goes to allowed networks only; the whole exchange,
// connecting and the answer's body included, ends within the request's
// time-out; at most 16 KiB of an answer are read, uncompressed as they came,
// and at most 4 KiB kept. It keeps no cookies.
package sender

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"pairgate.dev/services/webhook-dispatcher/internal/retry"
	"pairgate.dev/services/webhook-dispatcher/signature"
)

// Limits of one exchange.
const (
	DefaultTimeout    = 15 * time.Second
	dialTimeout       = 5 * time.Second
	tlsTimeout        = 5 * time.Second
	idleTimeout       = 60 * time.Second
	maxIdle           = 512
	maxIdlePerHost    = 4
	maxHeaderBytes    = 16 << 10
	maxRead           = 16 << 10
	maxKept           = 4 << 10
	bodyAfterVerdict  = 2 * time.Second
	defaultUserAgent  = "Pairgate/1.0"
	defaultPerHost    = 128
	defaultMediaType  = "application/json"
	headerTraceParent = "traceparent"
)

// Options of New; the zero value is what production wants apart from Allow.
type Options struct {
	// Allow are networks that may be reached although they are private.
	Allow []netip.Prefix
	// UserAgent; "Pairgate/1.0" when empty.
	UserAgent string
	// MaxConnsPerHost; 128 when 0. Several endpoints may live on one host, so it is well above what one endpoint uses.
	MaxConnsPerHost int
	// RootCAs that receivers' certificates are checked with; nil for the system's.
	RootCAs *x509.CertPool
}

// Sender sends webhooks; it is safe for concurrent use.
type Sender struct {
	client    *http.Client
	secure    *http.Transport
	plain     *http.Transport
	userAgent string
}

// New makes a sender. Close it when done.
func New(o Options) *Sender {
	guard := NewGuard(o.Allow)
	perHost := o.MaxConnsPerHost
	if perHost == 0 {
		perHost = defaultPerHost
	}
	s := &Sender{
		secure:    transport(guard, perHost, o.RootCAs),
		plain:     transport(guard.AllowedOnly(), perHost, o.RootCAs),
		userAgent: o.UserAgent,
	}
	if s.userAgent == "" {
		s.userAgent = defaultUserAgent
	}
	s.client = &http.Client{
		Transport:     byScheme{s},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s
}

func transport(guard *Guard, perHost int, roots *x509.CertPool) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, ControlContext: guard.Control}
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    tlsTimeout,
		DisableCompression:     true,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		MaxConnsPerHost:        perHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		ForceAttemptHTTP2:      true,
	}
}

// byScheme gives plain http a transport whose guard is stricter, and with it a pool of its own.
type byScheme struct{ s *Sender }

func (b byScheme) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		return b.s.secure.RoundTrip(r)
	}
	return b.s.plain.RoundTrip(r)
}

// Close drops idle connections.
func (s *Sender) Close() {
	s.secure.CloseIdleConnections()
	s.plain.CloseIdleConnections()
}

// Request is one webhook to be sent.
type Request struct {
	URL string
	// ID is the delivery's: the same at every attempt.
	ID string
	// Keys that it is signed with, newest first; none for a webhook without a signature.
	Keys []signature.Key
	// ContentType; application/json when empty.
	ContentType string
	// Header holds the endpoint's own headers; the reserved ones win over them.
	Header map[string]string
	// UserAgent; that of the sender when empty.
	UserAgent string
	// TraceParent of the event; may be empty.
	TraceParent string
	Body        []byte
	// Timeout of the whole exchange; DefaultTimeout when 0.
	Timeout time.Duration
}

// SetHeader sets a header of the request in place of any that differs in case only.
func (r *Request) SetHeader(name, value string) {
	for given := range r.Header {
		if strings.EqualFold(given, name) {
			delete(r.Header, given)
		}
	}
	if r.Header == nil {
		r.Header = map[string]string{}
	}
	r.Header[name] = value
}

// Result is what came of one attempt.
type Result struct {
	At       time.Time
	Duration time.Duration
	// StatusCode is 0 when there was no answer.
	StatusCode int
	// Error is the class of the failure, empty for a status of 200 to 299.
	Error Error
	// RetryAfter is what the receiver asked for; 0 when it did not.
	RetryAfter time.Duration
	// Response is the beginning of the answer, at most 4 KiB of valid UTF-8.
	Response string
	// Reused tells that the connection was an idle one.
	Reused bool
}

// OK says whether the receiver took the webhook.
func (r Result) OK() bool { return r.Error == ErrorNone }

// Send makes one attempt. A request that dies on an idle connection before any
// byte of an answer is sent once more at once: the receiver had closed that
// connection before. Once the status has come it is the verdict, and the body
// may take two seconds more, so that a receiver that drips its answer gains
// neither time nor a second copy.
func (s *Sender) Send(ctx context.Context, r Request) Result {
	at := time.Now()
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	attempt, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	res := s.exchange(attempt, cancel, r, at)
	if res.Reused && res.Error == ErrorReset && res.StatusCode == 0 && attempt.Err() == nil {
		res = s.exchange(attempt, cancel, r, at)
	}
	if !res.OK() && res.StatusCode == 0 && ctx.Err() != nil {
		res.Error = ErrorInterrupted
	}
	res.At = at
	res.Duration = time.Since(at)
	return res
}

func (s *Sender) exchange(ctx context.Context, cancel context.CancelFunc, r Request, at time.Time) (res Result) {
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { res.Reused = i.Reused }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodPost, r.URL, bytes.NewReader(r.Body))
	if err != nil || req.URL.Scheme != "https" && req.URL.Scheme != "http" || req.URL.User != nil {
		res.Error = ErrorBlocked
		return res
	}
	s.setHeaders(req, r, at)
	resp, err := s.client.Do(req)
	if err != nil {
		res.Error = classify(err)
		return res
	}
	res.StatusCode = resp.StatusCode
	res.Error = verdict(resp.StatusCode)
	res.RetryAfter = retry.After(resp.Header.Get("Retry-After"), time.Now())
	stop := time.AfterFunc(bodyAfterVerdict, cancel)
	defer stop.Stop()
	res.Response = readAnswer(resp.Body)
	return res
}

func (s *Sender) setHeaders(req *http.Request, r Request, at time.Time) {
	for name, value := range r.Header {
		req.Header.Set(name, value)
	}
	mediaType := r.ContentType
	if mediaType == "" {
		mediaType = defaultMediaType
	}
	req.Header.Set("Content-Type", mediaType)
	req.Header.Set("User-Agent", s.userAgent)
	if r.UserAgent != "" {
		req.Header.Set("User-Agent", r.UserAgent)
	}
	req.Header.Set(signature.HeaderID, r.ID)
	req.Header.Set(signature.HeaderTimestamp, strconv.FormatInt(at.Unix(), 10))
	if len(r.Keys) > 0 {
		req.Header.Set(signature.HeaderSignature, signature.Sign(r.Keys, r.ID, at, r.Body))
	}
	if r.TraceParent != "" {
		req.Header.Set(headerTraceParent, r.TraceParent)
	}
}

// readAnswer reads enough of a short answer for its connection to be used
// again; a longer one costs its connection.
func readAnswer(body io.ReadCloser) string {
	defer body.Close() //nolint:errcheck // nothing is owed to a receiver that has given its verdict
	kept, _ := io.ReadAll(io.LimitReader(body, maxKept))
	_, _ = io.Copy(io.Discard, io.LimitReader(body, maxRead-maxKept))
	text := strings.ReplaceAll(strings.ToValidUTF8(string(kept), "\uFFFD"), "\x00", "\uFFFD")
	for len(text) > maxKept {
		text = strings.ToValidUTF8(text[:maxKept], "")
	}
	return text
}
