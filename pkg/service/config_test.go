package service_test

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"pairgate.dev/pkg/seal"
	"pairgate.dev/pkg/service"
)

type inner struct {
	Retries int `env:"PAIRGATE_T_RETRIES" envDefault:"3" check:"positive" desc:"How often."`
}

type testConfig struct {
	Name     string         `env:"PAIRGATE_T_NAME" envDefault:"anna" desc:"A name."`
	Key      seal.Secret    `env:"PAIRGATE_T_KEY" desc:"A key."`
	Hidden   int            `env:"PAIRGATE_T_HIDDEN" envDefault:"41" secret:"true" desc:"A secret number."`
	Wait     time.Duration  `env:"PAIRGATE_T_WAIT" envDefault:"5s" check:"nonnegative" desc:"How long."`
	Nets     []netip.Prefix `env:"PAIRGATE_T_NETS" desc:"Which networks."`
	Addr     string         `env:"PAIRGATE_T_ADDR" check:"addr" desc:"Where."`
	Lab      string         `env:"PAIRGATE_T_LAB" check:"loopback" desc:"Where the lab is."`
	Mode     string         `env:"PAIRGATE_T_MODE" envDefault:"a" oneof:"a b c" desc:"Which way."`
	On       *bool          `env:"PAIRGATE_T_ON" desc:"Whether."`
	Limit    int            `env:"PAIRGATE_T_LIMIT" alias:"QRCODE_LIMIT,OLD_LIMIT" envDefault:"30" desc:"How many."`
	Required string         `env:"PAIRGATE_T_REQUIRED,required" want:"the word" desc:"Must be there."`
	Inner    inner
}

func parse(environ ...string) (testConfig, error) {
	var c testConfig
	err := service.Parse(environ, &c)
	return c, err
}

