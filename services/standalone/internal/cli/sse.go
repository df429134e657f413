package cli

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// message is one Server-Sent Event. One with an id alone says how far the stream is.
type message struct {
	id, event string
	data      []byte
	// lost says that the stream broke off and is being opened again; nothing else is set.
	lost error
}

// maxLine is the longest line of a stream; one with a picture has some kilobytes.
const maxLine = 8 << 20

var errLineTooLong = errors.New("a line of the event stream is too long")

// readMessages reads a stream until it ends, which is io.EOF, or yield says that
// it is enough, which is nil. What the end cuts short is dropped.
func readMessages(r io.Reader, yield func(message) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	var m message
	some := false
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) == 0 {
			if some && !yield(m) {
				return nil
			}
			m, some = message{}, false
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "id":
			m.id, some = string(value), true
		case "event":
			m.event, some = string(value), true
		case "data":
			if m.data != nil {
				m.data = append(m.data, '\n')
			}
			m.data, some = append(m.data, value...), true
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return errLineTooLong
	case err != nil:
		return err
	}
	return io.EOF
}
