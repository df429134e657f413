package clientversion_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/services/session-worker/internal/clientversion"
)

// page serves WhatsApp Web in plain text, where the endpoint of the emulated one is.
func page(t *testing.T, handler http.HandlerFunc) *clientversion.WebPage {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return clientversion.NewWebPage(strings.TrimPrefix(server.URL, "http://"))
}

func TestVersionIsReadFromThePageAtTheEndpoint(t *testing.T) {
	bustest.CheckGoroutines(t)
	web := page(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "web.whatsapp.com" || r.URL.Path != "/" && r.URL.Path != "" || r.Header.Get("Sec-Fetch-Dest") != "document" {
			t.Errorf("asked %s%s as %v", r.Host, r.URL.Path, r.Header)
		}
		fmt.Fprint(w, `<script>{"server_revision":7,"client_revision":1047769893,"x":1}</script>`)
	})
	if v, err := web.Latest(t.Context()); v != "2.3000.1047769893" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
}

func TestAnAnswerThatIsNoPageIsAnErrorThatDoesNotRepeatIt(t *testing.T) {
	bustest.CheckGoroutines(t)
	const secret = "sesame"
	for name, handler := range map[string]http.HandlerFunc{
		"an error":      func(w http.ResponseWriter, _ *http.Request) { http.Error(w, secret, http.StatusServiceUnavailable) },
		"no version":    func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, secret) },
		"version zero":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, secret+`"client_revision":0,`) },
		"a long number": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `"client_revision":99999999999999999999,`) },
		"elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.com/", http.StatusFound)
		},
		"in a circle": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) },
		"nowhere":     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, secret, http.StatusNotModified) },
		"too long": func(w http.ResponseWriter, _ *http.Request) {
			for range 9 {
				fmt.Fprint(w, strings.Repeat(" ", 1<<20))
			}
			fmt.Fprint(w, `"client_revision":1,`)
		},
	} {
		v, err := page(t, handler).Latest(t.Context())
		if err == nil || v != "" || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %q, %v", name, v, err)
		}
	}
}

func TestAQuestionEndsWithItsContext(t *testing.T) {
	bustest.CheckGoroutines(t)
	ctx, cancel := context.WithCancel(t.Context())
	web := page(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if _, err := web.Latest(ctx); err == nil {
		t.Error("it has an answer")
	}
}

func FuzzWebPage(f *testing.F) {
	for _, body := range []string{`"client_revision":1023,`, `"client_revision":-1,`, `"client_revision":4294967297,`, "", `"client_revision":01,`} {
		f.Add(body, 200, "")
	}
	f.Add("", 302, "https://web.whatsapp.com/a")
	f.Add("x", 99, ":")
	var status int
	var body, location string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	f.Cleanup(server.Close)
	web := clientversion.NewWebPage(strings.TrimPrefix(server.URL, "http://"))
	f.Fuzz(func(t *testing.T, b string, s int, l string) {
		status, body, location = 200+(s%400+400)%400, b, l
		v, err := web.Latest(t.Context())
		if (err == nil) != strings.HasPrefix(string(v), "2.3000.") {
			t.Errorf("%q, %v", v, err)
		}
	})
}
