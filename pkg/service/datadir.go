package service

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/uuid"
)

// ErrDataDirLocked says that another process works in the data directory.
var ErrDataDirLocked = errors.New("another process works in the data directory")

// DataDir is a data directory that this process alone works in, until it ends:
// the operating system gives the lock up even when the process is killed.
type DataDir struct {
	path string
	lock *os.File
}

// OpenDataDir creates the directory when it is missing (mode 0700) and locks it.
// The error is ErrDataDirLocked, with what to do, when another process has it.
func OpenDataDir(path string) (*DataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("the data directory cannot be made: %w", err)
	}
	name := filepath.Join(path, "lock")
	lock, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the data directory cannot be used: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		// The lock file holds nothing else than the number of the process that has it.
		owner, _ := os.ReadFile(name)
		_ = lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w %s (process %s); stop that one first, or set PAIRGATE_DATA_DIR to another directory",
				ErrDataDirLocked, path, strings.TrimSpace(string(owner)))
		}
		return nil, fmt.Errorf("the data directory cannot be locked: %w", err)
	}
	if err := writeOwner(lock); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("the data directory cannot be written to: %w", err)
	}
	return &DataDir{path: path, lock: lock}, nil
}

func writeOwner(lock *os.File) error {
	if err := lock.Truncate(0); err != nil {
		return err
	}
	_, err := lock.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

// Close gives the directory up.
func (d *DataDir) Close() error { return d.lock.Close() }

// Path returns the path of a file or directory inside.
func (d *DataDir) Path(elem ...string) string {
	return filepath.Join(append([]string{d.path}, elem...)...)
}

// Keep returns what the file holds, without surrounding white space. When the
// file is missing or empty, it is first made (mode 0600) with what fresh returns,
// and made says so. The file is on disk before Keep returns.
func (d *DataDir) Keep(name string, fresh func() string) (value string, made bool, err error) {
	path := d.Path(name)
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", false, err
	}
	if value := strings.TrimSpace(string(content)); value != "" {
		return value, false, nil
	}
	value = fresh()
	return value, true, writeFile(path, value+"\n")
}

// writeFile replaces a file as a whole, so that a crash leaves the old one or the new one.
func writeFile(path, content string) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // Its mode is 0600.
	if err != nil {
		return err
	}
	_, err = temporary.WriteString(content)
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temporary.Name())
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// WorkerID returns the name of the worker that lives in this directory. It is made
// once: a worker that comes back under the same name takes its sessions up at once.
func (d *DataDir) WorkerID() (string, error) {
	id, _, err := d.Keep("worker-id", func() string { return uuid.NewString() })
	return id, err
}
