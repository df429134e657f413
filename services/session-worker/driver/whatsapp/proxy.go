package whatsapp

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/net/proxy"

	"pairgate.dev/services/session-worker/driver"
)

// errProxy says that the way ended at the proxy; errProxyLogin that it wants another user or password.
var (
	errProxy      = errors.New("the proxy did not open a connection")
	errProxyLogin = errors.New("the proxy refused the user or the password")
)

// dialFunc opens a connection to host:port.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// dialTimeout bounds one TCP connection, that to a proxy included.
const dialTimeout = 15 * time.Second

// route returns the only way that the connections of a session take: through the
// proxy when there is one, else to the endpoint when one is set, else straight to
// the address. The environment has no say, and nothing falls back to another way.
func route(p *driver.Proxy, endpoint string) (dialFunc, error) {
	direct := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	if p == nil {
		if endpoint == "" {
			return direct.DialContext, nil
		}
		direct.ControlContext = loopbackOnly
		return func(ctx context.Context, network, _ string) (net.Conn, error) {
			return direct.DialContext(ctx, network, endpoint)
		}, nil
	}
	address := net.JoinHostPort(p.Host, strconv.Itoa(int(p.Port)))
	switch p.Protocol {
	case "http":
		return connector{address: address, proxy: *p, dial: direct.DialContext}.open, nil
	case "https":
		secure := &tls.Dialer{NetDialer: direct, Config: &tls.Config{ServerName: p.Host, MinVersion: tls.VersionTLS12}}
		return connector{address: address, proxy: *p, dial: secure.DialContext}.open, nil
	case "socks5":
		return socks(address, p, direct)
	}
	return nil, fmt.Errorf("%w: its protocol is not one of http, https and socks5", errProxy)
}

func socks(address string, p *driver.Proxy, direct *net.Dialer) (dialFunc, error) {
	var login *proxy.Auth
	if p.Username != "" {
		login = &proxy.Auth{User: p.Username, Password: p.Password}
	}
	d, err := proxy.SOCKS5("tcp", address, login, direct)
	if err != nil {
		return nil, errProxy
	}
	through, ok := d.(proxy.ContextDialer)
	if !ok {
		return nil, errProxy
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		conn, err := through.DialContext(ctx, network, address)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errProxy, err)
		}
		return conn, nil
	}, nil
}

// connector opens connections with the CONNECT method of HTTP.
type connector struct {
	address string
	proxy   driver.Proxy
	dial    dialFunc
}

func (c connector) open(ctx context.Context, network, address string) (_ net.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := c.dial(ctx, network, c.address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProxy, err)
	}
	// What is said to the proxy ends with ctx too.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() && err == nil {
			err = fmt.Errorf("%w: %w", errProxy, context.Cause(ctx))
		}
		if err != nil {
			_ = conn.Close()
		}
	}()
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if c.proxy.Username != "" {
		login := base64.StdEncoding.EncodeToString([]byte(c.proxy.Username + ":" + c.proxy.Password))
		request.Header.Set("Proxy-Authorization", "Basic "+login)
	}
	if err := request.Write(conn); err != nil {
		return nil, fmt.Errorf("%w: %w", errProxy, err)
	}
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProxy, err)
	}
	switch {
	case answer.StatusCode == http.StatusProxyAuthRequired:
		return nil, errProxyLogin
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%w: it answered %d", errProxy, answer.StatusCode)
	}
	if in.Buffered() > 0 {
		return &bufferedConn{Conn: conn, in: in}, nil
	}
	return conn, nil
}

// bufferedConn is a connection of which the first bytes were read already.
type bufferedConn struct {
	net.Conn
	in *bufio.Reader
}

// Read reads what was buffered first.
func (c *bufferedConn) Read(p []byte) (int, error) { return c.in.Read(p) }
