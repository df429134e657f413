package worker_test

import (
	"strings"
	"testing"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/service"
	worker "pairgate.dev/services/session-worker"
)

func TestWhatsAppClientIsReadFromTheNamesThatPeopleHave(t *testing.T) {
	for _, tt := range []struct {
		environ []string
		want    worker.WhatsAppClient
	}{
		{nil, worker.WhatsAppClient{Name: "Pairgate", Browser: "chrome"}},
		{[]string{"CONFIG_SESSION_PHONE_VERSION=2.3000.1023204200", "CONFIG_SESSION_PHONE_CLIENT= Our Shop ", "CONFIG_SESSION_PHONE_NAME=Firefox"},
			worker.WhatsAppClient{Version: "2.3000.1023204200", Name: "Our Shop", Browser: "firefox"}},
		{[]string{"CONFIG_SESSION_PHONE_VERSION=1.0.0", "CONFIG_SESSION_PHONE_NAME=?", "PAIRGATE_WHATSAPP_VERSION=2.3000.7", "PAIRGATE_WHATSAPP_BROWSER=EDGE"},
			worker.WhatsAppClient{Version: "2.3000.7", Name: "Pairgate", Browser: "edge"}},
	} {
		var cfg worker.Config
		if err := service.Parse(tt.environ, &service.Common{}, &cfg); err != nil || cfg.WhatsAppClient != tt.want {
			t.Errorf("%v: %+v, %v", tt.environ, cfg.WhatsAppClient, err)
		}
	}
}

// The name in the error is the one that stands in the user's file.
func TestStaleWhatsAppVersionIsRefusedAtTheStartWithTheRightForm(t *testing.T) {
	for entry, says := range map[string]string{
		"CONFIG_SESSION_PHONE_VERSION=2.2413.51":                 instance.WhatsAppVersionForm,
		"PAIRGATE_WHATSAPP_VERSION=1.2.3":                        instance.WhatsAppVersionForm,
		"PAIRGATE_WHATSAPP_VERSION=2.3000":                       instance.WhatsAppVersionForm,
		"PAIRGATE_WHATSAPP_VERSION=latest":                       instance.WhatsAppVersionForm,
		"CONFIG_SESSION_PHONE_CLIENT=" + strings.Repeat("x", 51): "must be a name of 1 to 50 characters without control characters",
		"PAIRGATE_WHATSAPP_CLIENT= ":                             "must be a name of 1 to 50 characters without control characters",
		"CONFIG_SESSION_PHONE_NAME=Netscape":                     "must be chrome, edge, firefox, opera or safari",
		"PAIRGATE_WHATSAPP_BROWSER=chromes":                      "must be chrome, edge, firefox, opera or safari",
	} {
		err := service.Parse([]string{entry}, &service.Common{}, &worker.Config{})
		name, _, _ := strings.Cut(entry, "=")
		if want := name + ": " + says; err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", entry, err, want)
		}
	}
}
