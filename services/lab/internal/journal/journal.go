// Package journal keeps the lab's records on disk so that kill -9 forgets nothing
// that was answered.
//
// Records are values under keys. Changes are appended to one file, a JSON line for
// those that belong together, and count as written once the file was synced; lines
// that come while a sync is under way share the next one, so that a thousand devices can be linked
// at once. A line that a crash cut short was never answered and is dropped at the
// next start. The file is rewritten at each start, and whenever it has grown to
// several times what it holds.
package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// Errors of this package.
var (
	// ErrInUse says that another process holds the directory.
	ErrInUse = errors.New("journal: another process uses this directory")
	// ErrDamaged says that the file is not one of this package, or was changed by hand.
	ErrDamaged = errors.New("journal: the file is damaged")
	// ErrClosed says that the journal is closed.
	ErrClosed = errors.New("journal: closed")
)

const (
	fileName = "journal.jsonl"
	lockName = "lock"
	// rewriteFrom is the least size at which the file is rewritten while running.
	rewriteFrom = 8 << 20
)

// record is one change; a null value deletes. A line is an array of them, so that
// a crash leaves all of it or nothing.
type record struct {
	Key   string          `json:"k"`
	Value json.RawMessage `json:"v"`
}

// Journal is an open directory. Its methods may be called from many goroutines.
type Journal struct {
	dir  string
	lock *os.File
	wg   sync.WaitGroup
	wake chan struct{}

	// The writer alone uses these.
	file    *os.File
	size    int64
	compact int64
	values  map[string]json.RawMessage

	mu      sync.Mutex
	pending *commit
	failed  error
	closed  bool
}

// commit is a group of lines that share a sync.
type commit struct {
	lines [][]record
	done  chan struct{}
	err   error
}

// Pending is a change on its way to the disk.
type Pending struct{ c *commit }

// Wait returns once the change is on disk, or why it is not.
func (p Pending) Wait() error {
	<-p.c.done
	return p.c.err
}

// Open opens the directory, making it (mode 0700) where there is none, and calls
// each with every record in the order of the keys. Files have mode 0600.
func Open(dir string, each func(key string, value json.RawMessage) error) (j *Journal, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = lock.Close()
		}
	}()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, ErrInUse
	}
	j = &Journal{dir: dir, lock: lock, wake: make(chan struct{}, 1)}
	if j.values, err = read(filepath.Join(dir, fileName)); err != nil {
		return nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(j.values)) {
		if err := each(key, j.values[key]); err != nil {
			return nil, err
		}
	}
	if err := j.rewrite(); err != nil {
		return nil, err
	}
	j.wg.Go(j.write)
	return j, nil
}

// read returns what the file holds. A last line without its newline is the trace of a crash.
func read(path string) (map[string]json.RawMessage, error) {
	values := map[string]json.RawMessage{}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return values, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return nil, err
		}
		if err := apply(values, line); err != nil {
			return nil, fmt.Errorf("%w: line %d", err, n)
		}
	}
}

func apply(values map[string]json.RawMessage, line []byte) error {
	var records []record
	if err := json.Unmarshal(line, &records); err != nil {
		return ErrDamaged
	}
	for _, r := range records {
		switch {
		case r.Key == "":
			return ErrDamaged
		case r.Value == nil || bytes.Equal(r.Value, []byte("null")):
			delete(values, r.Key)
		default:
			values[r.Key] = r.Value
		}
	}
	return nil
}

// Change is one record to write; Value nil deletes it.
type Change struct {
	Key   string
	Value any
}

// Append queues changes, all of which reach the disk or none. The order of calls is the
// order on disk. Once a write has failed every later one fails with the same error.
func (j *Journal) Append(changes ...Change) Pending {
	records := make([]record, len(changes))
	for i, c := range changes {
		records[i].Key = c.Key
		if c.Value == nil {
			continue
		}
		value, err := json.Marshal(c.Value)
		if err != nil {
			return settled(err)
		}
		records[i].Value = value
	}
	if len(records) == 0 {
		return settled(nil)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.closed:
		return settled(ErrClosed)
	case j.failed != nil:
		return settled(j.failed)
	}
	if j.pending == nil {
		j.pending = &commit{done: make(chan struct{})}
	}
	j.pending.lines = append(j.pending.lines, records)
	select {
	case j.wake <- struct{}{}:
	default:
	}
	return Pending{j.pending}
}

// settled is a change whose end is known already.
func settled(err error) Pending {
	c := &commit{done: make(chan struct{}), err: err}
	close(c.done)
	return Pending{c}
}

// Close writes what is queued and gives the directory up.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.closed = true
	close(j.wake)
	j.mu.Unlock()
	j.wg.Wait()
	return errors.Join(j.file.Close(), j.lock.Close())
}
