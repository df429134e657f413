package main

import (
	"strings"
	"testing"

	"pairgate.dev/services/standalone/internal/cli"
)

func TestArguments(t *testing.T) {
	for name, test := range map[string]struct {
		args      []string
		code      int
		out, errs string
	}{
		"None":           {nil, 2, "", "usage: pairgate COMMAND"},
		"Unknown":        {[]string{"sing"}, 2, "", "usage: pairgate COMMAND"},
		"ServeWhat":      {[]string{"serve", "--lap"}, 2, "", "usage: pairgate COMMAND"},
		"BadConfig":      {[]string{"serve", "--lab"}, 2, "", "pairgate: PAIRGATE_RATE_LIMIT: must be"},
		"Version":        {[]string{"version"}, 0, "pairgate ", ""},
		"Help":           {[]string{"help"}, 0, "usage: pairgate COMMAND", ""},
		"HelpFlag":       {[]string{"--help"}, 0, "usage: pairgate COMMAND", ""},
		"HelpOfACommand": {[]string{"help", "connect"}, 0, "usage: pairgate connect NAME", ""},
		"HelpOfNone":     {[]string{"help", "sing"}, 2, "", "usage: pairgate COMMAND"},
		"FlagOfACommand": {[]string{"connect", "-h"}, 0, "usage: pairgate connect NAME", ""},
		"ACommand":       {[]string{"connect"}, 2, "", "pairgate: connect needs more: NAME"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs strings.Builder
			code := run(test.args, []string{"PAIRGATE_RATE_LIMIT=many"}, cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
			if code != test.code || !strings.HasPrefix(out.String(), test.out) || !strings.HasPrefix(errs.String(), test.errs) ||
				(test.out == "") != (out.Len() == 0) || (test.errs == "") != (errs.Len() == 0) {
				t.Errorf("status %d\n%s\n%s", code, out.String(), errs.String())
			}
		})
	}
	var help strings.Builder
	run([]string{"help"}, nil, cli.Streams{Out: &help, Err: &help})
	for _, word := range []string{"webhooks add", "serve --lab", "PAIRGATE_URL", "PAIRGATE_HTTP_ADDR"} {
		if !strings.Contains(help.String(), word) {
			t.Errorf("help says nothing of %s", word)
		}
	}
}
