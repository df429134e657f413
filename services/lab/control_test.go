package lab_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skip2/go-qrcode"

	"pairgate.dev/services/lab"
	"pairgate.dev/services/lab/labapi"
)

// do sends a request as curl would and returns the status and the body.
func do(t *testing.T, l *lab.Lab, method, path, contentType string, body []byte, edit ...func(*http.Request)) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+l.Addrs().Control+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for _, f := range edit {
		f(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode >= 400 && resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %s: an error of type %q", method, path, resp.Header.Get("Content-Type"))
	}
	return resp.StatusCode, raw
}

func TestControlRefusals(t *testing.T) {
	l, c := startLab(t, lab.Config{}, lab.Deps{})
	const phone = "79001234567"
	addAccount(t, c, phone)
	qr, err := qrcode.Encode("nobody shows this", qrcode.Medium, 256)
	if err != nil {
		t.Fatal(err)
	}
	var blank, huge bytes.Buffer
	if err := png.Encode(&blank, image.NewGray(image.Rect(0, 0, 64, 64))); err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(&huge, image.NewGray(image.Rect(0, 0, 5000, 1))); err != nil {
		t.Fatal(err)
	}
	at := "/accounts/" + phone
	for _, tc := range []struct {
		name, method, path, contentType, body string
		status                                int
		code, reason                          string
		fields                                []string
	}{
		{"no JSON", "POST", "/accounts", "", "hello", 400, "invalid_json", "", nil},
		{"no body", "POST", "/accounts", "", "", 400, "invalid_json", "", nil},
		{"an array", "POST", "/accounts", "", "[]", 400, "invalid_json", "", nil},
		{"null", "POST", "/accounts", "", "null", 400, "invalid_json", "", nil},
		{"nothing in it", "POST", "/accounts", "", "{}", 400, "invalid_request", "", []string{"phone", "provider"}},
		{"everything wrong", "POST", "/accounts", "", `{"provider":1,"phone":"+7900","name":"a\u0000b","password":{},"passkey":"yes","pin":1,"x":2}`,
			400, "invalid_request", "", []string{"name", "passkey", "password", "phone", "pin", "provider", "x"}},
		{"max", "POST", "/accounts", "", `{"provider":"max","phone":"79001"}`, 400, "invalid_request", "", []string{"provider"}},
		{"whatsapp", "POST", "/accounts", "", `{"provider":"whatsapp","phone":"079001","password":"x"}`, 400, "invalid_request", "", []string{"password", "phone"}},
		{"max", "POST", "/accounts", "", `{"provider":"max","phone":"79001"}`, 400, "invalid_request", "", []string{"provider"}},
		{"a phone twice", "POST", "/accounts", "", `{"provider":"simulated","phone":"` + phone + `"}`, 409, "conflict", "phone_taken", nil},
		{"a large body", "POST", "/accounts", "", `{"name":"` + strings.Repeat("x", 70_000) + `"}`, 413, "body_too_large", "", nil},
		{"an unknown phone", "GET", "/accounts/79009999999", "", "", 404, "not_found", "unknown_phone", nil},
		{"a scan of an unknown phone", "POST", "/accounts/79009999999/scan", "", `{"code":"x"}`, 404, "not_found", "unknown_phone", nil},
		{"an unknown route", "GET", "/nothing", "", "", 404, "not_found", "", nil},
		{"an unknown code", "POST", at + "/scan", "", `{"code":"x"}`, 409, "conflict", "unknown_code", nil},
		{"no code", "POST", at + "/scan", "", `{}`, 400, "invalid_request", "", []string{"code"}},
		{"a code of a wrong type", "POST", at + "/enter-code", "", `{"code":7}`, 400, "invalid_request", "", []string{"code"}},
		{"an unknown pairing code", "POST", at + "/enter-code", "", `{"code":"ABCD-1234"}`, 409, "conflict", "unknown_code", nil},
		{"a picture of another code", "POST", at + "/scan", "image/png", string(qr), 409, "conflict", "unknown_code", nil},
		{"a picture of nothing", "POST", at + "/scan", "image/png", blank.String(), 400, "invalid_request", "no_qr_in_picture", nil},
		{"no picture", "POST", at + "/scan", "image/png", "hello", 400, "invalid_request", "bad_picture", nil},
		{"half a picture", "POST", at + "/scan", "image/png", string(qr[:len(qr)/2]), 400, "invalid_request", "bad_picture", nil},
		{"a wide picture", "POST", at + "/scan", "image/png", huge.String(), 400, "invalid_request", "bad_picture", nil},
		{"a large picture", "POST", at + "/scan", "image/png", strings.Repeat("x", 5<<20), 413, "body_too_large", "", nil},
		{"unlink nothing", "POST", at + "/unlink", "", "", 409, "conflict", "not_linked", nil},
		{"replace nothing", "POST", at + "/replace", "", "", 409, "conflict", "not_connected", nil},
		{"drop nothing", "POST", at + "/drop", "", `{"device":"x"}`, 409, "conflict", "not_connected", nil},
		{"a ban in the past", "POST", at + "/ban", "", `{"until":"2001-01-01T00:00:00Z"}`, 400, "invalid_request", "", []string{"until"}},
		{"a ban of both kinds", "POST", at + "/ban", "", `{"until":"2099-01-01T00:00:00Z","seconds":5}`, 400, "invalid_request", "", []string{"seconds"}},
		{"a strange suspension", "POST", at + "/suspend", "", `{"seconds":-1,"until":"tomorrow","why":1}`, 400, "invalid_request", "", []string{"seconds", "until", "why"}},
		{"an unban with a body", "POST", at + "/unban", "", `{"x":1}`, 400, "invalid_request", "", []string{"x"}},
		{"a challenge for an account without passkey", "POST", at + "/passkey", "", `{"options":{"challenge":"x"}}`, 409, "conflict", "passkey_refused", nil},
		{"no challenge", "POST", at + "/passkey", "", `{}`, 400, "invalid_request", "", []string{"options"}},
		{"strange faults", "POST", "/faults", "", `{"minimumClientVersion":"new","refusedLogins":-1,"codeLifeSeconds":0.001,"slowAnswersMs":90000}`,
			400, "invalid_request", "", []string{"codeLifeSeconds", "minimumClientVersion", "refusedLogins", "slowAnswersMs"}},
		{"faults of wrong types", "POST", "/faults", "", `{"silence":"yes","cutLinks":1.5,"earthquake":true}`, 400, "invalid_request", "", []string{"cutLinks", "earthquake", "silence"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, raw := do(t, l, tc.method, tc.path, tc.contentType, []byte(tc.body))
			var p labapi.Problem
			if err := json.Unmarshal(raw, &p); err != nil {
				t.Fatalf("%d with a body that is no problem: %s", status, raw)
			}
			var fields []string
			for _, f := range p.Errors {
				fields = append(fields, f.Field)
			}
			slices.Sort(fields)
			if status != tc.status || p.Status != tc.status || p.Code != tc.code || p.Reason != tc.reason || !slices.Equal(fields, tc.fields) {
				t.Errorf("got %d %s %q for %q, want %d %s %q for %q", status, p.Code, p.Reason, fields, tc.status, tc.code, tc.reason, tc.fields)
			}
			if p.Detail == "" || p.Title == "" || p.Type == "" {
				t.Errorf("a problem that says too little: %s", raw)
			}
		})
	}
	if f, err := c.Faults(t.Context()); err != nil || f != (labapi.Faults{}) {
		t.Errorf("refused faults have left something: %+v, %v", f, err)
	}
}

