package lab_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/simwire"
	"pairgate.dev/services/lab"
	"pairgate.dev/services/lab/internal/whatsapp"
	"pairgate.dev/services/lab/labclient"
)

// labDir, when set, makes the test binary a lab over that directory: see TestKillForgetsNothing.
const labDir = "LAB_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(labDir); dir != "" {
		err := lab.Run(context.Background(), lab.Config{ControlAddr: "127.0.0.1:0", DataDir: dir}, lab.Deps{Ready: func(a lab.Addrs) {
			fmt.Println(a.Control, a.Simulated, a.WhatsApp)
		}})
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	whatsmeow.WACertPubKey = whatsapp.NoiseRoot()
	if mode := os.Getenv(proxiedClient); mode != "" {
		if err := runProxiedClient(mode); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// startProcess runs a lab in a process of its own.
func startProcess(t *testing.T, dir string) (p *exec.Cmd, c *labclient.Client, addrs lab.Addrs) {
	t.Helper()
	p = exec.Command(os.Args[0])
	p.Env = append(os.Environ(), labDir+"="+dir)
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill()
		_ = p.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if n, err := fmt.Sscan(line, &addrs.Control, &addrs.Simulated, &addrs.WhatsApp); err != nil {
		t.Fatalf("the process says %d addresses: %v", n, err)
	}
	c = labclient.New(addrs.Control)
	t.Cleanup(c.Close)
	return p, c, addrs
}

// Decision: what was answered is on disk, whatever becomes of the process.
func TestKillForgetsNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	const phone, unlinked = "79001234567", "79001234568"
	p, c, addrs := startProcess(t, dir)
	addAccount(t, c, phone)
	addAccount(t, c, unlinked)
	d := dial(t, addrs.Simulated)
	gone := d.link(c, 1, unlinked)
	keys := d.link(c, 2, phone)
	if err := c.Unlink(t.Context(), unlinked); err != nil {
		t.Fatal(err)
	}
	if err := c.Suspend(t.Context(), phone, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.Wait()

	_, c, addrs = startProcess(t, dir)
	if got := devices(t, c, phone); len(got) != 1 || got[0].ID != keys.Device || got[0].Connected {
		t.Fatalf("after the kill the phone shows %+v", got)
	}
	d = dial(t, addrs.Simulated)
	d.send(simwire.Frame{Type: simwire.TypeOpenLogin, Session: 1, Device: gone.Device, Key: gone.Key})
	if f := d.await(simwire.TypeClosed); f.Reason != string(instance.ReasonLoggedOutOnPhone) {
		t.Errorf("the unlinked device is told %s", f.Reason)
	}
	d.send(simwire.Frame{Type: simwire.TypeOpenLogin, Session: 2, Device: keys.Device, Key: gone.Key})
	if f := d.await(simwire.TypeClosed); f.Reason != string(instance.ReasonLoggedOutOnPhone) {
		t.Errorf("a device with a wrong key is told %s", f.Reason)
	}
	d.send(simwire.Frame{Type: simwire.TypeOpenLogin, Session: 3, Device: keys.Device, Key: keys.Key})
	d.await(simwire.TypeOnline)
	d.await(simwire.TypeSuspended)

	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			err = fmt.Errorf("%s has mode %v", path, info.Mode())
		}
		if raw, _ := os.ReadFile(path); bytes.Contains(raw, []byte(keys.Key)) {
			err = fmt.Errorf("%s holds a device's key in clear", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, cfg := range map[string]lab.Config{
		"every interface": {SimulatedAddr: ":0", DataDir: "x"},
		"another machine": {SimulatedAddr: "10.0.0.1:0", DataDir: "x"},
		"a name":          {ControlAddr: "example.com:80", DataDir: "x"},
		"no port":         {ControlAddr: "127.0.0.1", DataDir: "x"},
		"a strange port":  {ControlAddr: "127.0.0.1:70000", DataDir: "x"},
		"no directory":    {},
	} {
		if _, err := lab.Start(t.Context(), cfg, lab.Deps{}); err == nil {
			t.Errorf("%s: accepted", name)
		} else if p, ok := errors.AsType[*instance.Problem](err); !ok || len(p.Errors) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
	all := lab.Config{SimulatedAddr: "a", ControlAddr: "b"}
	if p, ok := errors.AsType[*instance.Problem](all.Validate()); !ok || len(p.Errors) != 3 {
		t.Errorf("three bad fields: %v", all.Validate())
	}
}

func TestSecondLabOnTheDirectory(t *testing.T) {
	dir := t.TempDir()
	startLab(t, lab.Config{DataDir: dir}, lab.Deps{})
	if l, err := lab.Start(t.Context(), lab.Config{DataDir: dir, ControlAddr: "127.0.0.1:0"}, lab.Deps{}); err == nil {
		_ = l.Close()
		t.Fatal("two labs use one directory")
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ready := make(chan lab.Addrs, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- lab.Run(ctx, lab.Config{ControlAddr: "127.0.0.1:0", DataDir: t.TempDir()}, lab.Deps{Ready: func(a lab.Addrs) { ready <- a }})
	}()
	addrs := <-ready
	c := labclient.New(addrs.Control)
	defer c.Close()
	addAccount(t, c, "79001234567")
	d := dial(t, addrs.Simulated)
	d.pair(1)
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for range d.frames { // ends when the lab hangs up
	}
	c.Close()
	waitFor(t, "every goroutine of the lab to end", func() bool {
		buf := make([]byte, 4<<20)
		return !strings.Contains(string(buf[:runtime.Stack(buf, true)]), "services/lab/internal/")
	})
}

// Decision: the log shows no code, no phone, no key and no password.
func TestLogShowsNoSecret(t *testing.T) {
	var out bytes.Buffer
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewDevelopmentEncoderConfig()), zapcore.Lock(zapcore.AddSync(&out)), zapcore.DebugLevel))
	l, c := startLab(t, lab.Config{}, lab.Deps{Log: log})
	const phone = "79001234567"
	addAccount(t, c, phone)
	d := dial(t, l.Addrs().Simulated)
	keys := d.link(c, 1, phone)
	text := d.pair(2)
	_ = c.ScanCode(t.Context(), phone, "a code that nobody shows")
	_ = c.Unlink(t.Context(), phone)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	logged := out.String()
	if !strings.Contains(logged, l.Addrs().Control) {
		t.Error("the log does not say where the lab listens")
	}
	for name, secret := range map[string]string{"phone": phone, "key": keys.Key, "code": text, "device": keys.Device} {
		if strings.Contains(logged, secret) {
			t.Errorf("the log shows a %s", name)
		}
	}
}
