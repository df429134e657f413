package standalone_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// exchange is a block of the files in testdata/green-api and testdata/evolution-api.
type exchange struct {
	name         string
	method, path string
	header       []string
	body         string
	status       int
	answer       string
	wantHeader   map[string]string
}

// readExchanges reads a file of exchanges; the README beside it says how they are written.
func readExchanges(t *testing.T, product, file string) []exchange {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", product, file+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	var out []exchange
	for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		x := exchange{wantHeader: map[string]string{}}
		for line := range strings.SplitSeq(block, "\n") {
			rest := strings.TrimPrefix(strings.TrimPrefix(line[1:], " "), " ")
			switch {
			case line[0] == '>' && x.method == "":
				x.method, x.path, _ = strings.Cut(rest, " ")
			case line[0] == '>' && headerLine.MatchString(rest):
				name, value, _ := strings.Cut(rest, ": ")
				x.header = append(x.header, name, value)
			case line[0] == '>':
				x.body = rest
			case line[0] == '<' && x.status == 0:
				status, answer, _ := strings.Cut(rest, " ")
				if x.status, err = strconv.Atoi(status); err != nil {
					t.Fatalf("%s: %q: %v", file, line, err)
				}
				x.answer = answer
			case line[0] == '<':
				name, value, _ := strings.Cut(rest, ": ")
				x.wantHeader[name] = value
			default:
				x.name = line
			}
		}
		out = append(out, x)
	}
	return out
}

var headerLine = regexp.MustCompile(`^[A-Z][A-Za-z-]+: `)

// patterns are what stands for what cannot be known before.
var patterns = map[string]string{
	"<png>":      `[A-Za-z0-9+/]{100,}={0,2}`,
	"<code>":     `[A-Z0-9]{8}`,
	"<token>":    `[0-9a-f]{50}`,
	"<number>":   `[0-9]+`,
	"<time>":     `[0-9-]{10}T[0-9:.]+Z`,
	"<clock>":    `[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}`,
	"<text>":     `(?s:.+)`,
	"<anything>": `.*`,
}

// matchesPattern says whether the text is what the pattern says, with the given names for
// what cannot be known before.
func matchesPattern(t *testing.T, patterns map[string]string, pattern, got string) bool {
	t.Helper()
	expression := regexp.QuoteMeta(pattern)
	for name, as := range patterns {
		expression = strings.ReplaceAll(expression, regexp.QuoteMeta(name), as)
	}
	re, err := regexp.Compile(`^` + expression + `$`)
	if err != nil {
		t.Fatal(err)
	}
	return re.MatchString(got)
}
