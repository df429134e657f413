package journal

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// write is the one goroutine that writes.
func (j *Journal) write() {
	for range j.wake {
		j.commit()
	}
	j.commit()
}

func (j *Journal) commit() {
	j.mu.Lock()
	c := j.pending
	j.pending = nil
	failed := j.failed
	j.mu.Unlock()
	if c == nil {
		return
	}
	if c.err = failed; c.err == nil {
		c.err = j.append(c.lines)
	}
	if c.err != nil {
		j.mu.Lock()
		j.failed = c.err
		j.mu.Unlock()
	}
	close(c.done)
}

func (j *Journal) append(lines [][]record) error {
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	for _, line := range lines {
		if err := encoder.Encode(line); err != nil {
			return err
		}
	}
	if _, err := j.file.Write(buf.Bytes()); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.size += int64(buf.Len())
	for _, line := range lines {
		for _, r := range line {
			if r.Value == nil {
				delete(j.values, r.Key)
			} else {
				j.values[r.Key] = r.Value
			}
		}
	}
	if j.size > max(rewriteFrom, 4*j.compact) {
		return j.rewrite()
	}
	return nil
}

// rewrite replaces the file by one that holds each record once.
func (j *Journal) rewrite() error {
	var buf bytes.Buffer
	lines := json.NewEncoder(&buf)
	for _, key := range slices.Sorted(maps.Keys(j.values)) {
		if err := lines.Encode([]record{{key, j.values[key]}}); err != nil {
			return err
		}
	}
	path := filepath.Join(j.dir, fileName)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := fill(f, buf.Bytes(), path); err != nil {
		_ = f.Close()
		return err
	}
	if err := syncDir(j.dir); err != nil {
		_ = f.Close()
		return err
	}
	if j.file != nil {
		_ = j.file.Close()
	}
	j.file, j.size, j.compact = f, int64(buf.Len()), int64(buf.Len())
	return nil
}

func fill(f *os.File, content []byte, path string) error {
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