func TestAccountsAreShown(t *testing.T) {
	l, c := startLab(t, lab.Config{}, lab.Deps{})
	status, raw := do(t, l, "POST", "/accounts", "", []byte(`{"provider":"simulated","phone":"79001234567","name":"Ada","password":"hunter2"}`))
	if want := `{"provider":"simulated","phone":"79001234567","name":"Ada","hasPassword":true,"passkey":false,"devices":[]}`; status != 201 || strings.TrimSpace(string(raw)) != want {
		t.Fatalf("%d %s", status, raw)
	}
	addAccount(t, c, "79001234568")
	d := dial(t, l.Addrs().Simulated)
	keys := d.link(c, 1, "79001234568")
	d.send(presence(true))
	d.send(presence(false))
	var shown []labapi.Device
	waitFor(t, "two messages", func() bool {
		shown = devices(t, c, "79001234568")
		return len(shown) == 1 && len(shown[0].Sent) == 2
	})
	got := shown[0]
	if got.ID != keys.Device || got.Name != "Test" || got.Instance != "instance-1" || !got.Connected || got.ConnectedAt == nil ||
		got.Sent[0].Text != "available" || got.Sent[1].Text != "unavailable" || got.LinkedAt.IsZero() {
		t.Errorf("the device is shown as %+v", got)
	}
	if status, raw := do(t, l, "GET", "/accounts", "", nil); status != 200 || strings.Contains(string(raw), "hunter2") || strings.Contains(string(raw), keys.Key) {
		t.Errorf("%d, or a secret is shown", status)
	}
	all, err := c.Accounts(t.Context())
	if err != nil || len(all) != 2 || all[0].Phone != "79001234567" {
		t.Errorf("listed %d accounts, %v", len(all), err)
	}
	_ = d.nc.Close()
	waitFor(t, "the device to be away", func() bool { return !devices(t, c, "79001234568")[0].Connected })
}