func TestParseReadsEveryKindOfValue(t *testing.T) {
	c, err := parse("PAIRGATE_T_REQUIRED=x", "PAIRGATE_T_KEY=sesame", "PAIRGATE_T_WAIT=2m", "PAIRGATE_T_NETS= 10.0.0.0/8, fd00::/8,",
		"PAIRGATE_T_ADDR=:8080", "PAIRGATE_T_LAB=[::1]:1", "PAIRGATE_T_MODE=b", "PAIRGATE_T_ON=false", "PAIRGATE_T_RETRIES=7", "HOME=/root", "broken")
	if err != nil {
		t.Fatal(err)
	}
	want := testConfig{
		Name: "anna", Key: "sesame", Hidden: 41, Wait: 2 * time.Minute,
		Nets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")},
		Addr: ":8080", Lab: "[::1]:1", Mode: "b", On: new(false), Limit: 30, Required: "x", Inner: inner{Retries: 7},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

func TestEmptyVariableCountsAsNotSet(t *testing.T) {
	c, err := parse("PAIRGATE_T_REQUIRED=x", "PAIRGATE_T_NAME=", "PAIRGATE_T_ON=", "PAIRGATE_T_WAIT=", "PAIRGATE_T_MODE=", "PAIRGATE_TYPO=")
	if err != nil || c.Name != "anna" || c.On != nil || c.Wait != 5*time.Second {
		t.Errorf("got %+v, %v", c, err)
	}
	if _, err := parse("PAIRGATE_T_REQUIRED="); err == nil {
		t.Error("an empty required variable was accepted")
	}
}

func TestAliasIsReadWhenOurNameIsAbsent(t *testing.T) {
	for _, tt := range []struct {
		environ []string
		want    int
	}{
		{[]string{"QRCODE_LIMIT=5"}, 5},
		{[]string{"OLD_LIMIT=6", "QRCODE_LIMIT=5"}, 5},
		{[]string{"OLD_LIMIT=6"}, 6},
		{[]string{"QRCODE_LIMIT=5", "PAIRGATE_T_LIMIT=7"}, 7},
	} {
		c, err := parse(append(tt.environ, "PAIRGATE_T_REQUIRED=x")...)
		if err != nil || c.Limit != tt.want {
			t.Errorf("%v: %d, %v", tt.environ, c.Limit, err)
		}
	}
	_, err := parse("PAIRGATE_T_REQUIRED=x", "QRCODE_LIMIT=many")
	if err == nil || !strings.HasPrefix(err.Error(), "QRCODE_LIMIT: ") {
		t.Errorf("a bad alias is not named: %v", err)
	}
}

func TestEveryBadVariableIsNamedAtOnceAndNoValueShown(t *testing.T) {
	_, err := parse("PAIRGATE_T_HIDDEN=sesame", "PAIRGATE_T_WAIT=-1s", "PAIRGATE_T_NETS=sesame", "PAIRGATE_T_ADDR=sesame", "PAIRGATE_T_LAB=1.2.3.4:5",
		"PAIRGATE_T_MODE=sesame", "PAIRGATE_T_ON=sesame", "PAIRGATE_T_RETRIES=0", "PAIRGATE_T_NAM=sesame", "PAIRGATE_ZZZZZZZZZZZZZZZZ=sesame")
	bad, ok := errors.AsType[*service.ConfigError](err)
	if !ok {
		t.Fatalf("error is %T: %v", err, err)
	}
	got := map[string]string{}
	for _, v := range bad.Variables {
		got[v.Name] = v.Message
	}
	want := map[string]string{
		"PAIRGATE_T_HIDDEN":         "must be a whole number",
		"PAIRGATE_T_WAIT":           "must be zero or greater",
		"PAIRGATE_T_NETS":           "must be a comma-separated list of networks such as 10.0.0.0/8",
		"PAIRGATE_T_ADDR":           "must be an address such as 127.0.0.1:8080 or :8080",
		"PAIRGATE_T_LAB":            "must be a loopback address such as 127.0.0.1:7700",
		"PAIRGATE_T_MODE":           "must be a, b or c",
		"PAIRGATE_T_ON":             "must be true or false",
		"PAIRGATE_T_RETRIES":        "must be greater than zero",
		"PAIRGATE_T_REQUIRED":       "is required: the word",
		"PAIRGATE_T_NAM":            "is not a variable of this version; did you mean PAIRGATE_T_NAME?",
		"PAIRGATE_ZZZZZZZZZZZZZZZZ": "is not a variable of this version",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if strings.Contains(err.Error(), "sesame") || strings.Contains(err.Error(), "\n") {
		t.Errorf("the error shows a value or has more than a line: %v", err)
	}
}

func TestVariableOfAnotherServiceIsNoError(t *testing.T) {
	var c inner
	if err := service.Parse([]string{"PAIRGATE_ADMIN_KEY=x", "PAIRGATE_HTTP_ADDR=y"}, &c); err != nil {
		t.Error(err)
	}
}

func TestServiceLinksOfKubernetesAreNoVariablesOfOurs(t *testing.T) {
	links := []string{
		"PAIRGATE_GATEWAY_SERVICE_HOST=10.0.0.1", "PAIRGATE_GATEWAY_SERVICE_PORT=80", "PAIRGATE_GATEWAY_SERVICE_PORT_HTTP=80",
		"PAIRGATE_GATEWAY_PORT=tcp://10.0.0.1:80", "PAIRGATE_GATEWAY_PORT_80_TCP_ADDR=10.0.0.1",
		"PAIRGATE_PORT_PORT_80_TCP=x", "PAIRGATE_PORT_SERVICE_HOST=x",
	}
	var c inner
	if err := service.Parse(append(links, "KUBERNETES_SERVICE_HOST=10.0.0.2"), &c); err != nil {
		t.Errorf("in Kubernetes: %v", err)
	}
	bad, ok := errors.AsType[*service.ConfigError](service.Parse(links, &c))
	if !ok || len(bad.Variables) != len(links) {
		t.Errorf("outside: %v", bad)
	}
}

type pairConfig struct {
	A string `env:"PAIRGATE_T_A"`
	B string `env:"PAIRGATE_T_B"`
	N int    `env:"PAIRGATE_T_N"`
}

func (c *pairConfig) Check(bad func(variable, expected string)) {
	if (c.A == "") != (c.B == "") {
		bad("PAIRGATE_T_A", "set together with PAIRGATE_T_B")
	}
	if c.N == 0 {
		c.N = 9
	}
}

func TestCheckSeesWhatTagsCannotSay(t *testing.T) {
	type outer struct{ Pair pairConfig }
	var c outer
	if err := service.Parse([]string{"PAIRGATE_T_A=1", "PAIRGATE_T_B=1"}, &c); err != nil || c.Pair.N != 9 {
		t.Errorf("good pair: %+v, %v", c, err)
	}
	err := service.Parse([]string{"PAIRGATE_T_A=1"}, &c)
	if err == nil || err.Error() != "PAIRGATE_T_A: must be set together with PAIRGATE_T_B" {
		t.Errorf("half a pair: %v", err)
	}
	err = service.Parse([]string{"PAIRGATE_T_A=1", "PAIRGATE_T_N=x"}, &c)
	if err == nil || err.Error() != "PAIRGATE_T_N: must be a whole number" {
		t.Errorf("rules are not asked about what could not be read: %v", err)
	}
}

func TestSameFaultOfTwoConfigsIsNamedOnce(t *testing.T) {
	var a, b inner
	bad, ok := errors.AsType[*service.ConfigError](service.Parse([]string{"PAIRGATE_T_RETRIES=x"}, &a, &b))
	if !ok || len(bad.Variables) != 1 {
		t.Errorf("got %v", bad)
	}
}

func TestCommonDefaults(t *testing.T) {
	for _, tt := range []struct {
		name    string
		environ []string
		ttl     time.Duration
	}{
		{"one replica", nil, 5 * time.Second},
		{"three replicas", []string{"PAIRGATE_REPLICAS=3"}, 20 * time.Second},
		{"given", []string{"PAIRGATE_REPLICAS=3", "PAIRGATE_LEASE_TTL=7s"}, 7 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c service.Common
			if err := service.Parse(tt.environ, &c); err != nil {
				t.Fatal(err)
			}
			if c.LeaseTTL != tt.ttl || c.DataDir != "./data" || c.LogLevel.String() != "info" {
				t.Errorf("got %+v", c)
			}
		})
	}
}

func TestCommonRefusesWhatCannotWork(t *testing.T) {
	for _, environ := range [][]string{
		{"PAIRGATE_REPLICAS=2"}, {"PAIRGATE_LEASE_TTL=1s"}, {"PAIRGATE_LEASE_TTL=0"}, {"PAIRGATE_LOG_LEVEL=fatal"}, {"PAIRGATE_LOG_FORMAT=xml"},
		{"PAIRGATE_NATS_URL=127.0.0.1:4222"}, {"PAIRGATE_NATS_URL=nats://a,http://b"}, {"PAIRGATE_METRICS_ADDR=9090"},
		{"PAIRGATE_NATS_PASSWORD=x"}, {"PAIRGATE_NATS_USER=x", "PAIRGATE_NATS_CREDS=y"}, {"PAIRGATE_NATS_CERT=x"},
		{"PAIRGATE_STREAM_MAX_BYTES=OTHER=1"}, {"PAIRGATE_STREAM_MAX_BYTES=EVENTS=0"}, {"PAIRGATE_STREAM_MAX_BYTES=EVENTS"}, {"PAIRGATE_STREAMS=yes"},
	} {
		var c service.Common
		if err := service.Parse(environ, &c); err == nil {
			t.Errorf("%v was accepted", environ)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("PAIRGATE_T_WAIT", "5s")
	f.Add("PAIRGATE_T_NETS", "10.0.0.0/8, ,")
	f.Add("PAIRGATE_T_RETRIES", "-")
	f.Add("PAIRGATE_PORT_SERVICE_PORT", "=")
	f.Fuzz(func(t *testing.T, name, value string) {
		const marker = "Zq7#"
		for _, v := range []string{value, marker + value} {
			_, err := parse("PAIRGATE_T_REQUIRED=x", "KUBERNETES_SERVICE_HOST=x", name+"="+v)
			if err != nil && strings.Contains(err.Error(), marker) && !strings.Contains(name, marker) {
				t.Fatalf("the error shows the value: %v", err)
			}
		}
	})
}
