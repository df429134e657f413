package lab_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types/events"
	"go.mau.fi/whatsmeow/util/keys"

	"pairgate.dev/services/lab"
)

// proxiedClient, when set, makes the test binary a whatsmeow client: "address" has it
// use the proxy at PROXY_ADDRESS, "environment" leaves the finding of one to it.
const proxiedClient = "LAB_TEST_PROXIED_CLIENT"

// forgetful keeps nothing: enough for a client that only links.
type forgetful struct{ *store.NoopStore }

func (forgetful) PutDevice(context.Context, *store.Device) error    { return nil }
func (forgetful) DeleteDevice(context.Context, *store.Device) error { return nil }

// runProxiedClient links a device and ends; it prints its first QR code, and then
// "linked". What leads it to the lab is all outside of it, but for the Noise root that it trusts.
func runProxiedClient(mode string) error {
	device := &store.Device{NoiseKey: keys.NewKeyPair(), IdentityKey: keys.NewKeyPair(), AdvSecretKey: make([]byte, 32),
		Container: forgetful{}, Initialized: true}
	device.SignedPreKey = device.IdentityKey.CreateSignedPreKey(1)
	device.SetAllStores(&store.NoopStore{})
	device.LIDs = &store.NoopStore{}
	client := whatsmeow.NewClient(device, nil)
	client.EnableAutoReconnect, client.DisableLoginAutoReconnect = false, true
	if mode == "address" {
		if err := client.SetProxyAddress(os.Getenv("PROXY_ADDRESS")); err != nil {
			return err
		}
	}
	// The library tells of the link and of the restart behind it in any order.
	linked, ended := make(chan struct{}), make(chan error, 10)
	client.AddEventHandler(func(event any) {
		switch event := event.(type) {
		case *events.QR:
			fmt.Println(event.Codes[0])
		case *events.PairSuccess:
			fmt.Println("linked")
			close(linked)
		case *events.PairError:
			ended <- event.Error
		case *events.ManualLoginReconnect:
			ended <- nil
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := client.ConnectContext(ctx); err != nil {
		return err
	}
	defer client.Disconnect()
	late := errors.New("was not linked in time")
	select {
	case err := <-ended:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		return late
	}
	select {
	case <-linked:
		return nil
	case <-ctx.Done():
		return late
	}
}

// connectProxy is an HTTP proxy that leads every CONNECT to one address; it tells
// where its clients wanted to go.
func connectProxy(t *testing.T, to string) (address string, asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var targets []string
	var wg sync.WaitGroup
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		targets = append(targets, r.Method+" "+r.Host)
		mu.Unlock()
		far, err := net.Dial("tcp", to)
		if err != nil {
			t.Error(err)
			return
		}
		defer far.Close()
		near, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer near.Close()
		if _, err := io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
			return
		}
		wg.Go(func() { _, _ = io.Copy(far, buffered); _ = far.Close() })
		_, _ = io.Copy(near, far)
	}))
	t.Cleanup(func() { server.Close(); wg.Wait() })
	return server.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), targets...)
	}
}

// A client that is told nothing but a proxy and an authority to trust comes to the lab:
// its host name, its TLS and its WebSocket are those that it has for the real server.
func TestWhatsmeowComesThroughAProxy(t *testing.T) {
	l, c := startLab(t, lab.Config{WhatsAppTLS: true}, lab.Deps{})
	authority := filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(authority, []byte(l.Addrs().WhatsAppAuthority), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, mode := range []string{"address", "environment"} {
		t.Run(mode, func(t *testing.T) {
			phone := fmt.Sprint(79001234567 + i)
			addWhatsApp(t, c, phone)
			proxy, asked := connectProxy(t, l.Addrs().WhatsApp)
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			client := exec.CommandContext(ctx, os.Args[0], "-test.run=^$")
			client.Env = []string{proxiedClient + "=" + mode, "SSL_CERT_FILE=" + authority, "SSL_CERT_DIR=" + t.TempDir()}
			if mode == "address" {
				client.Env = append(client.Env, "PROXY_ADDRESS="+proxy)
			} else {
				client.Env = append(client.Env, "https_proxy="+proxy)
			}
			var trouble strings.Builder
			client.Stderr = &trouble
			out, err := client.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := client.Start(); err != nil {
				t.Fatal(err)
			}
			said := make(chan string, 10)
			var reader sync.WaitGroup
			reader.Go(func() { lines(out, said) })
			if text, ok := <-said; !ok {
				t.Error("the client showed no code")
			} else if err := c.ScanCode(t.Context(), phone, text); err != nil {
				t.Error(err)
			} else if word := <-said; word != "linked" {
				t.Errorf("the client says %q", word)
			}
			reader.Wait()
			if err := client.Wait(); err != nil {
				t.Errorf("the client ended with %v: %s", err, &trouble)
			}
			if got := asked(); len(got) != 1 || got[0] != "CONNECT web.whatsapp.com:443" {
				t.Errorf("the proxy was asked for %q", got)
			}
			if got := devices(t, c, phone); len(got) != 1 {
				t.Errorf("the phone shows %+v", got)
			}
		})
	}
}

// lines sends what is read, and closes the channel at its end.
func lines(r io.Reader, to chan<- string) {
	defer close(to)
	for in := bufio.NewScanner(r); in.Scan(); {
		to <- in.Text()
	}
}
