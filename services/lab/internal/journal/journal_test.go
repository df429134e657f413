package journal_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pairgate.dev/services/lab/internal/journal"
)

func open(tb testing.TB, dir string) (*journal.Journal, map[string]string) {
	tb.Helper()
	got := map[string]string{}
	j, err := journal.Open(dir, func(key string, value json.RawMessage) error {
		got[key] = string(value)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = j.Close() })
	return j, got
}

func TestWhatWasWrittenIsThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	j, _ := open(t, dir)
	for _, change := range [][]journal.Change{
		{{Key: "a", Value: 1}, {Key: "b", Value: "two"}},
		{{Key: "a", Value: 3}},
		{{Key: "b"}, {Key: "c", Value: []int{4}}},
		{},
	} {
		if err := j.Append(change...).Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(journal.Change{Key: "a"}).Wait(); !errors.Is(err, journal.ErrClosed) {
		t.Fatalf("Append after Close: %v", err)
	}
	want := map[string]string{"a": "3", "c": "[4]"}
	for range 2 { // the second time from a file that was rewritten
		j, got := open(t, dir)
		if !maps.Equal(got, want) {
			t.Fatalf("read %v, want %v", got, want)
		}
		_ = j.Close()
	}
	for _, name := range []string{"journal.jsonl", "lock"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v (%v), want 0600", name, info.Mode(), err)
		}
	}
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if _, err := journal.Open(dir, nil); !errors.Is(err, journal.ErrInUse) {
		t.Fatalf("second Open: %v, want ErrInUse", err)
	}
}

// Decision: a line that a crash cut short was never answered, so it does not stop the next start.
func TestTornLineIsDropped(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal.jsonl")
	if err := os.WriteFile(path, []byte(`[{"k":"a","v":1}]`+"\n"+`[{"k":"b","v":2},{"k":"c"`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, got := open(t, dir); !maps.Equal(got, map[string]string{"a": "1"}) {
		t.Fatalf("read %v, want a only", got)
	}
}

func TestDamageIsNotDropped(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal.jsonl")
	if err := os.WriteFile(path, []byte("nonsense\n"+`[{"k":"a","v":1}]`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.Open(dir, nil); !errors.Is(err, journal.ErrDamaged) || !strings.Contains(err.Error(), "line 1") {
		t.Fatalf("Open: %v, want ErrDamaged and the line", err)
	}
}

func TestManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, dir)
	var wg sync.WaitGroup
	for i := range 2000 {
		wg.Go(func() {
			if err := j.Append(journal.Change{Key: fmt.Sprint(i), Value: i}).Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	_ = j.Close()
	if _, got := open(t, dir); len(got) != 2000 {
		t.Fatalf("%d records of 2000", len(got))
	}
}

// Decision: the file does not grow for ever while the lab runs.
func TestFileIsRewrittenWhileRunning(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, dir)
	big := strings.Repeat("x", 1<<20)
	for range 30 {
		if err := j.Append(journal.Change{Key: "k", Value: big}).Wait(); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "journal.jsonl"))
	if err != nil || info.Size() > 12<<20 {
		t.Fatalf("%d bytes (%v) for one record of a mebibyte", info.Size(), err)
	}
	_ = j.Close()
	if _, got := open(t, dir); len(got) != 1 {
		t.Fatalf("%d records, want 1", len(got))
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte(`[{"k":"a","v":1}]` + "\n"))
	f.Add([]byte("[]\n[{\"k\":\"a\"}]\n[{"))
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "journal.jsonl"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		n := 0
		j, err := journal.Open(dir, func(string, json.RawMessage) error { n++; return nil })
		if err != nil {
			return
		}
		_ = j.Close()
		if _, again := open(t, dir); len(again) != n {
			t.Fatalf("%d records, then %d", n, len(again))
		}
	})
}
