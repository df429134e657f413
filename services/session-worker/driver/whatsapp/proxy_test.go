package whatsapp_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/session-worker/driver"
	"pairgate.dev/services/session-worker/driver/whatsapp"
)

const (
	proxyUser     = "ada"
	proxyPassword = "pass:word" //nolint:gosec // of a proxy that lives for a test
)

// front is a TCP server that hands connections to another one.
type front struct {
	net.Listener
	to string
	// accept says what to do with a connection before it is handed on; false drops it.
	accept func(net.Conn) (io.Reader, bool)
	count  atomic.Int64
	asked  sync.Map
	wg     sync.WaitGroup
}

func startFront(tb testing.TB, to string, accept func(*front, net.Conn) (io.Reader, bool)) *front {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(tb, err)
	f := &front{Listener: l, to: to}
	f.accept = func(c net.Conn) (io.Reader, bool) { return accept(f, c) }
	f.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.count.Add(1)
			f.wg.Go(func() { f.serve(c) })
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		f.wg.Wait()
	})
	return f
}

func (f *front) serve(c net.Conn) {
	defer c.Close()
	in, ok := f.accept(c)
	if !ok {
		return
	}
	out, err := net.Dial("tcp", f.to)
	if err != nil {
		return
	}
	defer out.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(out, in)
		_ = out.Close()
	})
	_, _ = io.Copy(c, out)
	_ = c.Close()
	wg.Wait()
}

// port is where the front listens.
func (f *front) proxy(tb testing.TB, protocol, user, password string) *driver.Proxy {
	tb.Helper()
	host, port, err := net.SplitHostPort(f.Addr().String())
	must(tb, err)
	n, err := strconv.ParseUint(port, 10, 16)
	must(tb, err)
	return &driver.Proxy{Protocol: protocol, Host: host, Port: uint16(n), Username: user, Password: password}
}

// plainly hands on what comes.
func plainly(_ *front, c net.Conn) (io.Reader, bool) { return c, true }

// byCONNECT speaks the method CONNECT of HTTP.
func byCONNECT(f *front, c net.Conn) (io.Reader, bool) {
	in := bufio.NewReader(c)
	r, err := http.ReadRequest(in)
	if err != nil || r.Method != http.MethodConnect {
		return nil, false
	}
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(proxyUser+":"+proxyPassword))
	if r.Header.Get("Proxy-Authorization") != want {
		_, _ = io.WriteString(c, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
		return nil, false
	}
	f.asked.Store(r.Host, true)
	_, err = io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
	return in, err == nil
}

// bySOCKS speaks SOCKS5 (RFC 1928, and RFC 1929 for user and password).
func bySOCKS(f *front, c net.Conn) (io.Reader, bool) {
	in := bufio.NewReader(c)
	field := func() []byte {
		n, _ := in.ReadByte()
		b := make([]byte, n)
		_, _ = io.ReadFull(in, b)
		return b
	}
	_, _ = in.Discard(1)
	field()
	_, _ = c.Write([]byte{5, 2})
	_, _ = in.Discard(1)
	user, password := field(), field()
	if string(user) != proxyUser || string(password) != proxyPassword {
		_, _ = c.Write([]byte{1, 1})
		return nil, false
	}
	_, _ = c.Write([]byte{1, 0})
	head := make([]byte, 4)
	if _, err := io.ReadFull(in, head); err != nil || head[3] != 3 {
		return nil, false
	}
	host, port := field(), make([]byte, 2)
	if _, err := io.ReadFull(in, port); err != nil {
		return nil, false
	}
	f.asked.Store(net.JoinHostPort(string(host), strconv.Itoa(int(binary.BigEndian.Uint16(port)))), true)
	_, err := c.Write([]byte{5, 0, 0, 1, 127, 0, 0, 1, 0, 0})
	return in, err == nil
}

// Sessions with a proxy reach WhatsApp by it alone, asking it for the real host,
// and a proxy that fails is not gone round.
func TestProxyIsTheOnlyWay(t *testing.T) {
	l := startLab(t)
	m := newMessenger(t, l)
	direct := startFront(t, l.Addrs().WhatsApp, plainly)
	d := newDriver(t, l, t.TempDir()+"/keys", func(o *whatsapp.Options) { o.Endpoint = direct.Addr().String() })
	t.Cleanup(func() {
		must(t, d.Close())
		noneLeft(t)
	})
	// What the environment says is for others.
	t.Setenv("HTTPS_PROXY", "http://"+deadAddr(t))

	for protocol, accept := range map[string]func(*front, net.Conn) (io.Reader, bool){"http": byCONNECT, "socks5": bySOCKS} {
		p := startFront(t, l.Addrs().WhatsApp, accept)
		common := driver.Common{Proxy: p.proxy(t, protocol, proxyUser, proxyPassword)}
		s := linkWith(t, m, d, driver.PairParams{Common: common}, newPhone(t, m, labapi.NewAccount{}))
		s.Close()
		if _, ok := p.asked.Load("web.whatsapp.com:443"); !ok {
			t.Errorf("%s: the proxy was not asked for the real host", protocol)
		}
		common.Instance = s.id
		common.Proxy = p.proxy(t, protocol, proxyUser, "wrong")
		closes(t, login(d, common), instance.ReasonUnreachable)
		common.Proxy.Password = proxyPassword
		again := login(d, common)
		await[instance.Connected](t, again)
		again.Close()
		must(t, p.Close())
		closes(t, login(d, common), instance.ReasonUnreachable)
		if n := direct.count.Load(); n != 0 {
			t.Fatalf("%s: %d connections went round the proxy", protocol, n)
		}
	}

	plain := startFront(t, l.Addrs().WhatsApp, byCONNECT)
	untrusted := plain.proxy(t, "https", proxyUser, proxyPassword)
	closes(t, pair(d, driver.PairParams{Common: driver.Common{Proxy: untrusted}}), instance.ReasonUnreachable)
	closes(t, pair(d, driver.PairParams{Common: driver.Common{Proxy: plain.proxy(t, "ftp", "", "")}}), instance.ReasonUnreachable)
	if n := direct.count.Load(); n != 0 {
		t.Fatalf("%d connections went round the proxy", n)
	}
	s := linkWith(t, m, d, driver.PairParams{}, newPhone(t, m, labapi.NewAccount{}))
	s.Close()
}

// A proxy that says nothing does not hold up the end of a session.
func TestSilentProxyIsLeftAtOnce(t *testing.T) {
	l, _, d := setup(t)
	for _, protocol := range []string{"http", "https", "socks5"} {
		silent := startFront(t, l.Addrs().WhatsApp, func(_ *front, c net.Conn) (io.Reader, bool) {
			_, _ = io.Copy(io.Discard, c)
			return nil, false
		})
		s := pair(d, driver.PairParams{Common: driver.Common{Proxy: silent.proxy(t, protocol, proxyUser, proxyPassword)}})
		eventually(t, "the proxy to be dialled", func() error {
			if silent.count.Load() == 0 {
				return context.DeadlineExceeded
			}
			return nil
		})
		s.Close()
	}
}

// A server that takes the connection and never answers does not hold it up either.
func TestSilentServerIsLeftAtOnce(t *testing.T) {
	_, m, d := setup(t)
	for _, faults := range []labapi.Faults{{Silence: true}, {SilentRequests: true}} {
		must(t, m.SetFaults(t.Context(), faults))
		sessions := make([]*recorded, 10)
		for i := range sessions {
			sessions[i] = pair(d, driver.PairParams{})
		}
		for _, s := range sessions {
			s.Close()
		}
	}
	must(t, m.ClearFaults(t.Context()))
}
