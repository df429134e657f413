package noise_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/socket"
	"go.mau.fi/whatsmeow/util/keys"
	"google.golang.org/protobuf/proto"

	"pairgate.dev/services/lab/internal/whatsapp/noise"
)

// client plays a client's handshake with the code of whatsmeow's socket package.
type client struct {
	conn   io.ReadWriter
	static *keys.KeyPair
}

func frame(body []byte) []byte {
	return append([]byte{byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

func readFrame(r io.Reader) ([]byte, error) {
	var head [3]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	body := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err := io.ReadFull(r, body)
	return body, err
}

func (c client) handshake(before, payload []byte) (static []byte, err error) {
	nh := socket.NewNoiseHandshake()
	nh.Start(socket.NoiseStartPattern, socket.WAConnHeader)
	ephemeral := keys.NewKeyPair()
	nh.Authenticate(ephemeral.Pub[:])
	hello, _ := proto.Marshal(&waWa6.HandshakeMessage{ClientHello: &waWa6.HandshakeMessage_ClientHello{Ephemeral: ephemeral.Pub[:]}})
	if _, err := c.conn.Write(slices.Concat(before, socket.WAConnHeader, frame(hello))); err != nil {
		return nil, err
	}
	body, err := readFrame(c.conn)
	if err != nil {
		return nil, err
	}
	var answer waWa6.HandshakeMessage
	if err := proto.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	server := [32]byte(answer.GetServerHello().GetEphemeral())
	nh.Authenticate(server[:])
	if err := nh.MixSharedSecretIntoKey(*ephemeral.Priv, server); err != nil {
		return nil, err
	}
	if static, err = nh.Decrypt(answer.GetServerHello().GetStatic()); err != nil {
		return nil, err
	}
	if err := nh.MixSharedSecretIntoKey(*ephemeral.Priv, [32]byte(static)); err != nil {
		return nil, err
	}
	if _, err := nh.Decrypt(answer.GetServerHello().GetPayload()); err != nil {
		return nil, err
	}
	sealed := nh.Encrypt(c.static.Pub[:])
	if err := nh.MixSharedSecretIntoKey(*c.static.Priv, server); err != nil {
		return nil, err
	}
	finish, _ := proto.Marshal(&waWa6.HandshakeMessage{ClientFinish: &waWa6.HandshakeMessage_ClientFinish{Static: sealed, Payload: nh.Encrypt(payload)}})
	_, err = c.conn.Write(frame(finish))
	return static, err
}

func chain(t testing.TB) *noise.Chain {
	t.Helper()
	c, err := noise.NewRoot([32]byte{1}).Chain(time.Unix(0, 0), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestHandshakeSaysWhoTheClientIs(t *testing.T) {
	for name, before := range map[string][]byte{
		"plain":                    nil,
		"with routing information": append([]byte{'E', 'D', 0, 1}, frame([]byte("edge"))...),
	} {
		t.Run(name, func(t *testing.T) {
			near, far := net.Pipe()
			defer near.Close()
			defer far.Close()
			static := keys.NewKeyPair()
			client := client{near, static}
			done := make(chan error, 1)
			go func() {
				_, err := client.handshake(before, []byte("payload"))
				done <- err
			}()
			// One byte at a time: WebSocket messages may be cut anywhere.
			conn, err := noise.Accept(iotest.OneByteReader(far), far, chain(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if conn.ClientStatic() != *static.Pub || string(conn.Payload()) != "payload" {
				t.Errorf("static %x, payload %q", conn.ClientStatic(), conn.Payload())
			}
			if got := string(conn.Routing()); (before == nil) != (got == "") {
				t.Errorf("routing %q", got)
			}
		})
	}
}

func TestAcceptRefuses(t *testing.T) {
	hello, _ := proto.Marshal(&waWa6.HandshakeMessage{ClientHello: &waWa6.HandshakeMessage_ClientHello{Ephemeral: make([]byte, 32)}})
	short, _ := proto.Marshal(&waWa6.HandshakeMessage{ClientHello: &waWa6.HandshakeMessage_ClientHello{Ephemeral: make([]byte, 31)}})
	for name, tc := range map[string]struct {
		in   string
		want error
	}{
		"nothing":               {"", io.EOF},
		"half an intro":         {"WA", io.ErrUnexpectedEOF},
		"something else":        {"GET / HTTP/1.1\r\n", noise.ErrIntro},
		"another magic":         {"WA\x05\x03", noise.ErrIntro},
		"another dictionary":    {"WA\x06\x02", noise.ErrDictionary},
		"only an edge":          {"ED\x00\x01\x00\x00\x01a", io.ErrUnexpectedEOF},
		"no hello":              {"WA\x06\x03", io.ErrUnexpectedEOF},
		"half a hello":          {"WA\x06\x03\x00\x00\x05abc", io.ErrUnexpectedEOF},
		"a huge hello":          {"WA\x06\x03\xff\xff\xff", noise.ErrTooLong},
		"not a message":         {"WA\x06\x03\x00\x00\x01\xff", noise.ErrHandshake},
		"no ephemeral key":      {"WA\x06\x03\x00\x00\x00", noise.ErrHandshake},
		"a short ephemeral key": {"WA\x06\x03" + string(frame(short)), noise.ErrHandshake},
		"a key of low order":    {"WA\x06\x03" + string(frame(hello)), noise.ErrHandshake},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := noise.Accept(bytes.NewBufferString(tc.in), io.Discard, chain(t)); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestRootsOfOneSeedAreOne(t *testing.T) {
	one, again, other := noise.NewRoot([32]byte{1}), noise.NewRoot([32]byte{1}), noise.NewRoot([32]byte{2})
	if one.Public() != again.Public() || one.Public() == other.Public() {
		t.Error("the seed does not decide the root")
	}
}

// FuzzAccept feeds a server bytes of strangers: it must not panic, nor accept.
func FuzzAccept(f *testing.F) {
	var hello bytes.Buffer
	_, _ = client{struct {
		io.Reader
		io.Writer
	}{iotest.ErrReader(io.EOF), &hello}, keys.NewKeyPair()}.handshake(nil, nil)
	f.Add(hello.Bytes())
	f.Add(append(hello.Bytes(), frame([]byte{0x22, 0})...))
	f.Add([]byte("ED\x00\x01\x00\x00\x01aWA\x06\x03\x00\x00\x00"))
	one := chain(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		if _, err := noise.Accept(bytes.NewReader(in), io.Discard, one); err == nil {
			t.Error("accepted a client that never saw our key")
		}
	})
}
