package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pairgate.dev/services/standalone/internal/cli"
)

func TestWrongUsageEndsWithTwo(t *testing.T) {
	empty := t.TempDir()
	key := filepath.Join(empty, "key")
	if err := os.WriteFile(key, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args string
		env  []string
		says string
	}{
		"NoName":         {args: "create --provider simulated", says: "create needs more: NAME\nusage: pairgate create NAME\n"},
		"NoProvider":     {args: "create shop", says: "create needs --provider\nusage: "},
		"TooMany":        {args: "status a b", says: `status takes no "b"`},
		"UnknownFlag":    {args: "ls --colour red", says: "flag provided but not defined: -colour"},
		"UnknownWord":    {args: "webhooks sing", says: "webhooks needs one of ls, add, rm, test"},
		"HalfAWord":      {args: "webhooks", says: "webhooks needs one of"},
		"UnknownCommand": {args: "sing", says: "there is no command sing"},
		"Header":         {args: "webhooks add https://example.com --header x", says: "--header must be NAME=VALUE"},
		"From":           {args: "events --from 7", says: "--from goes with -f"},
		"Timeout":        {args: "connect shop --timeout -1s", says: "--timeout must be"},
		"NotJSON":        {args: "request pairgate.v1.instances.list {", says: "the body is no JSON"},
		"URL":            {args: "ls --url example.com:80", says: "the gateway's address must be"},
		"URLWithUser":    {args: "ls --url http://a:b@example.com", says: "the gateway's address must be"},
		"Variable":       {args: "ls", env: []string{"PAIRGATE_UR=http://x"}, says: "PAIRGATE_UR: is not a variable of this version; did you mean PAIRGATE_URL?"},
		"NoKey":          {args: "ls", says: "no key: set PAIRGATE_ADMIN_KEY"},
		"KeyOfElsewhere": {args: "ls --url https://example.com", says: "no key for example.com"},
		"Confirmation":   {args: "delete shop", env: []string{"PAIRGATE_ADMIN_KEY=0123456789abcdef"}, says: "delete needs --yes where nobody can be asked"},
	} {
		t.Run(name, func(t *testing.T) {
			env := append([]string{"PAIRGATE_DATA_DIR=" + empty}, test.env...)
			if strings.HasPrefix(test.says, "create") || strings.HasPrefix(test.says, "--") {
				env = append(env, "PAIRGATE_ADMIN_KEY=0123456789abcdef")
			}
			var out, errs strings.Builder
			code := cli.Run(t.Context(), strings.Fields(test.args), env, cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
			if code != 2 || out.Len() > 0 || !strings.HasPrefix(errs.String(), "pairgate: "+test.says) {
				t.Errorf("status %d, %s%s", code, out.String(), errs.String())
			}
		})
	}
	var errs strings.Builder
	if code := cli.Run(t.Context(), []string{"ls", "--key-file", key}, nil, cli.Streams{Out: &errs, Err: &errs}); code != 1 || !strings.Contains(errs.String(), "is empty") {
		t.Errorf("with an empty key file: status %d, %s", code, errs.String())
	}
}

func TestHelp(t *testing.T) {
	var text strings.Builder
	for _, words := range []string{"create", "ls", "status", "connect", "events", "logout", "restart", "delete", "token", "webhooks", "deliveries", "import", "request"} {
		if !cli.Known([]string{words}) {
			t.Errorf("%s is not known", words)
		}
		if code := cli.Help([]string{words}, &text, &text); code != 0 {
			t.Errorf("help %s: status %d", words, code)
		}
		text.WriteByte('\n')
	}
	text.WriteString(cli.Usage())
	golden(t, "help", text.String())

	var asked, flagged strings.Builder
	cli.Help([]string{"webhooks", "add"}, &asked, &asked)
	code := cli.Run(t.Context(), []string{"webhooks", "add", "-h"}, nil, cli.Streams{Out: &flagged, Err: &flagged})
	if code != 0 || asked.String() != flagged.String() {
		t.Errorf("-h says, with status %d:\n%s", code, flagged.String())
	}
	if code := cli.Help([]string{"sing"}, &asked, &asked); code != 2 {
		t.Errorf("help of no command: status %d", code)
	}
}
