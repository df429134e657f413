package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// clean makes text harmless to a terminal: names of accounts come from phones of
// strangers, and a terminal obeys escape sequences.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		// Format characters turn the direction of what follows.
		if r != '\u200d' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// raw writes a JSON answer in one line.
func raw(w io.Writer, body []byte) error {
	var b bytes.Buffer
	if err := json.Compact(&b, body); err != nil {
		return fmt.Errorf("the gateway's answer is no JSON: %w", err)
	}
	b.WriteByte('\n')
	_, err := w.Write(b.Bytes())
	return err
}

// rows writes cells in columns; the first row is the heading where there is one.
func rows(w io.Writer, lines [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, cells := range lines {
		for i := range cells {
			cells[i] = clean(cells[i])
		}
		if _, err := fmt.Fprintln(t, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return t.Flush()
}

// facts writes names and values, leaving out what is empty.
func facts(w io.Writer, pairs ...string) error {
	var lines [][]string
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			lines = append(lines, []string{"  " + pairs[i], pairs[i+1]})
		}
	}
	return rows(w, lines)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func (a *accountBody) String() string {
	switch {
	case a == nil:
		return ""
	case a.Name == "":
		return a.Phone
	case a.Phone == "":
		return a.Name
	}
	return a.Phone + " (" + a.Name + ")"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
