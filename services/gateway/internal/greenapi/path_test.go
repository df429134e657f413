package greenapi

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestPathsOfTheProduct(t *testing.T) {
	for _, c := range []struct {
		path string
		want path
	}{
		{"/waInstance1101000001/getSettings/tok", path{number: "1101000001", method: "getSettings", token: "tok"}},
		{"/v3/waInstance3100000001/GetStateInstance/tok", path{v3: true, number: "3100000001", method: "GetStateInstance", token: "tok"}},
		{"//waInstance1/deleteNotification/tok/7", path{number: "1", method: "deleteNotification", token: "tok", tail: []string{"7"}}},
		{"/waInstance1/qr/a%2Fb", path{number: "1", method: "qr", token: "a/b"}},
		{"/waInstance/qr/tok", path{method: "qr", token: "tok"}},
		{"/waInstanceABC/qr/", path{number: "ABC", method: "qr"}},
		{"/v3/partner/createInstance/gac.x", path{partner: true, v3: true, method: "createInstance", token: "gac.x"}},
	} {
		got := parsePath(c.path)
		if got.partner != c.want.partner || got.v3 != c.want.v3 || got.number != c.want.number || got.method != c.want.method ||
			got.token != c.want.token || strings.Join(got.tail, "/") != strings.Join(c.want.tail, "/") {
			t.Errorf("%s: %+v", c.path, got)
		}
		if !matches(httptest.NewRequest(http.MethodGet, "http://host"+c.path, nil)) {
			t.Errorf("%s is not the product's", c.path)
		}
	}
	for _, other := range []string{"/", "/v1/instances", "/v3", "/v3/instances", "/partners/x", "/instance/create", "/wa", "/console"} {
		if matches(httptest.NewRequest(http.MethodGet, "http://host"+other, nil)) {
			t.Errorf("%s is taken for the product's", other)
		}
	}
}

func TestThePageStandsWhereTheMethodStands(t *testing.T) {
	for path, want := range map[string]string{"/waInstance1/tok": "tok", "/waInstance1/tok/v3": "tok", "/v3/waInstance1/tok": "tok",
		"/waInstance1/tok/x": "", "/waInstance1": "", "/waInstance1/tok/v3/x": ""} {
		if token, ok := parsePath(path).page(); ok != (want != "") || ok && token != want {
			t.Errorf("%s: %q %v", path, token, ok)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{"/waInstance1/qr/t", "/v3/waInstance/x", "/partner", "/v3/v3/partner/x/%zz", "////waInstance9/%2F/%2f/a/b/c", "/WAINSTANCE1/QR/T"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, escaped string) {
		all, _ := parts(escaped)
		if len(all) == 0 || !hasPrefixFold(all[0], instancePrefix) && !strings.EqualFold(all[0], "partner") {
			return
		}
		p := parsePath(escaped)
		if n, ok := parseNumber(p.number); ok && (n > maxNumber || p.partner) {
			t.Errorf("%q: number %d", escaped, n)
		}
		if _, ok := p.page(); ok && p.method == "" {
			t.Errorf("%q: a page without a token", escaped)
		}
	})
}
