package service_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"pairgate.dev/pkg/seal"
	"pairgate.dev/pkg/service"
	pb "pairgate.dev/proto/pairgate/v1"
)

func TestLogLineIsJSONWithServiceAndIds(t *testing.T) {
	var out bytes.Buffer
	log, _ := service.NewLogger(service.LogOptions{Name: "gateway", Output: &out})
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}))
	log.Debug("not written")
	log.Info("hello", service.RequestID("r"), service.InstanceID("i"), service.TraceID(ctx), service.TraceID(context.Background()), zap.Error(errors.New("why")))
	var line map[string]string
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	for name, want := range map[string]string{
		"service": "gateway", "level": "info", "msg": "hello", "request": "r", "instance": "i", "error": "why",
		"trace": "01000000000000000000000000000000",
	} {
		if line[name] != want {
			t.Errorf("%s is %q", name, line[name])
		}
	}
	if !strings.HasSuffix(line["time"], "Z") {
		t.Errorf("time is %q, not UTC", line["time"])
	}
}

func TestLevelChangesWhileInUse(t *testing.T) {
	var out bytes.Buffer
	log, level := service.NewLogger(service.LogOptions{Name: "x", Level: zapcore.InfoLevel, Format: "console", Output: &out})
	with := log.With(zap.Int("n", 1))
	with.Debug("before")
	level.SetLevel(zapcore.DebugLevel)
	with.Debug("after")
	if got := out.String(); strings.Contains(got, "before") || !strings.Contains(got, "after") {
		t.Errorf("got %q", got)
	}
}

type account struct{ phone, name string }

func (a account) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("phone", a.phone)
	enc.AddString("name", a.name)
	return nil
}

func TestFieldsNamedLikeSecretsAreNeverWritten(t *testing.T) {
	var out bytes.Buffer
	log, _ := service.NewLogger(service.LogOptions{Name: "x", Output: &out})
	secret := map[string]any{"api_key": "sesame", "plain": "kept"}
	log.With(zap.String("token", "sesame"), zap.String("kept0", "kept")).Info("hello",
		zap.String("Authorization", "sesame"), zap.ByteString("instance-token", []byte("sesame")), zap.Strings("passwords_password", []string{"sesame"}),
		zap.String("code", "sesame"), zap.String("pairingCode", "sesame"), zap.String("account_phone", "sesame"), zap.String("client.secret", "sesame"),
		zap.Object("account", account{"sesame", "kept"}), zap.Inline(account{"sesame", "kept"}), zap.Objects("accounts", []account{{"sesame", "kept"}}),
		zap.Any("map", secret), zap.Any("nested", map[string]any{"a": []any{secret}}), zap.Any("header", http.Header{"Authorization": {"sesame"}}),
		zap.Any("struct", struct{ Password, Other string }{"sesame", "kept"}), zap.Any("secret type", seal.Secret("sesame")),
		zap.Any("message", &pb.Problem{Detail: "sesame"}), zap.Any("unprintable", func() string { return "sesame" }),
		zap.String("exit_code", "kept"), zap.Dict("dict", zap.String("cookie", "sesame")))
	line := out.String()
	if strings.Contains(line, "sesame") {
		t.Errorf("a secret was written: %s", line)
	}
	if !json.Valid(out.Bytes()) {
		t.Errorf("not JSON: %s", line)
	}
	if n := strings.Count(line, "kept"); n < 8 {
		t.Errorf("too much was redacted: %s", line)
	}
	if secret["api_key"] != "sesame" {
		t.Error("the caller's map was changed")
	}
}

func TestLogLevelIsChangedOverHTTPFromThisMachineOnly(t *testing.T) {
	_, level := service.NewLogger(service.LogOptions{Output: &bytes.Buffer{}})
	h := service.OpsHandler(service.NewHealth(), service.NewMetrics(), level)
	put := func(from string) int {
		r := httptest.NewRequest(http.MethodPut, "/loglevel", strings.NewReader(`{"level":"debug"}`))
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	if got := put("192.0.2.1:1234"); got != http.StatusForbidden || level.Level() != zapcore.InfoLevel {
		t.Errorf("from elsewhere: %d, level %s", got, level)
	}
	if got := put("127.0.0.1:1234"); got != http.StatusOK || level.Level() != zapcore.DebugLevel {
		t.Errorf("from here: %d, level %s", got, level)
	}
}
