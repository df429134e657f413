package simulated_test

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/simwire"
	"pairgate.dev/services/session-worker/driver"
	"pairgate.dev/services/session-worker/driver/drivertest"
	"pairgate.dev/services/session-worker/driver/simulated"
)

// server answers each connection with talk until the test ends.
func server(t *testing.T, talk func(nc net.Conn, lines *bufio.Scanner)) (endpoint string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			talk(nc, bufio.NewScanner(nc))
			_ = nc.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func welcome(nc net.Conn) {
	line, _ := simwire.Encode(simwire.Frame{Type: simwire.TypeWelcome, Version: simwire.Version})
	_, _ = nc.Write(line)
}

func TestNonsenseClosesTheConnection(t *testing.T) {
	for name, tc := range map[string]struct {
		answer string
		want   instance.Reason
	}{
		"at the greeting":  {"HTTP/1.1 400 Bad Request\r\n", instance.ReasonUnreachable},
		"another version":  {`{"t":"welcome","version":99}` + "\n", instance.ReasonUnreachable},
		"a refusal":        {`{"t":"closed","reason":"client_outdated"}` + "\n", instance.ReasonClientOutdated},
		"a strange reason": {`{"t":"closed","reason":"qwertz"}` + "\n", instance.ReasonInternal},
		"later":            {`{"t":"welcome","version":1}` + "\nnonsense\n", instance.ReasonConnectionClosed},
		"no line":          {`{"t":"welcome","version":1}` + "\n" + strings.Repeat("x", simwire.MaxLine+1), instance.ReasonConnectionClosed},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := server(t, func(nc net.Conn, lines *bufio.Scanner) {
				lines.Scan()
				_, _ = nc.Write([]byte(tc.answer))
				for lines.Scan() {
				}
			})
			d := newDriver(t, simulated.Options{Endpoint: endpoint})
			e := newEvents(t)
			defer d.Pair(t.Context(), pairParams(drivertest.NewID()), e.sink).Close()
			closedWith(e, tc.want)
		})
	}
}

// Decision: what a session was not asked for, and sessions that nobody has, are passed over.
func TestStrayFramesAreDropped(t *testing.T) {
	endpoint := server(t, func(nc net.Conn, lines *bufio.Scanner) {
		lines.Scan()
		welcome(nc)
		lines.Scan()
		for _, line := range []string{
			`{"t":"code","s":99,"text":"x","lifeMs":1000}`,
			`{"t":"pong"}`, `{"t":"ping"}`,
			`{"t":"open-pair","s":1,"instance":"i","method":"qr"}`,
			`{"t":"code","s":1,"text":"mine","lifeMs":1000}`,
		} {
			_, _ = nc.Write([]byte(line + "\n"))
		}
		for lines.Scan() {
		}
	})
	d := newDriver(t, simulated.Options{Endpoint: endpoint})
	e := newEvents(t)
	s := d.Pair(t.Context(), pairParams(drivertest.NewID()), e.sink)
	defer s.Close()
	if text := await[instance.CodeIssued](e).Text; text != "mine" {
		t.Fatalf("got the code %q", text)
	}
}

// Decision: a messenger that does not read never blocks a caller.
func TestMessengerThatDoesNotRead(t *testing.T) {
	stop := make(chan struct{})
	endpoint := server(t, func(nc net.Conn, lines *bufio.Scanner) {
		lines.Scan()
		welcome(nc)
		lines.Scan()
		line, _ := simwire.Encode(simwire.Frame{Type: simwire.TypeOnline, Session: 1, Account: &simwire.Account{ID: "a", Phone: "1"}})
		_, _ = nc.Write(line)
		<-stop
	})
	d := newDriver(t, simulated.Options{Endpoint: endpoint, Keepalive: time.Hour})
	d.SetOutboxLimit(64 << 10)
	e := newEvents(t)
	s := d.Pair(t.Context(), pairParams(drivertest.NewID()), e.sink)
	defer s.Close()
	defer close(stop)
	await[instance.Connected](e)
	setter := s.(driver.PresenceSetter)
	for setter.SetPresence(t.Context(), true) == nil {
	}
	closedWith(e, instance.ReasonConnectionClosed)
}
