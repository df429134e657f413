package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/session-worker/driver"
)

// unreadPatience is how long the end of a connection waits for its last bytes to be read.
const unreadPatience = time.Second

// What a link puts into its session's mailbox beside the library's events.
type (
	// dialled is the end of dialling: the library speaks the protocol now, or why not.
	dialled struct{ err error }
	// socketEnded says that the connection is gone.
	socketEnded struct{}
)

// link is one connection: a client of the library that is used once.
type link struct {
	client  *whatsmeow.Client
	keeper  *keeper
	wire    *wire
	version store.WAVersionContainer
	// jid is the linked device's, empty while it is being linked.
	jid types.JID
	// ctx is the connection's life; the library's handlers run under it.
	ctx    context.Context
	cancel context.CancelFunc
	// done is closed when dialling has ended, either way.
	done chan struct{}
}

// linkParams are what a link is made of.
type linkParams struct {
	device *store.Device
	common driver.Common
	// post takes events; it is called by any goroutine and must not block.
	post func(*link, any)
	// accept decides whether the device may be linked as jid; nil for a device that is linked already.
	accept func(ctx context.Context, jid types.JID) bool
}

// newLink makes a connection and begins to dial; dialled follows.
func (d *Driver) newLink(ctx context.Context, p linkParams) (*link, error) {
	l := &link{done: make(chan struct{}), jid: p.device.GetJID()}
	version, _ := d.versions.inForce(time.Now())
	l.version = version
	// The session may end at once, while the connection has to be ended in order.
	l.ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	var err error
	l.wire, err = newWire(ctx, p.common.Proxy, d.opts.Endpoint, func() { p.post(l, socketEnded{}) })
	if err != nil {
		l.cancel()
		return nil, err
	}
	l.keeper = keep(p.device)
	name := p.common.DeviceName
	if name == "" {
		name = d.opts.DeviceName
	}
	client := whatsmeow.NewClient(p.device, libraryLog{d.log.WithLazy(zap.String("instance", string(p.common.Instance)))})
	l.client = client
	web := l.wire.client()
	client.SetWebsocketHTTPClient(web)
	client.SetPreLoginHTTPClient(web)
	client.SetMediaHTTPClient(web)
	client.EnableAutoReconnect = false
	client.DisableLoginAutoReconnect = true
	client.ManualHistorySyncDownload = true
	client.BackgroundEventCtx = l.ctx
	client.QRClientType = d.platform.qr
	client.GetClientPayload = payload(p.device, version, name, d.platform)
	if p.accept != nil {
		client.PrePairCallback = func(jid types.JID, _, _ string) bool {
			accepted := false
			err := l.keeper.use(func() error {
				accepted = p.accept(l.ctx, jid)
				return nil
			})
			return err == nil && accepted
		}
	}
	client.AddEventHandler(func(event any) { p.post(l, event) })
	started := d.goroutine(func() {
		defer close(l.done)
		err := d.connects.wait(l.wire.opening)
		if err == nil {
			err = l.connect()
			d.connects.count(dialFailure(err))
		}
		p.post(l, dialled{err})
	})
	if !started {
		l.cancel()
		l.wire.end(0)
		return nil, errDriverClosed
	}
	return l, nil
}

// connect dials. The library may panic on what a hostile server sends; that is
// the end of this connection, not of the process.
func (l *link) connect() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the library panicked: %T", r)
		}
	}()
	if err := l.client.ConnectContext(l.ctx); err != nil {
		return err
	}
	l.wire.handshaken()
	return nil
}

// close ends the connection, at whatever point it is, and returns when nothing of
// it can reach the key store any more. It takes a moment at most when the library
// is healthy, and six seconds at most when it is not.
func (l *link) close() {
	l.wire.end(unreadPatience)
	<-l.done
	// The socket may have been opened between the two.
	l.wire.end(unreadPatience)
	l.awaitEnd()
	l.client.Disconnect()
	l.cancel()
	l.keeper.release()
}

// awaitEnd returns once the library has taken leave of the socket, or after a
// moment. Its Disconnect, called before, is a data race with that.
func (l *link) awaitEnd() {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	deadline := time.NewTimer(unreadPatience)
	defer deadline.Stop()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	// With a context that is over, nothing is sent: the error says whether there is a socket.
	for !errors.Is(l.client.SetPassive(over, false), whatsmeow.ErrNotConnected) {
		select {
		case <-poll.C:
		case <-deadline.C:
			return
		}
	}
}

// unlink asks the messenger to remove this device. The library's own Logout does
// the same and then ends the connection in its slower way.
func (l *link) unlink(ctx context.Context) error {
	//lint:ignore SA1019 There is no other way to send this request without the rest of Logout.
	_, err := l.client.DangerousInternals().SendIQ(ctx, whatsmeow.DangerousInfoQuery{
		Namespace: "md", Type: "set", To: types.ServerJID, NoRetry: true,
		Content: []binary.Node{{Tag: "remove-companion-device", Attrs: binary.Attrs{"jid": l.jid, "reason": "user_initiated"}}}})
	return err
}

// accountOf is the account of a linked device, as far as the library knows it.
func accountOf(jid types.JID, name string) instance.Account {
	return instance.Account{ID: jid.String(), Phone: jid.User, Name: name}
}
