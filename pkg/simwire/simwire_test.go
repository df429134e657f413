package simwire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pairgate.dev/pkg/simwire"
)

func mustEncode(tb testing.TB, f simwire.Frame) []byte {
	tb.Helper()
	line, err := simwire.Encode(f)
	if err != nil {
		tb.Fatalf("Encode(%v): %v", f, err)
	}
	return line
}

func TestFramesSurviveTheWire(t *testing.T) {
	frames := []simwire.Frame{
		{Type: simwire.TypeHello, Version: simwire.Version, Client: "1.0.0"},
		{Type: simwire.TypePing},
		{Type: simwire.TypeOpenPair, Session: 7, Instance: "i", Method: "code", Phone: "79001234567", DeviceName: "Tür \"1\"\n"},
		{Type: simwire.TypeCode, Session: 7, Text: strings.Repeat("x", simwire.MaxText), LifeMillis: 20000},
		{Type: simwire.TypeClosed, Reason: "throttled"},
	}
	var wire bytes.Buffer
	for _, f := range frames {
		wire.Write(mustEncode(t, f))
	}
	r := simwire.NewReader(&wire)
	for _, want := range frames {
		got, err := r.Next()
		if err != nil || got != want {
			t.Fatalf("read %v, %v; want %v", got, err, want)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Fatalf("after the last frame: %v, want io.EOF", err)
	}
}

func TestBadFramesAreRefused(t *testing.T) {
	long := strings.Repeat("x", simwire.MaxName+1)
	for name, tc := range map[string]struct {
		line string
		want error
	}{
		"not JSON":             {`hello`, simwire.ErrMalformed},
		"two objects":          {`{"t":"ping"}{"t":"ping"}`, simwire.ErrMalformed},
		"a wrong type":         {`{"t":"code","s":"7"}`, simwire.ErrMalformed},
		"null":                 {`null`, simwire.ErrUnknownType},
		"an unknown type":      {`{"t":"dance","s":1}`, simwire.ErrUnknownType},
		"no session":           {`{"t":"scanned"}`, simwire.ErrIncomplete},
		"no text":              {`{"t":"code","s":1,"lifeMs":5}`, simwire.ErrIncomplete},
		"a device without key": {`{"t":"stored","s":1,"device":"d"}`, simwire.ErrIncomplete},
		"a long name":          {`{"t":"password","s":1,"password":"` + long + `"}`, simwire.ErrTooLong},
		"a negative life":      {`{"t":"passkey-required","s":1,"passkey":"{}","lifeMs":-5}`, simwire.ErrIncomplete},
		"an endless life":      {`{"t":"code","s":1,"text":"x","lifeMs":9000000000000000000}`, simwire.ErrMalformed},
		"a long line":          {`{"t":"ping","x":"` + strings.Repeat("x", simwire.MaxLine) + `"}`, simwire.ErrTooLong},
	} {
		if f, err := simwire.Decode([]byte(tc.line)); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, %v; want %v", name, f, err, tc.want)
		}
	}
}

// Decision: whatever a log line does with a frame or an error, it shows no secret.
func TestNothingSecretIsPrinted(t *testing.T) {
	const secret = "hunter2hunter2"
	f := simwire.Frame{Type: simwire.TypePassword, Session: 3, Password: secret, Key: secret, Text: secret, Phone: secret}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(verb, f); strings.Contains(s, secret) {
			t.Errorf("%s shows the secret: %s", verb, s)
		}
	}
	if _, err := simwire.Decode([]byte(`{"t":"password","s":"` + secret + `"}`)); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("the error shows the secret: %v", err)
	}
}

func TestReaderStopsAtALineTooLong(t *testing.T) {
	r := simwire.NewReader(strings.NewReader(strings.Repeat("x", 2*simwire.MaxLine)))
	if _, err := r.Next(); !errors.Is(err, simwire.ErrTooLong) {
		t.Fatalf("got %v, want ErrTooLong", err)
	}
}

func TestOutboxKeepsOrderAndHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := simwire.NewOutbox(100)
		var written strings.Builder
		var mu sync.Mutex
		got := func() string {
			mu.Lock()
			defer mu.Unlock()
			return written.String()
		}
		done := make(chan error, 1)
		go func() {
			done <- out.Run(func(b []byte) error {
				mu.Lock()
				defer mu.Unlock()
				written.Write(b)
				return nil
			})
		}()
		push := func(s string, hold time.Duration) {
			t.Helper()
			if err := out.Push([]byte(s), time.Now().Add(hold)); err != nil {
				t.Fatal(err)
			}
		}
		push("a", time.Second)
		push("b", 0)
		synctest.Wait()
		if got() != "" {
			t.Fatalf("written before its time: %q", got())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got() != "ab" {
			t.Fatalf("written %q, want a then b", got())
		}
		push("c", time.Hour)
		out.Close()
		if err := <-done; err != nil || got() != "abc" {
			t.Fatalf("Run returned %v having written %q; Close is to flush", err, got())
		}
		if err := out.Push([]byte("d"), time.Time{}); !errors.Is(err, simwire.ErrOutboxClosed) {
			t.Fatalf("Push after Close: %v", err)
		}
	})
}

func TestOutboxIsBounded(t *testing.T) {
	out := simwire.NewOutbox(10)
	if err := out.Push(make([]byte, 10), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := out.Push(make([]byte, 1), time.Time{}); !errors.Is(err, simwire.ErrOutboxFull) {
		t.Fatalf("got %v, want ErrOutboxFull", err)
	}
	broken := errors.New("broken pipe")
	if err := out.Run(func([]byte) error { return broken }); !errors.Is(err, broken) {
		t.Fatalf("Run returned %v, want the error of the write", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, frame := range []simwire.Frame{
		{Type: simwire.TypeHello, Version: 1, Client: "1.0.0"},
		{Type: simwire.TypeKeys, Session: 1, Device: "d", Key: "k", Account: &simwire.Account{ID: "a", Phone: "1"}},
		{Type: simwire.TypePasskeyRequired, Session: 2, Passkey: `{"challenge":"x"}`, LifeMillis: 1},
		{Type: simwire.TypeClosed, Session: 3, Reason: "banned", UntilMillis: 1},
	} {
		f.Add(mustEncode(f, frame))
	}
	f.Add([]byte(`{"t":"code","s":1,"text":"\u0000","lifeMs":1}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		frame, err := simwire.Decode(line)
		if err != nil {
			return
		}
		again, err := simwire.Encode(frame)
		if errors.Is(err, simwire.ErrTooLong) {
			return
		}
		if err != nil {
			t.Fatalf("what Decode accepts, Encode refuses: %v", err)
		}
		if bytes.IndexByte(again, '\n') != len(again)-1 {
			t.Fatal("a frame is not one line")
		}
		back, err := simwire.Decode(again)
		if err != nil || back.Type != frame.Type || back.Session != frame.Session || back.Text != frame.Text {
			t.Fatalf("does not survive: %v, %v", back, err)
		}
	})
}
