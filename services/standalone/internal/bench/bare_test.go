//go:build bench

package bench

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types/events"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/lab/labclient"
	"pairgate.dev/services/session-worker/driver/whatsapp/keys"
	"pairgate.dev/services/standalone/internal/e2e"
)

// bareVariable tells this test binary to be a process of bare clients instead.
const bareVariable = "PAIRGATE_BENCH_BARE"

// bareJob is what such a process is told.
type bareJob struct {
	Control, WhatsApp, NoiseRoot, Dir string
	Clients                           int
}

// bareResult is what it has measured.
type bareResult struct {
	FirstQR, Online []time.Duration
}

// bareClients are clients of the library as anybody would use it, with keys in the
// same kind of database as ours: what a session costs without Pairgate.
type bareClients struct {
	process *e2e.Process
	bareResult
}

// oneByOneThenMore calls link for each of n links: for the first alone, so that
// times can be told, for the others a few at a time.
func oneByOneThenMore(n int, link func(n int, alone bool) error) error {
	alone := min(n, connects)
	for i := range alone {
		if err := link(i, true); err != nil {
			return err
		}
	}
	var group errgroup.Group
	group.SetLimit(linksAtOnce)
	for i := alone; i < n; i++ {
		group.Go(func() error { return link(i, false) })
	}
	return group.Wait()
}

// startBare links as many clients and leaves them connected until
// the test ends. idle is called when the process is up and has no client yet.
func startBare(t *testing.T, job bareJob, idle func(*e2e.Process)) *bareClients {
	t.Helper()
	job.Dir = t.TempDir()
	body, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	gate := filepath.Join(job.Dir, "go")
	p := e2e.Start(t, os.Args[0], nil, map[string]string{bareVariable: string(body), "GOGC": "50"})
	p.Await("the line that it is up", func(line string) bool { return line == "up" })
	idle(p)
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var failed string
	line := p.AwaitWithin(10*time.Minute, "its result", func(line string) bool {
		if len(line) > 6 && line[:6] == "error " {
			failed = line
			return true
		}
		return len(line) > 1 && line[0] == '{'
	})
	if failed != "" {
		t.Fatal(failed)
	}
	b := &bareClients{process: p}
	if err := json.Unmarshal([]byte(line), &b.bareResult); err != nil {
		t.Fatal(err)
	}
	return b
}

// beBare is the process of bare clients. It ends by being killed.
func beBare(text string) {
	err := func() error {
		var job bareJob
		if err := json.Unmarshal([]byte(text), &job); err != nil {
			return err
		}
		root, err := base64.StdEncoding.DecodeString(job.NoiseRoot)
		if err != nil || len(root) != 32 {
			return errors.New("no root of certificates")
		}
		whatsmeow.WACertPubKey = [32]byte(root)
		store, err := keys.Open(context.Background(), keys.Options{DSN: filepath.Join(job.Dir, "bare.db"), Log: zap.NewNop()})
		if err != nil {
			return err
		}
		debug.FreeOSMemory()
		fmt.Println("up")
		for _, err := os.Stat(filepath.Join(job.Dir, "go")); err != nil; _, err = os.Stat(filepath.Join(job.Dir, "go")) {
			time.Sleep(10 * time.Millisecond)
		}
		phones := labclient.New(job.Control)
		var result bareResult
		var mu sync.Mutex
		if err := oneByOneThenMore(job.Clients, func(n int, alone bool) error {
			qr, online, err := linkBare(job, store, phones, fmt.Sprintf("1777%07d", n))
			if alone {
				mu.Lock()
				defer mu.Unlock()
				result.FirstQR, result.Online = append(result.FirstQR, qr), append(result.Online, online)
			}
			return err
		}); err != nil {
			return err
		}
		body, err := json.Marshal(result)
		if err != nil {
			return err
		}
		fmt.Println(string(body))
		return nil
	}()
	if err != nil {
		fmt.Println("error", err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	select {} // until it is killed
}

// linkBare links one client and leaves it connected.
func linkBare(job bareJob, store *keys.Store, phones *labclient.Client, phone string) (qr, online time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := phones.AddAccount(ctx, labapi.NewAccount{Provider: "whatsapp", Phone: phone, Name: "Bare"}); err != nil {
		return 0, 0, err
	}
	client := whatsmeow.NewClient(store.NewDevice(), nil)
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, job.WhatsApp)
	}
	web := &http.Client{Transport: &http.Transport{DialContext: dial, DialTLSContext: dial}}
	client.SetWebsocketHTTPClient(web)
	client.SetPreLoginHTTPClient(web)
	codes, connected := make(chan string, 1), make(chan struct{}, 1)
	client.AddEventHandler(func(e any) {
		switch e := e.(type) {
		case *events.QR:
			codes <- e.Codes[0]
		case *events.Connected:
			select {
			case connected <- struct{}{}:
			default:
			}
		}
	})
	began := time.Now()
	if err := client.Connect(); err != nil {
		return 0, 0, err
	}
	select {
	case code := <-codes:
		qr = time.Since(began)
		began = time.Now()
		if err := phones.ScanCode(ctx, phone, code); err != nil {
			return 0, 0, err
		}
	case <-ctx.Done():
		return 0, 0, errors.New("a bare client got no code")
	}
	select {
	case <-connected:
		return qr, time.Since(began), nil
	case <-ctx.Done():
		return 0, 0, errors.New("a bare client did not come online")
	}
}
