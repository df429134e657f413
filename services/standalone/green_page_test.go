package standalone_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/services/lab/labapi"
)

// The selectors of this file are queries: the page's own style and script have the
// same words, and a search would find them there.

// shows reads codes off the page until one is there that is not the one before.
func (b *browser) shows(before string) (text string) {
	b.Helper()
	bustest.CheckFor(b, 30*time.Second, func() (err error) {
		if text, err = b.scan(); err == nil && text == before {
			err = errors.New("still the code before")
		}
		return err
	})
	return text
}

// The page that an instance's user is sent to: it keeps the code fresh by itself, and
// says when the phone is linked.
func TestGreenAPIPageShowsTheCodeUntilItIsScanned(t *testing.T) {
	t.Parallel()
	g := greenSimulated(t, nil)
	if err := g.d.Lab.SetFaults(t.Context(), labapi.Faults{CodeLifeSeconds: 4}); err != nil {
		t.Fatal(err)
	}
	for v3, path := range map[bool]string{false: "/waInstance%s/%s", true: "/waInstance%s/%s/v3"} {
		t.Run(map[bool]string{false: "WhatsApp", true: "MAX"}[v3], func(t *testing.T) {
			i := g.in(t).make(v3, nil)
			i.addPhone("")
			b := openBrowser(t, g.d.API.URL())
			b.do(chromedp.Navigate(b.base+fmt.Sprintf(path, i.number, i.token)), chromedp.WaitVisible("#qr", chromedp.ByQuery), chromedp.Evaluate(`window.sameDocument = true`, nil))
			first := b.shows("")
			b.picture(fmt.Sprintf("green-api-page-v3-%v", v3))
			second := b.shows(first)
			if current := g.d.API.Want(http.StatusOK, http.MethodGet, "/v1/instances/"+i.number+"/qr", nil).Body["code"]; current != second && b.shows(second) == first {
				t.Error("the page shows an old code")
			}
			b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}),
				chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
			b.picture(fmt.Sprintf("green-api-page-v3-%v-phone-dark", v3))
			bustest.CheckFor(t, 30*time.Second, func() error { // the code may be over when it was read
				text, err := b.scan()
				if err != nil {
					return err
				}
				return g.d.Lab.ScanCode(t.Context(), i.phone, text)
			})
			var title string
			var same, wide bool
			b.do(chromedp.WaitVisible(`[data-state="linked"]`, chromedp.ByQuery), chromedp.WaitNotVisible("#qr", chromedp.ByQuery), chromedp.Text("#title", &title, chromedp.ByQuery), chromedp.Evaluate(`window.sameDocument === true`, &same),
				chromedp.Evaluate(`document.documentElement.scrollWidth > document.documentElement.clientWidth`, &wide))
			if title != "Linked" || !same || wide {
				t.Errorf("title %q, the same document: %v, wider than a phone: %v", title, same, wide)
			}
			b.picture(fmt.Sprintf("green-api-page-v3-%v-linked", v3))
		})
	}
}

// What is wrong with an address is said at once, in plain words.
func TestGreenAPIPageSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	g := greenSimulated(t, nil)
	i := g.make(false, nil)
	b := openBrowser(t, g.d.API.URL())
	for path, want := range map[string]string{
		"/waInstance" + i.number + "/0000":    "Wrong token",
		"/waInstance" + i.number + "/0000/v3": "Wrong token",
		"/waInstance1101999999/" + i.token:    "No such instance",
		"/waInstanceabc/" + i.token + "/v3":   "No such instance",
	} {
		var title string
		b.do(chromedp.Navigate(b.base+path), chromedp.WaitVisible(`[data-state="refused"]`, chromedp.ByQuery), chromedp.Text("#title", &title, chromedp.ByQuery))
		if title != want {
			t.Errorf("%s: %q", path, title)
		}
		if a := g.send(http.MethodGet, path, nil); a.status < 400 || strings.Contains(a.body, "<script") {
			t.Errorf("%s: %d, with a script that goes on asking: %v", path, a.status, strings.Contains(a.body, "<script"))
		}
	}
	b.picture("green-api-page-refused")
	a := g.send(http.MethodGet, "/waInstance"+i.number+"/"+i.token, nil).want(http.StatusOK)
	policy := a.header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || a.header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("policy %q, referrer %q", policy, a.header.Get("Referrer-Policy"))
	}
	for _, outside := range []string{"http:", "https:", "src=", "href="} {
		if strings.Contains(a.body, outside) {
			t.Errorf("the page refers to something outside: %s", outside)
		}
	}
}
