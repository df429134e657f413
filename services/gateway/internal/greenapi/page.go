package greenapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/gateway/internal/web"
)

//go:embed assets
var assets embed.FS

var (
	pageTemplate = template.Must(template.ParseFS(assets, "assets/page.html"))
	pageStyle    = mustRead("assets/page.css")
	pageScript   = mustRead("assets/page.js")
	// pagePolicy lets the page have its own style and script, ask its own address and
	// show pictures that it was given, and nothing else.
	pagePolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; connect-src 'self'; img-src data:; " +
		"style-src '" + hashOf(pageStyle) + "'; script-src '" + hashOf(pageScript) + "'"
	pageMethod = &method{name: "page", whatsapp: 5, max: 5}
)

func mustRead(name string) string {
	content, err := assets.ReadFile(name)
	if err != nil {
		panic(err) // it is embedded
	}
	return string(content)
}

func hashOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// view is what the page shows.
type view struct {
	// State is qr, wait, syncing, linked, trouble or refused.
	State string `json:"state"`
	Title string `json:"title"`
	Text  string `json:"text"`
	// Image is the picture in base64; empty when there is none, or the page has it.
	Image string `json:"image,omitempty"`
	// Code names the picture, and Seconds is what is left of its life.
	Code    string  `json:"code,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
}

// page serves the page of an instance's QR to browsers, and to the page itself what
// it is to show now. The page alone opens no window; its first question does.
func (a *API) page(w http.ResponseWriter, r *http.Request, p path, token string) error {
	if r.Method != http.MethodGet {
		return errNoMethod
	}
	p.token = token
	c, err := a.admit(w, r, p)
	wantsView := strings.Contains(r.Header.Get("Accept"), "application/json")
	if refused, ok := errors.AsType[*refusal](err); ok {
		return a.refusePage(w, refused, wantsView)
	}
	if err != nil {
		return err
	}
	if !wantsView {
		return writePage(w, http.StatusOK, view{State: "wait", Title: "Getting a code…", Text: "This takes a moment."}, true)
	}
	if err := a.limits.allow(w, string(c.id), pageMethod, c.max()); err != nil {
		return err
	}
	ctx, done := a.waiting(r)
	defer done()
	return answer(w, a.view(ctx, c, r.URL.Query().Get("have")))
}

// view asks for a code as qr does, and says what came of it in words for people.
func (a *API) view(ctx context.Context, c *called, have string) view {
	o, err := a.link(ctx, c)
	switch {
	case err != nil:
		return view{State: "trouble", Title: "No code at the moment", Text: "The service is busy or has just started. Trying again."}
	case o.qr != nil:
		v := view{State: "qr", Title: "Scan this code", Text: howTo(c), Image: o.Message,
			Code: strconv.FormatUint(o.qr.GetAttempt(), 10) + "." + strconv.FormatUint(o.qr.GetSequence(), 10)}
		if o.qr.GetExpiresAt() != nil {
			v.Seconds = max(0, time.Until(o.qr.GetExpiresAt().AsTime()).Seconds())
		}
		if v.Code == have {
			v.Image = ""
		}
		return v
	case o.Message == messageLinked && a.see(c.id).Status.Account == nil:
		return view{State: "syncing", Title: "Scanned", Text: "Finishing the link. Keep the phone online."}
	case o.Message == messageLinked:
		return view{State: "linked", Title: "Linked", Text: "The account is linked. This page can be closed."}
	case o.Type == typePassword:
		return view{State: "trouble", Title: "A password is needed", Text: "The code was scanned. The account has a password; it has to be sent with the method sendAuthorizationPassword."}
	case o.Type == typePasskey:
		return view{State: "trouble", Title: "A passkey is needed", Text: "The code was scanned. The messenger asks for a passkey to finish the link."}
	}
	s := a.see(c.id).Status
	if s.Phase.Window() {
		return view{State: "wait", Title: "Getting a code…", Text: "The messenger has not sent one yet. Trying again."}
	}
	text := s.Detail
	if s.Phase == instance.Outdated {
		text = o.Message // says what to set
	}
	return view{State: "trouble", Title: "No code at the moment", Text: text}
}

func howTo(c *called) string {
	if c.max() {
		return "Open MAX on the phone, go to the settings, then Devices, and scan this code."
	}
	return "Open WhatsApp on the phone, go to Settings, then Linked devices, tap Link a device, and scan this code."
}

// refusePage says what is wrong with the address, instead of loading for ever.
func (a *API) refusePage(w http.ResponseWriter, e *refusal, wantsView bool) error {
	v := view{State: "refused", Title: "This address does not work", Text: "Ask who gave it to you for a new one."}
	switch e {
	case errUnauthorized:
		v.Title, v.Text = "Wrong token", "The token in this address is not the one of this instance; it may have been replaced. Ask for a new address."
	case errUnknown, errNumber:
		v.Title, v.Text = "No such instance", "There is no instance with the number in this address. Check the address."
	case errDeleted:
		v.Title, v.Text = "The instance is deleted", "It can not be linked any more."
	case errTooMany:
		v = view{State: "trouble", Title: "Too many tries", Text: "Wait a moment and load the page again."}
	}
	w.Header().Set(headerCode, string(e.code))
	if !wantsView {
		return writePage(w, e.status, v, false)
	}
	body, err := web.PlainJSON(v)
	if err != nil {
		return err
	}
	return web.Bytes(w, e.status, contentJSON, body)
}

func writePage(w http.ResponseWriter, status int, v view, live bool) error {
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, struct {
		View   view
		Style  template.CSS
		Script template.JS
		Live   bool
	}{v, template.CSS(pageStyle), template.JS(pageScript), live})
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	return web.Bytes(w, status, "text/html; charset=utf-8", b.Bytes())
}
