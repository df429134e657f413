package noise_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"go.mau.fi/whatsmeow/util/keys"
	"google.golang.org/protobuf/proto"

	"pairgate.dev/services/lab/internal/whatsapp/noise"
)

// root is what whatsmeow, whose trusted root is a global, trusts in this binary.
var root = noise.NewRoot([32]byte{7})

func TestMain(m *testing.M) {
	whatsmeow.WACertPubKey = root.Public()
	m.Run()
}

// serve answers WebSockets with use, one connection at a time, and returns a client
// that comes there.
func serve(t *testing.T, use func(*websocket.Conn)) *whatsmeow.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			t.Error(err)
			return
		}
		use(ws)
	}))
	t.Cleanup(server.Close)
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}
	device := &store.Device{NoiseKey: keys.NewKeyPair(), IdentityKey: keys.NewKeyPair(), AdvSecretKey: make([]byte, 32)}
	device.SignedPreKey = device.IdentityKey.CreateSignedPreKey(1)
	device.SetAllStores(&store.NoopStore{})
	client := whatsmeow.NewClient(device, nil)
	client.EnableAutoReconnect = false
	client.SetPreLoginHTTPClient(&http.Client{Transport: &http.Transport{DialTLSContext: dial, DialContext: dial}})
	t.Cleanup(client.Disconnect)
	return client
}

func TestWhatsmeowShakesHandsAndExchangesStanzas(t *testing.T) {
	conns := make(chan *noise.Conn, 1)
	answers := make(chan []byte, 1)
	client := serve(t, func(ws *websocket.Conn) {
		stream := websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
		defer stream.Close()
		one, err := root.Chain(time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
		if err != nil {
			t.Error(err)
			return
		}
		conn, err := noise.Accept(stream, stream, one)
		if err != nil {
			t.Error(err)
			return
		}
		conns <- conn
		// The smallest dialogue of WhatsApp: two codes to scan, and that they came.
		stanza, err := waBinary.Marshal(waBinary.Node{Tag: "iq", Attrs: waBinary.Attrs{
			"from": types.ServerJID, "type": "set", "id": "1", "xmlns": "md"},
			Content: []waBinary.Node{{Tag: "pair-device", Content: []waBinary.Node{
				{Tag: "ref", Content: []byte("2@first")}, {Tag: "ref", Content: []byte("2@second")}}}}})
		if err != nil {
			t.Error(err)
		}
		if err := conn.WriteFrame(stanza); err != nil {
			t.Error(err)
		}
		for {
			answer, err := conn.ReadFrame()
			if err != nil {
				return
			}
			answers <- answer
		}
	})
	codes := make(chan []string, 1)
	client.AddEventHandler(func(event any) {
		if qr, ok := event.(*events.QR); ok {
			codes <- qr.Codes
		}
	})
	if err := client.ConnectContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn := <-conns
	if conn.ClientStatic() != *client.Store.NoiseKey.Pub {
		t.Error("another key than the device's")
	}
	var payload waWa6.ClientPayload
	if err := proto.Unmarshal(conn.Payload(), &payload); err != nil {
		t.Fatal(err)
	}
	if got := payload.GetDevicePairingData().GetEIdent(); !bytes.Equal(got, client.Store.IdentityKey.Pub[:]) {
		t.Errorf("identity %x", got)
	}
	if got := <-codes; len(got) != 2 || !strings.Contains(got[1], "#2@second,") {
		t.Errorf("codes %q", got)
	}
	answer, err := waBinary.Unpack(<-answers)
	if err != nil {
		t.Fatal(err)
	}
	node, err := waBinary.Unmarshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	if node.Tag != "iq" || node.Attrs["type"] != "result" || node.Attrs["id"] != "1" {
		t.Errorf("answer %v", node)
	}
}

func TestWhatsmeowRefusesWrongChains(t *testing.T) {
	now := time.Now()
	for name, tc := range map[string]struct {
		root     *noise.Root
		from, to time.Time
		want     string
	}{
		"another root":  {noise.NewRoot([32]byte{8}), now.Add(-time.Hour), now.Add(time.Hour), "failed to verify intermediate cert signature"},
		"expired":       {root, now.Add(-2 * time.Hour), now.Add(-time.Hour), "certificate expired"},
		"not valid yet": {root, now.Add(time.Hour), now.Add(2 * time.Hour), "certificate not valid yet"},
	} {
		t.Run(name, func(t *testing.T) {
			served := make(chan error, 1)
			client := serve(t, func(ws *websocket.Conn) {
				stream := websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
				defer stream.Close()
				one, err := tc.root.Chain(tc.from, tc.to)
				if err == nil {
					_, err = noise.Accept(stream, stream, one)
				}
				served <- err
			})
			if err := client.ConnectContext(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("the client says %v, want %q", err, tc.want)
			}
			client.Disconnect()
			if err := <-served; err == nil || errors.Is(err, io.EOF) {
				t.Errorf("the server says %v", err)
			}
		})
	}
}
