package sender_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pairgate.dev/services/webhook-dispatcher/internal/sender"
	"pairgate.dev/services/webhook-dispatcher/signature"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func key(tb testing.TB) []signature.Key {
	tb.Helper()
	ks, err := signature.ParseSecrets(secret)
	if err != nil {
		tb.Fatal(err)
	}
	return ks
}

func newSender(tb testing.TB, o sender.Options) *sender.Sender {
	tb.Helper()
	if o.Allow == nil {
		o.Allow = loopback
	}
	s := sender.New(o)
	tb.Cleanup(s.Close)
	return s
}

func receiver(tb testing.TB, h http.HandlerFunc) *httptest.Server {
	tb.Helper()
	// A server notices that its client has gone only once the body is read.
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		h(w, r)
	}))
	tb.Cleanup(s.Close)
	return s
}

func send(tb testing.TB, s *sender.Sender, url string, timeout time.Duration) sender.Result {
	tb.Helper()
	return s.Send(tb.Context(), sender.Request{URL: url, ID: "delivery-1", Keys: key(tb), Body: []byte(`{"a":1}`), Timeout: timeout})
}

func TestDeliveryCarriesAVerifiableSignatureAndItsHeaders(t *testing.T) {
	got := make(chan *http.Request, 1)
	verified := make(chan error, 1)
	r := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		verified <- signature.Verify(key(t), r.Header, body, time.Now())
		got <- r
		fmt.Fprint(w, "thanks")
	})
	s := newSender(t, sender.Options{})
	res := s.Send(t.Context(), sender.Request{
		URL: r.URL + "/hook?x=1", ID: "delivery-1", Keys: key(t), Body: []byte("{}"), TraceParent: "00-ab-cd-01",
		Header: map[string]string{"X-Api-Key": "k", "User-Agent": "mine", "webhook-id": "forged"},
	})
	if !res.OK() || res.StatusCode != 200 || res.Response != "thanks" || res.At.IsZero() || res.Duration <= 0 {
		t.Fatalf("%+v", res)
	}
	if err := <-verified; err != nil {
		t.Fatal(err)
	}
	h := (<-got).Header
	for name, want := range map[string]string{"X-Api-Key": "k", "Webhook-Id": "delivery-1", "Traceparent": "00-ab-cd-01",
		"Content-Type": "application/json", "Accept-Encoding": ""} {
		if h.Get(name) != want {
			t.Errorf("%s = %q, want %q", name, h.Get(name), want)
		}
	}
	if !strings.HasPrefix(h.Get("User-Agent"), "Pairgate/") {
		t.Errorf("User-Agent %q", h.Get("User-Agent"))
	}
}

func TestStatusIsTheVerdict(t *testing.T) {
	r := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		var code int
		fmt.Sscan(r.URL.Path[1:], &code)
		w.Header().Set("Location", "/200")
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(code)
	})
	s := newSender(t, sender.Options{})
	for code, want := range map[int]sender.Error{
		200: "", 201: "", 204: "", 299: "", 301: sender.ErrorRedirect, 302: sender.ErrorRedirect, 307: sender.ErrorRedirect, 308: sender.ErrorRedirect,
		400: sender.ErrorStatus, 404: sender.ErrorStatus, 410: sender.ErrorStatus, 429: sender.ErrorStatus, 500: sender.ErrorStatus, 503: sender.ErrorStatus,
	} {
		res := send(t, s, fmt.Sprintf("%s/%d", r.URL, code), 0)
		if res.Error != want || res.StatusCode != code || res.RetryAfter != 7*time.Second {
			t.Errorf("%d: %+v", code, res)
		}
	}
}

