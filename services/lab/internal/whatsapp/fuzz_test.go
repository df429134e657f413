package whatsapp

import (
	"bytes"
	"compress/zlib"
	"net"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"pairgate.dev/services/lab/internal/accounts"
	"pairgate.dev/services/lab/internal/faults"
)

func encode(tb testing.TB, n binary.Node) []byte {
	tb.Helper()
	raw, err := binary.Marshal(n)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

// stanzas are some that clients send.
func stanzas(tb testing.TB) [][]byte {
	tb.Helper()
	iq := func(namespace, kind string, children ...binary.Node) []byte {
		return encode(tb, node("iq", binary.Attrs{"to": types.ServerJID, "id": "1", "xmlns": namespace, "type": kind}, children...))
	}
	hello := node("link_code_companion_reg", binary.Attrs{"jid": types.NewJID("79001234567", types.DefaultUserServer), "stage": "companion_hello"},
		leaf("link_code_pairing_wrapped_companion_ephemeral_pub", make([]byte, 80)), leaf("companion_platform_id", []byte("1")),
		leaf("companion_platform_display", []byte("Chrome (Linux)")), leaf("companion_server_auth_key_pub", make([]byte, 32)))
	return [][]byte{
		iq("w:p", "get"),
		iq("md", "set", hello),
		iq("md", "get", node("ref", nil)),
		iq("md", "set", leaf("companion_nonce", make([]byte, 32))),
		iq("md", "set", node("remove-companion-device", binary.Attrs{"jid": types.ServerJID})),
		iq("encrypt", "get", node("count", nil)),
		iq("encrypt", "get", node("digest", nil)),
		iq("encrypt", "set", leaf("registration", make([]byte, 4)), leaf("identity", make([]byte, 32)), node("list", nil, node("key", nil, leaf("id", []byte{0, 0, 1})))),
		iq("", "result"),
		encode(tb, node("presence", binary.Attrs{"type": "available"})),
	}
}

func FuzzStanza(f *testing.F) {
	for _, s := range stanzas(f) {
		f.Add(s)
		var packed bytes.Buffer
		packed.WriteByte(compressed)
		z := zlib.NewWriter(&packed)
		_, _ = z.Write(s[1:])
		_ = z.Close()
		f.Add(packed.Bytes())
	}
	f.Add([]byte{0})
	f.Add([]byte{0, 248})
	s := newTestServer(f)
	f.Fuzz(func(t *testing.T, frame []byte) {
		n, err := decode(frame)
		if err != nil {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range []*conn{s.unlinked(t), s.linked(t)} {
			c.handle(n)
			s.end(c)
		}
	})
}

func FuzzPayload(f *testing.F) {
	d := &store.Device{NoiseKey: keys.NewKeyPair(), IdentityKey: keys.NewKeyPair()}
	d.SignedPreKey = d.IdentityKey.CreateSignedPreKey(1)
	registration, err := proto.Marshal(d.GetClientPayload())
	if err != nil {
		f.Fatal(err)
	}
	d.ID = &types.JID{User: "79001234567", Device: 3, Server: types.DefaultUserServer}
	login, err := proto.Marshal(d.GetClientPayload())
	if err != nil {
		f.Fatal(err)
	}
	if p, err := parsePayload(registration); err != nil || p.registration == nil {
		f.Fatalf("the library's registration: %v", err)
	}
	if p, err := parsePayload(login); err != nil || p.user != "79001234567" || p.device != 3 {
		f.Fatalf("the library's login: %v, %v", p, err)
	}
	f.Add(registration)
	f.Add(login)
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := parsePayload(raw)
		if err == nil && (p.registration == nil) != (p.device != 0) {
			t.Fatalf("accepted %+v", p)
		}
	})
}

// newTestServer is a server that nobody can connect to, with one linked device.
func newTestServer(tb testing.TB) *testServer {
	tb.Helper()
	book, err := accounts.Open(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s, err := Start(listener, book, &faults.Switch{}, zap.NewNop())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
		_ = book.Close()
	})
	if err := book.Add(accounts.Account{Provider: "whatsapp", Phone: "79001234567"}); err != nil {
		tb.Fatal(err)
	}
	return &testServer{s}
}

type testServer struct{ *Server }

func (s *testServer) conn(tb testing.TB) *conn {
	tb.Helper()
	one, other := net.Pipe()
	tb.Cleanup(func() { _ = one.Close(); _ = other.Close() })
	c := &conn{server: s.Server, nc: one, out: newOutbox(), gone: make(chan struct{}), answers: map[string]func(reply){}}
	s.conns[c] = struct{}{}
	return c
}

// unlinked is a connection that shows codes. The caller holds the mutex.
func (s *testServer) unlinked(tb testing.TB) *conn {
	tb.Helper()
	d := &store.Device{NoiseKey: keys.NewKeyPair(), IdentityKey: keys.NewKeyPair()}
	d.SignedPreKey = d.IdentityKey.CreateSignedPreKey(1)
	raw, err := proto.Marshal(d.GetClientPayload())
	if err != nil {
		tb.Fatal(err)
	}
	p, err := parsePayload(raw)
	if err != nil {
		tb.Fatal(err)
	}
	c := s.conn(tb)
	s.startPairing(c, p.registration)
	return c
}

// linked is a connection of a device. The caller holds the mutex.
func (s *testServer) linked(tb testing.TB) *conn {
	tb.Helper()
	d := accounts.Device{ID: "device", Phone: "79001234567", LinkedAt: time.Unix(1, 0),
		WhatsApp: &accounts.WhatsApp{Number: 1, Identity: make([]byte, keySize)}}
	s.book.Link(d)
	c := s.conn(tb)
	s.goOnline(c, d)
	return c
}