func TestRestrictionsAreShownAndEnd(t *testing.T) {
	l, c := startLab(t, lab.Config{}, lab.Deps{})
	const phone = "79001234567"
	addAccount(t, c, phone)
	d := dial(t, l.Addrs().Simulated)
	d.link(c, 1, phone)
	if status, _ := do(t, l, "POST", "/accounts/"+phone+"/suspend", "", []byte(`{"seconds":0.2}`)); status != 204 {
		t.Fatalf("suspend: %d", status)
	}
	if f := d.await("suspended"); f.UntilMillis == 0 {
		t.Error("the device is not told until when")
	}
	d.await("unsuspended")
	if a, err := c.Account(t.Context(), phone); err != nil || a.Suspended != nil {
		t.Errorf("still shown as suspended (%v)", err)
	}
	if err := c.Suspend(t.Context(), phone, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if a, err := c.Account(t.Context(), phone); err != nil || a.Suspended == nil || a.Suspended.Until != nil {
		t.Errorf("not shown as suspended for good (%v)", err)
	}
	for range 2 { // taking back what is not there is no harm
		if err := c.Unsuspend(t.Context(), phone); err != nil {
			t.Fatal(err)
		}
		if err := c.Unban(t.Context(), phone); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Ban(t.Context(), phone, time.Time{}); err != nil {
		t.Fatal(err)
	}
	d.await("closed")
	text := d.pair(2)
	status, raw := do(t, l, "POST", "/accounts/"+phone+"/scan", "", fmt.Appendf(nil, `{"code":%q}`, text))
	if status != 409 || !strings.Contains(string(raw), `"reason":"banned"`) {
		t.Errorf("a banned phone scanned: %d %s", status, raw)
	}
}

func TestFaultsAreMergedAndCleared(t *testing.T) {
	l, c := startLab(t, lab.Config{}, lab.Deps{})
	for _, body := range []string{`{"slowAnswersMs":5}`, `{"minimumClientVersion":"2.3"}`} {
		if status, raw := do(t, l, "POST", "/faults", "", []byte(body)); status != 200 {
			t.Fatalf("%d %s", status, raw)
		}
	}
	if f, err := c.Faults(t.Context()); err != nil || f != (labapi.Faults{SlowAnswersMs: 5, MinimumClientVersion: "2.3"}) {
		t.Errorf("faults are %+v, %v", f, err)
	}
	if status, _ := do(t, l, "DELETE", "/faults", "", nil); status != 204 {
		t.Errorf("DELETE: %d", status)
	}
	if f, err := c.Faults(t.Context()); err != nil || f != (labapi.Faults{}) {
		t.Errorf("after DELETE faults are %+v, %v", f, err)
	}
	if status, raw := do(t, l, "GET", "/healthz", "", nil); status != 200 {
		t.Errorf("healthz: %d %s", status, raw)
	}
}

// Decision: whoever is on this machine may use the lab, but no web page that he looks at.
func TestWebPagesMayNotUseTheLab(t *testing.T) {
	l, _ := startLab(t, lab.Config{}, lab.Deps{})
	for name, edit := range map[string]func(*http.Request){
		"another name for this machine": func(r *http.Request) { r.Host = "evil.example" },
		"another site's page":           func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"another origin":                func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
	} {
		if status, raw := do(t, l, "POST", "/faults", "", []byte(`{"silence":true}`), edit); status != 403 {
			t.Errorf("%s: %d %s", name, status, raw)
		}
	}
}
