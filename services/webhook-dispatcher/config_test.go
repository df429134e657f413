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
	} {
		var c dispatcher.Config
		err := service.Parse([]string{name + "=" + value}, &c)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