func TestEndlessAnswerIsCutOff(t *testing.T) {
	var wrote atomic.Int64
	done := make(chan struct{})
	r := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		chunk := []byte(strings.Repeat("x", 1024))
		for r.Context().Err() == nil {
			n, err := w.Write(chunk)
			wrote.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	res := send(t, newSender(t, sender.Options{}), r.URL, 0)
	if !res.OK() || len(res.Response) != 4096 {
		t.Fatalf("%+v with %d bytes", res.Error, len(res.Response))
	}
	<-done
}

func TestGzipBombStaysCompressed(t *testing.T) {
	r := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.CopyN(z, zeros{}, 64<<20)
		z.Close()
	})
	res := send(t, newSender(t, sender.Options{}), r.URL, 0)
	if !res.OK() || len(res.Response) > 4096 || strings.Contains(res.Response, "\x00") {
		t.Fatalf("%+v", res)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestDrippedAnswerEndsSoonAfterItsVerdict(t *testing.T) {
	r := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		for r.Context().Err() == nil {
			if _, err := w.Write([]byte("x")); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	res := send(t, newSender(t, sender.Options{}), r.URL, time.Minute)
	if !res.OK() || res.Response == "" {
		t.Fatalf("%+v", res)
	}
}

func TestSlowHeadersTimeOut(t *testing.T) {
	r := receiver(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	res := send(t, newSender(t, sender.Options{}), r.URL, 50*time.Millisecond)
	if res.Error != sender.ErrorTimeout || res.StatusCode != 0 {
		t.Fatalf("%+v", res)
	}
}

func TestOurOwnStopIsNotTheReceiversFault(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := receiver(t, func(w http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	res := newSender(t, sender.Options{}).Send(ctx, sender.Request{URL: r.URL, ID: "x", Keys: key(t)})
	if res.Error != sender.ErrorInterrupted {
		t.Fatalf("%+v", res)
	}
}

func TestHugeHeadersAreRefused(t *testing.T) {
	r := receiver(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X", strings.Repeat("x", 64<<10)) })
	if res := send(t, newSender(t, sender.Options{}), r.URL, 0); res.Error != sender.ErrorReset {
		t.Fatalf("%+v", res)
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	l.Close()
	if res := send(t, newSender(t, sender.Options{}), url, 0); res.Error != sender.ErrorRefused {
		t.Fatalf("%+v", res)
	}
}

func TestUnknownNameIsADNSFailure(t *testing.T) {
	if res := send(t, newSender(t, sender.Options{}), "https://name.invalid/", 0); res.Error != sender.ErrorDNS && res.Error != sender.ErrorTimeout {
		t.Fatalf("%+v", res)
	}
}

func TestBlockedAddressesAreNeverDialled(t *testing.T) {
	var hits atomic.Int32
	r := receiver(t, func(http.ResponseWriter, *http.Request) { hits.Add(1) })
	s := newSender(t, sender.Options{Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	for _, url := range []string{r.URL, strings.Replace(r.URL, "127.0.0.1", "localhost", 1), "ftp://127.0.0.1/", "http://u:p@127.0.0.1/",
		"http://[fe80::1%25lo]/", "http://169.254.169.254/latest", "https://[::ffff:127.0.0.1]/", "://"} {
		if res := send(t, s, url, 0); res.Error != sender.ErrorBlocked {
			t.Errorf("%s: %+v", url, res)
		}
	}
	if hits.Load() != 0 {
		t.Fatal("the receiver was reached")
	}
}

func TestResetAndNonsense(t *testing.T) {
	for name, answer := range map[string]string{"Reset": "", "NotHTTP": "SSH-2.0-OpenSSH\r\n", "HalfAHeader": "HTTP/1.1 200 OK\r\nX: "} {
		t.Run(name, func(t *testing.T) {
			url := rawServer(t, func(c net.Conn, _ int) { io.WriteString(c, answer) })
			if res := send(t, newSender(t, sender.Options{}), url, 0); res.Error != sender.ErrorReset {
				t.Fatalf("%+v", res)
			}
		})
	}
}

func TestStaleIdleConnectionIsReplacedAtOnce(t *testing.T) {
	// The first connection answers once and is then closed on the second request.
	url := rawServer(t, func(c net.Conn, n int) {
		readRequest(c)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		if n == 0 {
			readRequest(c)
		}
	})
	s := newSender(t, sender.Options{})
	for i := range 2 {
		if res := send(t, s, url, 0); !res.OK() {
			t.Fatalf("request %d: %+v", i, res)
		}
	}
}

func readRequest(c net.Conn) {
	buf := make([]byte, 64<<10)
	var got string
	for !strings.Contains(got, `{"a":1}`) {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		got += string(buf[:n])
	}
}

func rawServer(t *testing.T, serve func(c net.Conn, n int)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c, n)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "http://" + l.Addr().String()
}

func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())

	old := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	old.Config.ErrorLog = log.New(io.Discard, "", 0)
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.StartTLS()
	t.Cleanup(old.Close)
	plain := receiver(t, func(http.ResponseWriter, *http.Request) {})

	cases := []struct {
		name, url string
		roots     *x509.CertPool
		want      sender.Error
	}{
		{"Trusted", server.URL, roots, ""},
		{"UnknownAuthority", server.URL, nil, sender.ErrorTLS},
		{"WrongName", strings.Replace(server.URL, "127.0.0.1", "localhost", 1), roots, sender.ErrorTLS},
		{"OldVersion", old.URL, roots, sender.ErrorTLS},
		{"PlainTextBehindHTTPS", strings.Replace(plain.URL, "http:", "https:", 1), roots, sender.ErrorTLS},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if res := send(t, newSender(t, sender.Options{RootCAs: c.roots}), c.url, 0); res.Error != c.want {
				t.Fatalf("%+v", res)
			}
		})
	}
}

func TestEnvironmentProxyIsIgnored(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	r := receiver(t, func(http.ResponseWriter, *http.Request) {})
	if res := send(t, newSender(t, sender.Options{}), r.URL, 0); !res.OK() {
		t.Fatalf("%+v", res)
	}
}
