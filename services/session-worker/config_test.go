package worker_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"pairgate.dev/pkg/service"
	worker "pairgate.dev/services/session-worker"
)

// wantBad checks which variables are named as wrong.
func wantBad(t *testing.T, environ []string, want ...string) {
	t.Helper()
	err := service.Parse(environ, &service.Common{}, &worker.Config{})
	var got []string
	if bad, ok := errors.AsType[*service.ConfigError](err); ok {
		for _, v := range bad.Variables {
			got = append(got, v.Name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v: %v, want %v named", environ, err, want)
	}
	if err != nil && strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error shows the password: %v", err)
	}
}

func TestTheKeyStoreOfSeveralWorkersIsPostgreSQL(t *testing.T) {
	wantBad(t, []string{"PAIRGATE_WHATSAPP_DB=postgres://pairgate:hunter2@db:5432/pairgate"})
	wantBad(t, []string{"PAIRGATE_WHATSAPP_DB=postgresql://pairgate:hunter2@db/pairgate?sslmode=verify-full"})
	for _, other := range []string{"/var/lib/shared/hunter2.db", "mysql://u:hunter2@db/x", "host=db password=hunter2"} {
		wantBad(t, []string{"PAIRGATE_WHATSAPP_DB=" + other}, "PAIRGATE_WHATSAPP_DB")
	}
}

func TestAWorkerRunsOnlyMessengersThatItKnows(t *testing.T) {
	wantBad(t, []string{"PAIRGATE_PROVIDERS=whatsapp,simulated"})
	wantBad(t, []string{"PAIRGATE_PROVIDERS=whatsapp,max"}, "PAIRGATE_PROVIDERS")
	wantBad(t, []string{"PAIRGATE_PROVIDERS=telegram"}, "PAIRGATE_PROVIDERS")
}

// Sessions led elsewhere are for tests: never by half a setting, never to another machine.
func TestAnEmulatedWhatsAppIsNamedWholeAndOnThisMachine(t *testing.T) {
	root := "PAIRGATE_WHATSAPP_NOISE_ROOT=" + base64.StdEncoding.EncodeToString(make([]byte, 32))
	wantBad(t, []string{"PAIRGATE_WHATSAPP_ENDPOINT=127.0.0.1:7000", root})
	wantBad(t, []string{root}, "PAIRGATE_WHATSAPP_ENDPOINT")
	wantBad(t, []string{"PAIRGATE_WHATSAPP_ENDPOINT=127.0.0.1:7000"}, "PAIRGATE_WHATSAPP_NOISE_ROOT")
	wantBad(t, []string{"PAIRGATE_WHATSAPP_ENDPOINT=127.0.0.1:7000", "PAIRGATE_WHATSAPP_NOISE_ROOT=AAAA"}, "PAIRGATE_WHATSAPP_NOISE_ROOT")
	wantBad(t, []string{"PAIRGATE_WHATSAPP_ENDPOINT=web.whatsapp.com:443", root}, "PAIRGATE_WHATSAPP_ENDPOINT")
}

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
