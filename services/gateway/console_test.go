package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	pb "pairgate.dev/proto/pairgate/v1"
	gateway "pairgate.dev/services/gateway"
)

// visitor is a browser without scripts.
type visitor struct {
	*world
	http *http.Client
}

func (w *world) visitor() *visitor {
	w.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.Fatal(err)
	}
	return &visitor{w, &http.Client{Jar: jar, Transport: http.DefaultTransport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// visit sends a request as a browser does; header replaces what it would send.
func (v *visitor) visit(method, path string, form url.Values, header http.Header) answer {
	v.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(v.Context(), method, v.url+path, body)
	if err != nil {
		v.Fatal(err)
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", v.url)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for name, values := range header {
		req.Header[name] = values
	}
	res, err := v.http.Do(req)
	if err != nil {
		v.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		v.Fatal(err)
	}
	return answer{v, res.StatusCode, res.Header, got}
}

// page opens a page that must be there.
func (v *visitor) page(path string) string {
	v.Helper()
	got := v.visit(http.MethodGet, path, nil, nil)
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "text/html; charset=utf-8" {
		v.Fatalf("%s: status %d, %s", path, got.status, got.header.Get("Content-Type"))
	}
	return string(got.body)
}

// leadsTo fails unless the answer leads the browser to the page.
func (a answer) leadsTo(page string) answer {
	a.Helper()
	if a.status != http.StatusSeeOther || a.header.Get("Location") != page {
		a.Fatalf("status %d, Location %q, want %q: %s", a.status, a.header.Get("Location"), page, a.body)
	}
	return a
}

func (v *visitor) signIn() *visitor {
	v.Helper()
	v.visit(http.MethodPost, "/console/login", url.Values{"key": {adminKey}}, nil).leadsTo("/")
	return v
}

var formToken = regexp.MustCompile(`name="formToken" value="([^"]+)"`)

// submit sends a form with the token of the page that it is on.
func (v *visitor) submit(on, action string, form url.Values) answer {
	v.Helper()
	found := formToken.FindStringSubmatch(v.page(on))
	if found == nil {
		v.Fatalf("%s has no form", on)
	}
	if form == nil {
		form = url.Values{}
	}
	form.Set("formToken", found[1])
	return v.visit(http.MethodPost, action, form, nil)
}

func TestThePageIsBehindTheAdminKey(t *testing.T) {
	w := start(t)
	m := w.make("shop")
	one := "/console/instances/" + string(m.id)
	v := w.visitor()
	if page := v.page("/"); !strings.Contains(page, `name="key"`) || strings.Contains(page, "shop") {
		t.Errorf("a stranger sees %s", page)
	}
	v.visit(http.MethodGet, one, nil, nil).leadsTo("/?next=" + one)
	v.visit(http.MethodGet, one+"/ask/delete", nil, nil).leadsTo("/")
	for _, path := range []string{"/console/events", one + "/events", one, "/console/new"} {
		if got := v.visit(http.MethodGet, path, nil, http.Header{"Accept": {"text/event-stream"}}); got.status != http.StatusUnauthorized {
			t.Errorf("%s: status %d for a stranger", path, got.status)
		}
	}
	for _, path := range []string{"/console/logout", "/console/instances", one + "/connect", one + "/password", one + "/restart", one + "/logout", one + "/delete"} {
		if got := v.visit(http.MethodPost, path, url.Values{"formToken": {"x"}}, nil); got.status != http.StatusUnauthorized {
			t.Errorf("POST %s: status %d for a stranger", path, got.status)
		}
	}

	for _, key := range []string{"", "wrong", m.token} {
		got := v.visit(http.MethodPost, "/console/login", url.Values{"key": {key}}, nil)
		if got.status != http.StatusUnauthorized || got.header.Get("Set-Cookie") != "" {
			t.Errorf("a wrong key: status %d, cookie %q", got.status, got.header.Get("Set-Cookie"))
		}
		if key != "" && strings.Contains(string(got.body), key) {
			t.Error("the page repeats the key that was tried")
		}
	}
	got := v.visit(http.MethodPost, "/console/login", url.Values{"key": {adminKey}, "next": {one}}, nil).leadsTo(one)
	cookie := got.header.Get("Set-Cookie")
	for _, wanted := range []string{"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"} {
		if !strings.Contains(cookie, wanted) {
			t.Errorf("the cookie is not %s", wanted)
		}
	}
	if strings.Contains(cookie, "Secure") || strings.Contains(cookie, adminKey) {
		t.Error("the cookie is for TLS alone, or holds the key")
	}
	page := v.page(one)
	if !strings.Contains(page, "shop") || strings.Contains(page, adminKey) || strings.Contains(page, m.token) {
		t.Errorf("the page of the instance is %s", page)
	}
	if !strings.Contains(v.page("/"), "shop") {
		t.Error("the list does not have the instance")
	}

	kept := strings.SplitN(cookie, ";", 2)[0]
	v.submit("/", "/console/logout", nil).leadsTo("/")
	if strings.Contains(v.page("/"), "shop") {
		t.Error("signed out, and still there")
	}
	for _, forged := range []string{kept, kept + "x", "pairgate_console=", "pairgate_console=AAAA"} {
		if got := v.visit(http.MethodGet, "/console/events", nil, http.Header{"Accept": {"*/*"}, "Cookie": {forged}}); got.status != http.StatusUnauthorized {
			t.Errorf("status %d with a cookie that is over or forged", got.status)
		}
	}
}

func TestLoginLeadsNowhereElse(t *testing.T) {
	w := start(t)
	v := w.visitor()
	for _, next := range []string{"https://evil.example/", "//evil.example", "/v1/instances", "/console/instances/../../x"} {
		v.visit(http.MethodPost, "/console/login", url.Values{"key": {adminKey}, "next": {next}}, nil).leadsTo("/")
	}
	over := v.visit(http.MethodPost, "/console/login", url.Values{"key": {adminKey}}, http.Header{"X-Forwarded-Proto": {"https"}})
	if !strings.Contains(over.header.Get("Set-Cookie"), "Secure") {
		t.Error("over TLS, and the cookie is not for TLS alone")
	}
}

func TestLoginsOfOneAddressAreLimited(t *testing.T) {
	w := start(t)
	v := w.visitor()
	limited := false
	for range 10 {
		got := v.visit(http.MethodPost, "/console/login", url.Values{"key": {"wrong"}}, nil)
		limited = limited || got.status == http.StatusTooManyRequests && got.header.Get("Retry-After") != ""
	}
	if !limited {
		t.Error("ten wrong keys in a row")
	}
	if got := v.visit(http.MethodPost, "/console/login", url.Values{"key": {adminKey}}, nil); got.status != http.StatusTooManyRequests {
		t.Errorf("status %d: a guess that is right tells so", got.status)
	}
}

func TestAnotherGatewayWithTheSameKeyKnowsTheSession(t *testing.T) {
	w := start(t)
	login := w.visitor().visit(http.MethodPost, "/console/login", url.Values{"key": {adminKey}}, nil).leadsTo("/")
	cookie := strings.SplitN(login.header.Get("Set-Cookie"), ";", 2)[0]
	for key, wanted := range map[string]int{adminKey: http.StatusOK, "another-admin-key-0002": http.StatusSeeOther} {
		w.run(w.conn, func(cfg *gateway.Config, _ *gateway.Deps) { cfg.AdminKey = seal.Secret(key) })
		if got := w.visitor().visit(http.MethodGet, "/console/new", nil, http.Header{"Cookie": {cookie}}); got.status != wanted {
			t.Errorf("status %d, want %d", got.status, wanted)
		}
	}
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	w := start(t)
	m := w.make("shop")
	one := "/console/instances/" + string(m.id)
	v := w.visitor().signIn()
	token := formToken.FindStringSubmatch(v.page(one))[1]
	other := formToken.FindStringSubmatch(w.visitor().signIn().page("/"))[1]
	for name, tt := range map[string]struct {
		token  string
		header http.Header
	}{
		"no token":              {"", nil},
		"a token of my own":     {strings.Repeat("A", len(token)), nil},
		"another session's":     {other, nil},
		"another origin":        {token, http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": nil}},
		"a site beside":         {token, http.Header{"Sec-Fetch-Site": {"same-site"}}},
		"a site elsewhere":      {token, http.Header{"Sec-Fetch-Site": {"cross-site"}}},
		"another type of forms": {token, http.Header{"Content-Type": {"text/plain"}}},
	} {
		got := v.visit(http.MethodPost, one+"/delete", url.Values{"formToken": {tt.token}}, tt.header)
		if got.status != http.StatusForbidden && got.status != http.StatusBadRequest {
			t.Errorf("%s: status %d", name, got.status)
		}
	}
	if got := v.visit(http.MethodPost, "/console/login", url.Values{"key": {adminKey}}, http.Header{"Sec-Fetch-Site": {"cross-site"}}); got.status != http.StatusForbidden {
		t.Errorf("a login from elsewhere: status %d", got.status)
	}
	if n := w.registry.count(bus.SubjectInstancesDelete); n != 0 {
		t.Errorf("%d deletions", n)
	}
}

func TestThePageMayNotBeFramedCachedOrScripted(t *testing.T) {
	w := start(t)
	m := w.make("shop")
	v := w.visitor().signIn()
	for _, path := range []string{"/", "/console/new", "/console/instances/" + string(m.id), "/console/instances/" + string(m.id) + "/ask/delete",
		"/console/instances/nothing", "/console/assets/console.css", "/console/assets/console.js", "/console/assets/icon.svg", "/console/assets/nothing"} {
		got := v.visit(http.MethodGet, path, nil, nil)
		for name, wanted := range map[string]string{"X-Frame-Options": "DENY", "Cache-Control": "no-store", "Referrer-Policy": "same-origin",
			"X-Content-Type-Options": "nosniff"} {
			if got.header.Get(name) != wanted {
				t.Errorf("%s: %s is %q", path, name, got.header.Get(name))
			}
		}
		policy := got.header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: the policy is %q", path, policy)
		}
		if strings.HasPrefix(got.header.Get("Content-Type"), "text/html") {
			for _, inline := range []string{"<style", " style=", " onclick=", "<script>", "javascript:"} {
				if strings.Contains(string(got.body), inline) {
					t.Errorf("%s has %s", path, inline)
				}
			}
		}
	}
}

func TestOnlyBrowsersGetThePage(t *testing.T) {
	w := start(t)
	for _, accept := range []string{"", "*/*", "application/json", "text/html;q=0"} {
		got := w.send(http.MethodGet, "/", "", "", http.Header{"Accept": {accept}}).want(http.StatusOK)
		if got.json()["version"] != "2.3.7" {
			t.Errorf("Accept %q: %s", accept, got.body)
		}
	}
	// A browser's Accept changes nothing about the API, and its cookie opens nothing there.
	v := w.visitor().signIn()
	v.visit(http.MethodGet, "/v1/instances", nil, nil).wantCode(http.StatusUnauthorized, instance.CodeUnauthorized)
}

func TestFormsDoWhatTheySay(t *testing.T) {
	w := start(t)
	v := w.visitor().signIn()
	bad := v.submit("/console/new", "/console/instances", url.Values{"name": {"a/b"}, "provider": {"simulated"}})
	if bad.status != http.StatusBadRequest || !strings.Contains(string(bad.body), `id="bad-name"`) || !strings.Contains(string(bad.body), `value="a/b"`) {
		t.Errorf("status %d: %s", bad.status, bad.body)
	}
	made := v.submit("/console/new", "/console/instances", url.Values{"name": {"<b>shop&co"}, "provider": {"simulated"}})
	one := made.header.Get("Location")
	made.leadsTo(one)
	if page := v.page(one); !strings.Contains(page, "&lt;b&gt;shop&amp;co") || strings.Contains(page, "<b>shop") {
		t.Errorf("the name is not shown as text: %s", page)
	}
	if page := v.page("/?name=SHOP&phase=idle&provider=simulated"); !strings.Contains(page, one) {
		t.Error("the filter hides what it should show")
	}
	for _, query := range []string{"?name=other", "?phase=online", "?provider=max"} {
		if page := v.page("/" + query); strings.Contains(page, one) {
			t.Errorf("%s shows what it should hide", query)
		}
	}
	if got := v.visit(http.MethodGet, "/?phase=nonsense", nil, nil); got.status != http.StatusBadRequest {
		t.Errorf("status %d for a phase that is none", got.status)
	}
	id := strings.TrimPrefix(one, "/console/instances/")
	w.registry.after = func(of instance.ID, request uint64) {
		w.publish(status(of, instance.Pairing, 1, request))
		w.publish(code(of, "first", 1, 1))
		w.publish(picture(of, "first", 1, 1))
	}
	v.submit(one, one+"/connect", url.Values{"method": {"qr"}}).leadsTo(one)
	if page := v.page(one); !strings.Contains(page, `src="data:image/png;base64,`) || !strings.Contains(page, `data-sequence="1"`) {
		t.Errorf("no picture: %s", page)
	}
	w.registry.after = func(of instance.ID, request uint64) { w.publish(status(of, instance.Online, 1, request)) }
	v.submit(one, one+"/restart", nil).leadsTo(one)
	bustest.CheckFor(t, patience, func() error {
		if page := v.page(one); strings.Contains(page, "data:image") || strings.Count(page, `data-phase="`) < 3 {
			return errNotYet{"phase": page}
		}
		return nil
	})
	if page := v.page(one + "/ask/logout"); !strings.Contains(page, "Log out?") {
		t.Error("nobody is asked before the logout")
	}
	v.submit(one+"/ask/logout", one+"/logout", nil).leadsTo(one)
	v.submit(one+"/ask/delete", one+"/delete", nil).leadsTo("/")
	if got := v.visit(http.MethodGet, one, nil, nil); got.status != http.StatusNotFound {
		t.Errorf("status %d for a deleted instance", got.status)
	}
	for _, subject := range []string{bus.SubjectInstancesConnect, bus.SubjectInstancesLogout, bus.SubjectInstancesRestart, bus.SubjectInstancesDelete} {
		if last, ok := w.registry.lastOf(subject).(interface{ GetRef() string }); !ok || last.GetRef() != id {
			t.Errorf("%s was not asked for this instance", subject)
		}
	}
}

func TestCodesAndPasswordsAreTypedOnThePage(t *testing.T) {
	w := start(t)
	m := w.make("shop")
	one := "/console/instances/" + string(m.id)
	v := w.visitor().signIn()
	if got := v.submit(one, one+"/connect", url.Values{"method": {"code"}, "phone": {"nobody"}}); got.status != http.StatusBadRequest || !strings.Contains(string(got.body), `href="`+one+`"`) {
		t.Errorf("status %d for a phone that is none: %s", got.status, got.body)
	}
	w.registry.after = func(of instance.ID, request uint64) {
		w.publish(status(of, instance.Pairing, 1, request))
		w.publish(typed(of, "ABCD1234", 1))
	}
	v.submit(one, one+"/connect", url.Values{"method": {"code"}, "phone": {"+1 (555) 01-00"}}).leadsTo(one)
	if asked, ok := w.registry.lastOf(bus.SubjectInstancesConnect).(*pb.ConnectRequest); !ok || asked.GetPhone() != "15550100" || asked.GetMethod() != "code" {
		t.Errorf("the registry was asked for %v", asked)
	}
	if page := v.page(one); !strings.Contains(page, "ABCD-1234") {
		t.Errorf("no pairing code: %s", page)
	}
	w.publish(status(m.id, instance.PasswordRequired, 1, 1))
	w.shows(m, instance.PasswordRequired, 1)
	if page := v.page(one); strings.Contains(page, "ABCD") || !strings.Contains(page, `name="password" type="password"`) {
		t.Errorf("nobody can type the password: %s", page)
	}
	v.submit(one, one+"/password", url.Values{"password": {" sesame "}}).leadsTo(one)
	if asked, ok := w.registry.lastOf(bus.SubjectInstancesPassword).(*pb.PasswordRequest); !ok || asked.GetPassword() != " sesame " {
		t.Error("the password did not reach the session as it was typed")
	}
	if strings.Contains(v.page(one), "sesame") {
		t.Error("the page holds the password")
	}
}

func TestWebhooksAreShownWithoutSecrets(t *testing.T) {
	w := start(t)
	m := w.make("shop")
	w.registry.mu.Lock()
	w.registry.webhooks["a"] = &pb.Webhook{Id: "a", InstanceId: string(m.id), Url: "https://user:sesame@example.com/in?key=sesame", Format: "native",
		DisabledReason: "gone", Secret: "sesame"}
	w.registry.mu.Unlock()
	page := w.visitor().signIn().page("/console/instances/" + string(m.id))
	if strings.Contains(page, "sesame") || !strings.Contains(page, "https://example.com/in?…") || !strings.Contains(page, "Off: gone") {
		t.Errorf("%s", page)
	}
}

func TestLastDeliveriesAreShown(t *testing.T) {
	w := start(t)
	startDispatcher(w)
	m := w.make("shop")
	w.registry.mu.Lock()
	w.registry.webhooks["a"] = &pb.Webhook{Id: "a", InstanceId: string(m.id), Url: "https://example.com/in", Enabled: true}
	w.registry.mu.Unlock()
	page := w.visitor().signIn().page("/console/instances/" + string(m.id))
	for _, want := range []string{"Failing", "<code>status</code> failed: HTTP 500"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "sesame") {
		t.Error("the page shows what the receiver answered")
	}
}

func TestThePageIsLive(t *testing.T) {
	w := start(t)
	m := w.make("shop")
	v := w.visitor().signIn()
	target, err := url.Parse(v.url)
	if err != nil {
		t.Fatal(err)
	}
	cookie := v.http.Jar.Cookies(target)[0].String()
	list := w.eventsWith("/console/events", http.Header{"Cookie": {cookie}})
	one := w.eventsWith("/console/instances/"+string(m.id)+"/events", http.Header{"Cookie": {cookie}})
	if got := v.visit(http.MethodHead, "/console/events", nil, nil); got.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("the head of a stream is of %s", got.header.Get("Content-Type"))
	}
	// All parts come at once, and then those that change.
	list.wantPart("rows", "Not linked")
	one.wantPart("status", "Not linked")
	one.wantPart("code", "No code is shown")
	w.publish(status(m.id, instance.Pairing, 1, 0))
	list.wantPart("rows", "Waiting for the phone")
	one.wantPart("status", "Waiting for the phone")
	w.publish(code(m.id, "first", 1, 1))
	w.publish(picture(m.id, "first", 1, 1))
	one.wantPart("code", `data-sequence="1"`)
	w.publish(code(m.id, "second", 1, 2))
	w.publish(picture(m.id, "second", 1, 2))
	one.wantPart("code", `data-sequence="2"`)
	w.publish(status(m.id, instance.Online, 1, 0))
	one.wantPart("status", "Online")
	one.wantPart("history", `data-phase="online"`)
	w.admin(http.MethodDelete, m.path, "").want(http.StatusNoContent)
	one.wantGone()
	list.wantPart("rows", "There is no instance yet")
}

// wantPart reads on until the part holds the text.
func (s *stream) wantPart(id, text string) {
	s.Helper()
	for {
		ev, ok := s.next()
		if !ok {
			s.Fatalf("the stream ended before %q came in %s", text, id)
		}
		var part struct{ ID, HTML string }
		if ev.kind != "part" {
			continue
		}
		if err := json.Unmarshal([]byte(ev.data), &part); err != nil {
			s.Fatal(err)
		}
		if part.ID == id && strings.Contains(part.HTML, text) {
			return
		}
	}
}

// wantGone reads on until the page is over, and the stream with it.
func (s *stream) wantGone() {
	s.Helper()
	for kind := ""; kind != "gone"; {
		ev, ok := s.next()
		if !ok {
			s.Fatal("the stream ended without a word")
		}
		kind = ev.kind
	}
	if ev, ok := s.next(); ok {
		s.Errorf("after the end came %q", ev.kind)
	}
}
