package worker_test

import (
	"errors"
	"testing"

	"pairgate.dev/pkg/service"
	worker "pairgate.dev/services/session-worker"
)

func TestConfigIsReadAndCapacityIsBounded(t *testing.T) {
	var cfg worker.Config
	if err := service.Parse(nil, &service.Common{}, &cfg); err != nil || cfg.Capacity != 1 {
		t.Fatalf("without variables: %v, capacity %d", err, cfg.Capacity)
	}
	for _, value := range []string{"0", "101", "-1", "many"} {
		err := service.Parse([]string{"PAIRGATE_WORKER_CAPACITY=" + value}, &service.Common{}, &worker.Config{})
		bad, ok := errors.AsType[*service.ConfigError](err)
		if !ok || len(bad.Variables) != 1 || bad.Variables[0].Name != "PAIRGATE_WORKER_CAPACITY" {
			t.Errorf("%s: %v, want PAIRGATE_WORKER_CAPACITY named once", value, err)
		}
	}
}
