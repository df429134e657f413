package service_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"pairgate.dev/pkg/service"
)

func openDataDir(t *testing.T, path string) *service.DataDir {
	t.Helper()
	d, err := service.OpenDataDir(path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOneProcessWorksInADataDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	first := openDataDir(t, path)
	if _, err := service.OpenDataDir(path); !errors.Is(err, service.ErrDataDirLocked) {
		t.Fatalf("a second opening: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := openDataDir(t, path).Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDataDirectoryKeepsWhatWasMade(t *testing.T) {
	path := t.TempDir()
	d := openDataDir(t, path)
	defer d.Close()
	first, made, err := d.Keep("key", func() string { return "one" })
	if err != nil || !made || first != "one" {
		t.Fatalf("first Keep: %q, %v, %v", first, made, err)
	}
	second, made, err := d.Keep("key", func() string { return "two" })
	if err != nil || made || second != "one" {
		t.Fatalf("second Keep: %q, %v, %v", second, made, err)
	}
	info, err := os.Stat(filepath.Join(path, "key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	id, err := d.WorkerID()
	if err != nil || id == "" {
		t.Fatalf("worker id %q, %v", id, err)
	}
	if again, _ := d.WorkerID(); again != id {
		t.Fatalf("worker id changed from %q to %q", id, again)
	}
}
