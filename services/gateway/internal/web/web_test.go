package web_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/gateway/internal/web"
)

func problemOf(t *testing.T, w *httptest.ResponseRecorder) (code string) {
	t.Helper()
	var p struct{ Code string }
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return p.Code
}

func TestAPanicAndAHiddenErrorTellNothing(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	rt := web.NewRouter(zap.New(core), nil)
	rt.Handle(http.MethodGet, "/panic", func(http.ResponseWriter, *http.Request) error { panic("sesame") })
	rt.Handle(http.MethodGet, "/nil", func(_ http.ResponseWriter, r *http.Request) error {
		_ = []int{}[len(r.URL.Path)]
		return nil
	})
	rt.Handle(http.MethodGet, "/error", func(http.ResponseWriter, *http.Request) error { return errors.New("the disk is full") })
	for _, path := range []string{"/panic", "/nil", "/error"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, path+"?secret=sesame", nil)
		r.Header.Set("X-Request-Id", "id-of-"+path[1:])
		rt.ServeHTTP(w, r)
		if w.Code != http.StatusInternalServerError || problemOf(t, w) != string(instance.CodeInternal) || strings.Contains(w.Body.String(), "disk") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if logs.FilterField(zap.String("request", "id-of-"+path[1:])).FilterLevelExact(zapcore.ErrorLevel).Len() != 1 {
			t.Errorf("%s is not in the log under its request id", path)
		}
	}
	for _, line := range logs.All() {
		if text, err := json.Marshal(line.ContextMap()); err != nil || strings.Contains(string(text)+line.Message, "sesame") {
			t.Errorf("%v in the log: %s", err, text)
		}
	}
}

func TestAFailureAfterTheAnswerBeganEndsTheConnection(t *testing.T) {
	rt := web.NewRouter(zap.NewNop(), nil)
	rt.Handle(http.MethodGet, "/half", func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusOK)
		return errors.New("no more")
	})
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("%v", v)
		}
	}()
	rt.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/half", nil))
}

func TestLimiterBoundsBurstsOfEachCaller(t *testing.T) {
	l := web.NewLimiter(2)
	for i := range 4 {
		if err := l.Allow(httptest.NewRecorder(), "a"); err != nil {
			t.Errorf("request %d of a burst: %v", i, err)
		}
	}
	refused := 0
	for range 100 {
		if l.Allow(httptest.NewRecorder(), "a") != nil {
			refused++
		}
	}
	if refused < 50 {
		t.Errorf("%d of 100 refused", refused)
	}
	if err := l.Allow(httptest.NewRecorder(), "b"); err != nil {
		t.Error(err)
	}
}

func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"", "wait=5", "wait=61", "wait=-1", "wait=5&wait=9", "size=12&invert=true", "%zz", "a=%00&=;", "size=99999999999999999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q := web.ParseQuery(raw)
		wait := q.Wait()
		if wait < 0 || wait > web.MaxWait || wait%time.Second != 0 {
			t.Errorf("wait %v", wait)
		}
		size, invert := q.Uint32("size"), q.Bool("invert")
		bad := func(name string) bool {
			return slices.ContainsFunc(q.Bad, func(e instance.FieldError) bool { return e.Field == name })
		}
		if size != 0 && bad("size") || invert && bad("invert") || wait != 0 && bad("wait") {
			t.Errorf("a bad parameter has a value: %v", q.Bad)
		}
		for _, e := range q.Bad {
			if len(raw) > 12 && strings.Contains(e.Message, raw) {
				t.Errorf("the message repeats what was sent: %s", e.Message)
			}
		}
	})
}
