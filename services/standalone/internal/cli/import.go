package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

func importCommand() command {
	return command{name: "import", args: "FILE", summary: "create the instances of a table, CSV or JSON", least: 1, most: 1, prepare: prepareImport,
		text: `A CSV file begins with the names of its columns: name and provider, and where they are wanted number, token and phone.
A JSON file is a list of objects with these fields. FILE - is standard input.
Each is created by itself; one that fails is told with its reason, and the others go on. The same file may be
imported again within a day: what it has created already is not created twice.`}
}

// importRow is an instance to create.
type importRow struct {
	// place is where it stands, for people.
	place  string
	fields map[string]string
}

var importFields = []string{"name", "number", "token", "provider", "phone"}

const maxImport = 64 << 20

func prepareImport(*flag.FlagSet) func(context.Context, *call) error {
	return func(ctx context.Context, c *call) error {
		table, err := readTable(c.args[0], c.In)
		if err != nil {
			return err
		}
		failed := 0
		for _, row := range table {
			a, err := c.importRow(ctx, row)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err == nil {
				err = c.imported(row, a)
			}
			if err != nil {
				failed++
				fmt.Fprintf(c.Err, "%s (%s): %s\n", row.place, clean(row.fields["name"]), inline(err))
			}
		}
		if !c.json {
			fmt.Fprintf(c.Out, "%d created, %d failed\n", len(table)-failed, failed)
		}
		if failed > 0 {
			return errReported
		}
		return nil
	}
}

// imported tells of an instance that was created, without its token: a table is
// no place to show hundreds of them.
func (c *call) imported(row importRow, a answer) error {
	var made struct{ Instance json.RawMessage }
	if err := a.into(&made); err != nil {
		return err
	}
	if c.json {
		return raw(c.Out, made.Instance)
	}
	var i instanceBody
	if err := json.Unmarshal(made.Instance, &i); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.Out, "%s: created %s, number %s\n", row.place, clean(i.Name), i.Number)
	return err
}

// importTries is how often a line is tried while the gateway is busy.
const importTries = 5

func (c *call) importRow(ctx context.Context, row importRow) (answer, error) {
	body := map[string]string{}
	for name, value := range row.fields {
		if value != "" {
			body[name] = value
		}
	}
	for try := 1; ; try++ {
		a, err := c.api.do(ctx, http.MethodPost, "/v1/instances", body, "Idempotency-Key", row.key())
		r, ok := errors.AsType[*refusal](err)
		if !ok || r.Status != http.StatusTooManyRequests && r.Status != http.StatusServiceUnavailable || try == importTries {
			return a, err
		}
		select {
		case <-time.After(time.Duration(max(1, r.RetryAfter)) * time.Second):
		case <-ctx.Done():
			return answer{}, ctx.Err()
		}
	}
}

// key is the same for the same row, so that importing it again creates nothing twice.
func (r importRow) key() string {
	h := sha256.New()
	for _, name := range importFields {
		fmt.Fprintf(h, "%d:%s", len(r.fields[name]), r.fields[name])
	}
	return "import-" + hex.EncodeToString(h.Sum(nil))
}

func readTable(path string, in io.Reader) ([]importRow, error) {
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	content, err := io.ReadAll(io.LimitReader(in, maxImport+1))
	switch {
	case err != nil:
		return nil, err
	case len(content) > maxImport:
		return nil, fmt.Errorf("the table is larger than %d MiB", maxImport>>20)
	}
	return parseTable(content)
}

// parseTable reads a table, JSON when it begins like it. The error names every
// unknown column.
func parseTable(content []byte) ([]importRow, error) {
	content = bytes.TrimSpace(bytes.TrimPrefix(content, []byte("\ufeff")))
	if len(content) == 0 {
		return nil, errors.New("the table is empty")
	}
	if content[0] == '[' || content[0] == '{' {
		return parseJSONTable(content)
	}
	return parseCSVTable(content)
}

func parseCSVTable(content []byte) ([]importRow, error) {
	r := csv.NewReader(bytes.NewReader(content))
	r.TrimLeadingSpace = true
	heading, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("the table is no CSV: %w", err)
	}
	for i := range heading {
		heading[i] = strings.ToLower(strings.TrimSpace(heading[i]))
	}
	if err := checkColumns(heading); err != nil {
		return nil, err
	}
	var rows []importRow
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("the table is no CSV: %w", err)
		}
		line, _ := r.FieldPos(0)
		row := importRow{fmt.Sprintf("line %d", line), map[string]string{}}
		for i, cell := range cells {
			row.fields[heading[i]] = strings.TrimSpace(cell)
		}
		rows = append(rows, row)
	}
}

// parseJSONTable takes numbers for text, as the API does.
func parseJSONTable(content []byte) ([]importRow, error) {
	var objects []map[string]any
	d := json.NewDecoder(bytes.NewReader(content))
	d.UseNumber()
	if err := d.Decode(&objects); err != nil {
		return nil, errors.New("the table is no JSON list of objects")
	}
	if d.More() {
		return nil, errors.New("something stands behind the table")
	}
	var rows []importRow
	for i, object := range objects {
		row := importRow{fmt.Sprintf("object %d", i+1), map[string]string{}}
		var names []string
		for name, value := range object {
			names = append(names, name)
			switch v := value.(type) {
			case nil:
			case string:
				row.fields[name] = v
			case json.Number:
				row.fields[name] = v.String()
			default:
				return nil, fmt.Errorf("object %d: %s must be text", i+1, name)
			}
		}
		if err := checkColumns(names); err != nil {
			return nil, fmt.Errorf("object %d: %w", i+1, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func checkColumns(names []string) error {
	var bad []string
	for i, name := range names {
		if !slices.Contains(importFields, name) || slices.Contains(names[:i], name) {
			bad = append(bad, fmt.Sprintf("%q", name))
		}
	}
	slices.Sort(bad)
	switch {
	case len(bad) > 0:
		return fmt.Errorf("unknown or repeated columns %s; there are %s", strings.Join(bad, ", "), strings.Join(importFields, ", "))
	case !slices.Contains(names, "name"):
		return errors.New("the column name is missing")
	}
	return nil
}
