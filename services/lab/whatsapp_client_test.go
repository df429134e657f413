package lab_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"go.mau.fi/whatsmeow/util/keys"

	"pairgate.dev/services/lab"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/lab/labclient"
)

const waPhone = "79001234567"

// The library's times are globals, too.
func init() {
	whatsmeow.KeepAliveIntervalMin, whatsmeow.KeepAliveIntervalMax = 200*time.Millisecond, 400*time.Millisecond
	whatsmeow.KeepAliveResponseDeadline = 300 * time.Millisecond
}

// memory is a store of one device: prekeys, and nothing else that outlives a call.
type memory struct {
	store.NoopStore

	mu       sync.Mutex
	preKeys  []*keys.PreKey
	uploaded uint32
	// paired has what the library learnt when it was linked; its ID is nil before.
	paired store.Device
	// pruned has a token for each login whose privacy tokens were looked through.
	pruned chan struct{}
}

func (m *memory) PutDevice(_ context.Context, d *store.Device) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.paired = *d
	return nil
}

// load completes a device by what was stored of it.
func (m *memory) load(d *store.Device) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.paired.ID != nil {
		id := *m.paired.ID
		d.ID, d.LID, d.Account, d.AdvSecretKey = &id, m.paired.LID, m.paired.Account, m.paired.AdvSecretKey
	}
}

func (m *memory) GetOrGenPreKeys(_ context.Context, count uint32) ([]*keys.PreKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for uint32(len(m.preKeys)) < m.uploaded+count {
		m.preKeys = append(m.preKeys, keys.NewPreKey(uint32(len(m.preKeys)+1)))
	}
	return m.preKeys[m.uploaded : m.uploaded+count], nil
}

func (m *memory) GenOnePreKey(context.Context) (*keys.PreKey, error) {
	return nil, errors.New("not asked for here")
}

func (m *memory) GetPreKey(context.Context, uint32) (*keys.PreKey, error) { return nil, nil }

func (m *memory) RemovePreKey(context.Context, uint32) error { return nil }

func (m *memory) MarkPreKeysAsUploaded(_ context.Context, upTo uint32) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.uploaded = max(m.uploaded, upTo)
	return nil
}

// DeleteExpiredPrivacyTokens is called once in the life of a client, after its login.
func (m *memory) DeleteExpiredPrivacyTokens(context.Context, time.Time) (int64, error) {
	m.pruned <- struct{}{}
	return 0, nil
}

// UploadedPreKeyCount is called after DeleteExpiredPrivacyTokens and before Connected. It
// waits for that: the library looks its store up in a goroutine for which nothing else
// waits, a data race with a logout, which puts another store in its place.
func (m *memory) UploadedPreKeyCount(ctx context.Context) (int, error) {
	select {
	case <-m.pruned:
	case <-ctx.Done():
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return int(m.uploaded), nil
}

// waDevice is a device of the real client library. Each of its connections has a
// client of its own, and is ended by its context: the library's Disconnect is a data
// race with a server that closes at the same moment (seen in its socket package).
type waDevice struct {
	tb    testing.TB
	addrs lab.Addrs
	// device has the keys. Every client has a copy of its own, as if read from a
	// database: the library changes it, at the latest when the device was unlinked.
	device *store.Device
	mem    *memory
	// payload, when not nil, changes what the device says of itself.
	payload func(*waWa6.ClientPayload)

	client *whatsmeow.Client
	events chan any
	cancel context.CancelFunc
}

// newWADevice makes an unlinked device whose connections go to the lab.
func newWADevice(tb testing.TB, addrs lab.Addrs) *waDevice {
	tb.Helper()
	m := &memory{pruned: make(chan struct{}, 100)}
	d := &store.Device{NoiseKey: keys.NewKeyPair(), IdentityKey: keys.NewKeyPair(), RegistrationID: 77, AdvSecretKey: make([]byte, 32), Initialized: true, Container: m}
	d.SignedPreKey = d.IdentityKey.CreateSignedPreKey(1)
	d.SetAllStores(m)
	d.LIDs = m
	return &waDevice{tb: tb, addrs: addrs, device: d, mem: m}
}

// open makes a client, and gives up the one before.
func (w *waDevice) open() {
	w.tb.Helper()
	w.disconnect()
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, w.addrs.WhatsApp)
	}
	heard := make(chan any, 1000)
	device := *w.device
	w.mem.load(&device)
	w.client, w.events = whatsmeow.NewClient(&device, nil), heard
	w.client.EnableAutoReconnect = false
	w.client.DisableLoginAutoReconnect = true
	for _, set := range []func(*http.Client){w.client.SetPreLoginHTTPClient, w.client.SetWebsocketHTTPClient} {
		transport := &http.Transport{DialTLSContext: dial, DialContext: dial}
		w.tb.Cleanup(transport.CloseIdleConnections)
		set(&http.Client{Transport: transport})
	}
	if w.payload != nil {
		w.client.GetClientPayload = func() *waWa6.ClientPayload {
			p := device.GetClientPayload()
			w.payload(p)
			return p
		}
	}
	w.client.AddEventHandler(func(event any) { heard <- event })
}

// dial connects anew and returns the library's error.
func (w *waDevice) dial() error {
	w.tb.Helper()
	w.open()
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.tb.Cleanup(cancel)
	return w.client.ConnectContext(ctx)
}

// connect is dial for what must work.
func (w *waDevice) connect() {
	w.tb.Helper()
	if err := w.dial(); err != nil {
		w.tb.Fatal(err)
	}
}

// disconnect gives the connection up, if there is one.
func (w *waDevice) disconnect() {
	if w.cancel != nil {
		w.cancel()
	}
}

// awaitWA returns the next event of the type, passing over others.
func awaitWA[T any](w *waDevice) T {
	w.tb.Helper()
	deadline := time.After(patience)
	for {
		select {
		case event := <-w.events:
			if want, ok := event.(T); ok {
				return want
			}
		case <-deadline:
			var want T
			w.tb.Fatalf("no %T came", want)
		}
	}
}

// ask sends a request of the test's own making.
func (w *waDevice) ask(ctx context.Context, namespace string, kind whatsmeow.DangerousInfoQueryType, children any) error {
	//lint:ignore SA1019 there is no other way to send what a well-behaved client does not
	_, err := w.client.DangerousInternals().SendIQ(ctx, whatsmeow.DangerousInfoQuery{Namespace: namespace, Type: kind, To: types.ServerJID, Content: children})
	return err
}

// reconnect is what a driver does when it was told to come again.
func (w *waDevice) reconnect() {
	w.tb.Helper()
	w.connect()
	awaitWA[*events.Connected](w)
}

// link links the device to the phone and brings it online.
func (w *waDevice) link(c *labclient.Client, phone string) {
	w.tb.Helper()
	w.connect()
	if err := c.ScanCode(context.Background(), phone, awaitWA[*events.QR](w).Codes[0]); err != nil {
		w.tb.Fatal(err)
	}
	awaitWA[*events.PairSuccess](w)
	// That it is to come again may be lost when the server closes right behind it.
	w.reconnect()
}

func addWhatsApp(tb testing.TB, c *labclient.Client, phone string) {
	tb.Helper()
	if _, err := c.AddAccount(context.Background(), labapi.NewAccount{Provider: "whatsapp", Phone: phone, Name: "Ada"}); err != nil {
		tb.Fatal(err)
	}
}
