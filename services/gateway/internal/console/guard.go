package console

import (
	"errors"
	"mime"
	"net/http"
	"strings"
	"time"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/gateway/internal/web"
)

const (
	// policy lets the page use its own assets and forms, and pictures that stand in
	// the page itself; nothing inline, nothing from elsewhere, no frames.
	policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

	maxForm     = 64 << 10
	formTimeout = 10 * time.Second
)

// secure sets the headers that every answer of the page has. The referrer policy
// is not "no-referrer" because browsers would then hide the origin of forms.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-store")
}

// open serves anybody. A problem is shown as a page.
func (c *Console) open(h web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		secure(w.Header())
		err := c.Client.Ready(r.Context())
		if err == nil {
			err = h(w, r)
		}
		p, ok := errors.AsType[*instance.Problem](err)
		if !ok {
			return err
		}
		_, signedIn := c.sessions.of(r, time.Now())
		return render(w, p.Code.HTTPStatus(), "problem", problemPage{frame: frame{Title: "That did not work"},
			Problem: p, Back: back(r), SignedIn: signedIn})
	}
}

// private serves who is signed in. A browser that is not is led to the sign-in; any
// other request gets 401.
func (c *Console) private(h func(http.ResponseWriter, *http.Request, session) error) web.Handler {
	return c.open(func(w http.ResponseWriter, r *http.Request) error {
		one, ok := c.sessions.of(r, time.Now())
		if ok {
			return h(w, r, one)
		}
		if r.Method == http.MethodGet && wantsHTML(r) {
			target := "/"
			if next := after(r.URL.Path); next != "/" {
				target += "?next=" + next
			}
			http.Redirect(w, r, target, http.StatusSeeOther)
			return nil
		}
		return instance.Problemf(instance.CodeUnauthorized, "You are not signed in, or not any more.")
	})
}

// change serves a form of who is signed in, and only one that this page made.
func (c *Console) change(h func(http.ResponseWriter, *http.Request, session) error) web.Handler {
	return c.private(func(w http.ResponseWriter, r *http.Request, one session) error {
		if err := sameOrigin(r); err != nil {
			return err
		}
		if err := parseForm(w, r); err != nil {
			return err
		}
		if !c.sessions.checkFormToken(one, r.PostForm.Get("formToken")) {
			return errForged
		}
		return h(w, r, one)
	})
}

var errForged = instance.Problemf(instance.CodeForbidden,
	"The request did not come from a form of this page, or the form is of an earlier session. Go back, reload the page, and try again.")

// sameOrigin refuses what a browser says to come from another site.
func sameOrigin(r *http.Request) error {
	if new(http.CrossOriginProtection).Check(r) != nil {
		return errForged
	}
	return nil
}

// parseForm reads the form of a request into r.PostForm.
func parseForm(w http.ResponseWriter, r *http.Request) error {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		return instance.Problemf(instance.CodeInvalidRequest, "The request is not that of a form.")
	}
	control := http.NewResponseController(w)
	// Writers without deadlines, in tests, are no matter.
	_ = control.SetReadDeadline(time.Now().Add(formTimeout))
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	err := r.ParseForm()
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return instance.Problemf(instance.CodeBodyTooLarge, "The form is larger than 64 KiB.")
	}
	if err != nil {
		return instance.Problemf(instance.CodeInvalidRequest, "The form could not be read.")
	}
	_ = control.SetReadDeadline(time.Time{})
	return nil
}

// wantsHTML tells browsers that open a page from programs: only the former name HTML.
func wantsHTML(r *http.Request) bool {
	for accepted := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		if t, params, err := mime.ParseMediaType(accepted); err == nil && (t == "text/html" || t == "application/xhtml+xml") && params["q"] != "0" {
			return true
		}
	}
	return false
}

// back is the page that a failed form belongs to.
func back(r *http.Request) string {
	id, ok := instance.ParseID(r.PathValue("id"))
	if !ok || r.Method == http.MethodGet {
		return "/"
	}
	return pageOf(id)
}

func pageOf(id instance.ID) string { return "/console/instances/" + string(id) }
