package clientversion

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"go.mau.fi/whatsmeow"
)

// Limits of a question to WhatsApp Web. Its page has less than a mebibyte.
const (
	webTimeout  = 20 * time.Second
	webMaxBytes = 8 << 20
)

// WebPage asks WhatsApp Web for the version of its page.
type WebPage struct{ client *http.Client }

// NewWebPage returns a WebPage. With an endpoint, host:port, the request goes
// there in plain text, as the emulated WhatsApp takes it; without, to WhatsApp,
// through the proxy that the environment names, if it does.
func NewWebPage(endpoint string) *WebPage {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, DisableKeepAlives: true,
		TLSHandshakeTimeout: webTimeout / 2, MaxResponseHeaderBytes: 64 << 10}
	if endpoint != "" {
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", endpoint)
		}
		transport.Proxy, transport.ForceAttemptHTTP2 = nil, false
		transport.DialContext, transport.DialTLSContext = dial, dial
	}
	return &WebPage{client: &http.Client{Transport: bounded{transport}, CheckRedirect: stayThere}}
}

// Latest returns the version that WhatsApp Web is at. It takes no longer than 20
// seconds and reads no more than 8 MiB. Its error repeats nothing of the answer.
func (w *WebPage) Latest(ctx context.Context) (Version, error) {
	ctx, cancel := context.WithTimeout(ctx, webTimeout)
	defer cancel()
	latest, err := whatsmeow.GetLatestVersion(ctx, w.client)
	if err != nil {
		return "", fmt.Errorf("WhatsApp Web: %w", err)
	}
	v, err := parse(latest.String())
	if err != nil || v == "" {
		return "", errors.New("WhatsApp Web: the page names no version of the known form")
	}
	return v, nil
}

// stayThere lets WhatsApp Web lead to another page of its own, but not away.
func stayThere(r *http.Request, via []*http.Request) error {
	if len(via) > 3 || r.URL.Scheme != "https" || !strings.HasSuffix("."+r.URL.Hostname(), ".whatsapp.com") {
		return errors.New("it leads elsewhere")
	}
	return nil
}

// bounded turns what is no page into an error and cuts what is too long for one,
// because the library reads to the end and quotes what it has read.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	leads := answer.StatusCode > 300 && answer.StatusCode < 400 && answer.Header.Get("Location") != ""
	if answer.StatusCode != http.StatusOK && !leads {
		answer.Body.Close()
		return nil, fmt.Errorf("status %d", answer.StatusCode)
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(answer.Body, webMaxBytes), answer.Body}
	return answer, nil
}
