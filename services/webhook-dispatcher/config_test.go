package dispatcher_test

import (
	"strings"
	"testing"
	"time"

	"pairgate.dev/pkg/service"
	dispatcher "pairgate.dev/services/webhook-dispatcher"
)

func TestConfigurationIsReadFromTheEnvironment(t *testing.T) {
	var c dispatcher.Config
	err := service.Parse([]string{"PAIRGATE_WEBHOOK_RETRY_SCHEDULE=1s,2s", "PAIRGATE_WEBHOOK_ALLOW=127.0.0.0/8,10.0.0.0/8"}, &c)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.RetrySchedule) != 2 || c.RetrySchedule[1] != 2*time.Second || len(c.WebhookAllow) != 2 || c.Timeout != 15*time.Second || c.Concurrency != 256 {
		t.Fatalf("%+v", c)
	}
	var d dispatcher.Config
	if err := service.Parse(nil, &d); err != nil || len(d.RetrySchedule) != 10 {
		t.Fatalf("%v, %v", d.RetrySchedule, err)
	}
}

func TestBadConfigurationIsNamed(t *testing.T) {
	for name, value := range map[string]string{
		"PAIRGATE_WEBHOOK_RETRY_SCHEDULE": "soon",
		"PAIRGATE_WEBHOOK_TIMEOUT":        "90s",
		"PAIRGATE_WEBHOOK_CONCURRENCY":    "1",
		"PAIRGATE_WEBHOOK_ALLOW":          "everywhere",

		"PAIRGATE_EVOLUTION_WEBHOOK_TIMEOUT_MS":                 "300001",
		"PAIRGATE_EVOLUTION_WEBHOOK_JITTER_FACTOR":              "2",
		"PAIRGATE_EVOLUTION_WEBHOOK_NON_RETRYABLE_STATUS_CODES": "400,4",
		"PAIRGATE_EVOLUTION_WEBHOOK_MAX_ATTEMPTS":               "-1",
	} {
		var c dispatcher.Config
		err := service.Parse([]string{name + "=" + value}, &c)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// People bring their file of Evolution API's variables along.
func TestEvolutionsOwnNamesAreRead(t *testing.T) {
	var c dispatcher.Config
	err := service.Parse([]string{"SERVER_URL=https://api.example.com", "AUTHENTICATION_EXPOSE_IN_FETCH_INSTANCES=true", "WEBHOOK_REQUEST_TIMEOUT_MS=60000",
		"WEBHOOK_RETRY_MAX_ATTEMPTS=3", "WEBHOOK_RETRY_INITIAL_DELAY_SECONDS=1", "WEBHOOK_RETRY_USE_EXPONENTIAL_BACKOFF=false", "WEBHOOK_RETRY_MAX_DELAY_SECONDS=9",
		"WEBHOOK_RETRY_JITTER_FACTOR=0.5", "WEBHOOK_RETRY_NON_RETRYABLE_STATUS_CODES=400,418", "WEBHOOK_GLOBAL_ENABLED=true", "WEBHOOK_GLOBAL_URL=https://example.com/g",
		"WEBHOOK_GLOBAL_WEBHOOK_BY_EVENTS=true", "WEBHOOK_EVENTS_QRCODE_UPDATED=true", "WEBHOOK_EVENTS_LOGOUT_INSTANCE=true", "WEBHOOK_EVENTS_MESSAGES_UPSERT=true",
		"PAIRGATE_EVOLUTION_WEBHOOK_MAX_DELAY_SECONDS=11"}, &c)
	if err != nil {
		t.Fatal(err)
	}
	e := c.Evolution
	if e.ServerURL != "https://api.example.com" || !e.ExposeTokens || e.TimeoutMS != 60000 || e.Attempts != 3 || e.InitialDelay != 1 || e.Exponential ||
		e.MaxDelay != 11 || e.Jitter != 0.5 || len(e.NonRetryable) != 2 || !e.GlobalEnabled || e.GlobalURL != "https://example.com/g" ||
		!e.GlobalByEvents || !e.QRCodeUpdated || !e.LogoutInstance || e.StatusInstance {
		t.Errorf("%+v", e)
	}
	err = service.Parse([]string{"WEBHOOK_GLOBAL_ENABLED=true", "WEBHOOK_GLOBAL_URL=example.com"}, &c)
	if err == nil || !strings.Contains(err.Error(), "PAIRGATE_EVOLUTION_WEBHOOK_GLOBAL_URL") {
		t.Errorf("%v", err)
	}
}
