package standalone_test

import (
	"bytes"
	"context"
	"errors"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/standalone/internal/e2e"
)

// browser is a tab of a headless Chromium.
type browser struct {
	*testing.T
	tab  context.Context
	base string
}

func openBrowser(t *testing.T, base string) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("scripts/install-chromium installs what is missing: %v", err)
	}
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.Headless, chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.WindowSize(1200, 900)}
	// The browser is to end by itself after the test, and not with its context.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	tab, closeTab := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		if err := chromedp.Cancel(tab); err != nil {
			t.Errorf("the browser did not end: %v", err)
		}
		closeTab()
		stop()
		cancel()
	})
	return &browser{t, tab, base}
}

func (b *browser) do(actions ...chromedp.Action) {
	b.Helper()
	if err := chromedp.Run(b.tab, actions...); err != nil {
		b.Fatal(err)
	}
}

// picture keeps what the tab shows among the artifacts of the run.
func (b *browser) picture(name string) {
	b.Helper()
	var shot []byte
	b.do(chromedp.FullScreenshot(&shot, 100))
	dir := filepath.Join("..", "..", ".artifacts", "screenshots")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), shot, 0o644); err != nil {
		b.Fatal(err)
	}
}

// scan reads the code off the screen, as a phone does.
func (b *browser) scan() (text string, err error) {
	var shot []byte
	ctx, cancel := context.WithTimeout(b.tab, 5*time.Second)
	defer cancel()
	if err := chromedp.Run(ctx, chromedp.Screenshot("#qr", &shot, chromedp.ByQuery)); err != nil {
		return "", err
	}
	img, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		return "", err
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		return "", err
	}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
	if err != nil {
		return "", err
	}
	return result.GetText(), nil
}

// usable checks what screen readers and keyboards need of any page.
func (b *browser) usable() {
	b.Helper()
	var missing []string
	b.do(chromedp.Evaluate(`[
		...[...document.querySelectorAll("input:not([type=hidden]), select")].filter((field) => !field.labels.length).map((field) => "a label of " + field.name),
		...[...document.querySelectorAll("button, a")].filter((e) => !e.textContent.trim()).map((e) => "a text of " + e.outerHTML),
		...[...document.querySelectorAll("img:not([alt])")].map((e) => "an alternative of " + e.outerHTML),
		...["html[lang]", "header", "main", "h1", ".skip"].filter((e) => document.querySelectorAll(e).length !== 1),
	]`, &missing))
	if len(missing) > 0 {
		b.Errorf("the page lacks %q", missing)
	}
}

// TestAPersonLinksAPhoneOnThePage is what somebody does who has the admin key, a
// browser and a phone, and nothing else.
func TestAPersonLinksAPhoneOnThePage(t *testing.T) {
	const phone = "15550100031"
	d := e2e.One(t, &binaries)
	addPhone(t, d, phone)
	for _, name := range []string{"front desk", "night shift"} {
		create(t, d, name, nil)
	}
	receiver := e2e.NewReceiver(t)
	key, err := os.ReadFile(filepath.Join(d.DataDir, "admin-key"))
	if err != nil {
		t.Fatal(err)
	}
	b := openBrowser(t, d.Processes["pairgate"].AwaitLine("serving")["http"].(string))

	b.do(chromedp.Navigate(b.base+"/"), chromedp.WaitVisible("#key"))
	b.picture("sign-in")
	b.do(chromedp.SendKeys("#key", strings.TrimSpace(string(key))+"\n"), chromedp.WaitVisible("#rows table"))
	b.do(chromedp.Navigate(b.base+"/console/new"), chromedp.WaitVisible("#name"),
		chromedp.SetValue("#provider", "simulated"), chromedp.SendKeys("#name", "shop\n"), chromedp.WaitVisible("#connect"))
	var page string
	b.do(chromedp.Location(&page))
	id := page[strings.LastIndex(page, "/")+1:]
	d.API.Want(201, "POST", "/v1/instances/"+id+"/webhooks", map[string]any{"url": receiver.URL()})

	if err := d.Lab.SetFaults(t.Context(), labapi.Faults{CodeLifeSeconds: 3}); err != nil {
		t.Fatal(err)
	}
	// Nothing of the page is loaded anew from here on: this would be gone.
	b.do(chromedp.Click("#connect"), chromedp.WaitVisible("#qr"), chromedp.Evaluate(`window.sameDocument = true`, nil))
	first := b.current(d, id, "")
	b.picture("pairing")
	second := b.current(d, id, first)
	if err := d.Lab.ClearFaults(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.current(d, id, second)
	b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}))
	b.picture("pairing-dark")
	b.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	b.picture("pairing-phone-dark")
	b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{}), chromedp.EmulateViewport(1200, 900))
	bustest.CheckFor(t, 30*time.Second, func() error { // the code may be over when it was read
		text, err := b.scan()
		if err != nil {
			return err
		}
		return d.Lab.ScanCode(t.Context(), phone, text)
	})
	var same bool
	b.do(chromedp.WaitVisible("#linked"), chromedp.WaitVisible(`#status [data-phase="online"]`),
		chromedp.WaitVisible(`#history [data-phase="online"]`), chromedp.WaitVisible(`#webhooks .deliveries .good`), chromedp.Evaluate(`window.sameDocument === true`, &same))
	if !same {
		t.Error("the page was loaded anew")
	}
	b.picture("linked")
	b.usable()

	b.do(chromedp.Navigate(b.base+"/"), chromedp.WaitVisible(`#rows [data-phase="online"]`))
	b.picture("list")
	b.usable()
	b.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	b.picture("list-phone")
	var wide bool
	b.do(chromedp.Evaluate(`document.documentElement.scrollWidth > document.documentElement.clientWidth`, &wide))
	if wide {
		t.Error("the list is wider than a phone's screen")
	}
	if err := d.Lab.Unlink(t.Context(), phone); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.WaitNotPresent(`#rows [data-phase="online"]`))

	b.do(chromedp.EmulateViewport(1200, 900), chromedp.Navigate(page), chromedp.WaitVisible("#delete"), chromedp.Click("#delete"),
		chromedp.WaitVisible("button.danger"))
	b.picture("question")
	b.do(chromedp.Click("button.danger"), chromedp.WaitVisible("#rows table"), chromedp.Navigate(b.base+"/?name=shop"),
		chromedp.WaitVisible("#rows .empty"))
}

// current waits until the screen shows a code that is not the one before, and the
// gateway says that it is the current one.
func (b *browser) current(d *e2e.Deployment, id, before string) (text string) {
	b.Helper()
	bustest.CheckFor(b, 30*time.Second, func() error {
		shown, err := b.scan()
		if err != nil {
			return err
		}
		if shown == before {
			return errors.New("the code is still the one before")
		}
		if now := d.API.Call("GET", "/v1/instances/"+id+"/qr", nil).Body["code"]; now != shown {
			return errors.New("the code on the screen is not the current one")
		}
		text = shown
		return nil
	})
	return text
}
