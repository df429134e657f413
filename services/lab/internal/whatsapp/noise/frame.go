package noise

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"
)

// Dictionary is the version of the token dictionary that whatsmeow's binary package
// speaks. Baileys speaks it since 6.7.21.
const Dictionary = 3

// MaxFrame is the length of the longest frame in bytes: lengths have three bytes.
const MaxFrame = 1<<24 - 1

const (
	magic      = 6
	lengthSize = 3
	// maxHandshake bounds what a client that has not said who it is makes us keep.
	maxHandshake = 1 << 16
)

var (
	// ErrIntro is in the error of Accept when the stream does not begin with WhatsApp's
	// intro.
	ErrIntro = errors.New("noise: the client does not begin with WhatsApp's intro")
	// ErrDictionary is in the error of Accept when the client's stanzas would be in a
	// token dictionary other than Dictionary: they could be read, but wrongly.
	ErrDictionary = errors.New("noise: the client speaks another token dictionary")
	// ErrTooLong is in the error for a frame longer than allowed.
	ErrTooLong = errors.New("noise: a frame is too long")
)

// frameReader reads the stream of a client: WebSocket messages have no meaning of
// their own in it.
type frameReader struct{ *bufio.Reader }

func newFrameReader(r io.Reader) frameReader { return frameReader{bufio.NewReader(r)} }

// intro reads what stands before the first frame: "WA", a magic number and the
// dictionary, and before that, when the server gave the client an edge to come back
// to, "ED", two bytes and the routing information with its length (seen in Baileys'
// noise-handler.ts). That one is returned; it takes no part in the handshake.
func (r frameReader) intro() (routing []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	if bytes.Equal(head[:], []byte{'E', 'D', 0, 1}) {
		if routing, err = r.frame(maxHandshake); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil, unexpected(err)
		}
	}
	switch {
	case head[0] != 'W' || head[1] != 'A' || head[2] != magic:
		return nil, ErrIntro
	case head[3] != Dictionary:
		return nil, fmt.Errorf("%w: %d instead of %d", ErrDictionary, head[3], Dictionary)
	}
	return routing, nil
}

// frame reads a frame of at most limit bytes. Its memory grows with what has come,
// not with what was announced. The error is io.EOF when the stream ended before it.
func (r frameReader) frame(limit int) ([]byte, error) {
	var head [1 + lengthSize]byte
	if _, err := io.ReadFull(r, head[1:]); err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint32(head[:]))
	if length > limit {
		return nil, fmt.Errorf("%w: %d bytes, allowed are %d", ErrTooLong, length, limit)
	}
	var body bytes.Buffer
	if _, err := io.CopyN(&body, r, int64(length)); err != nil {
		return nil, unexpected(err)
	}
	return body.Bytes(), nil
}

// message reads a frame of the handshake.
func (r frameReader) message(m proto.Message) error {
	body, err := r.frame(maxHandshake)
	if err != nil {
		return unexpected(err)
	}
	if err := proto.Unmarshal(body, m); err != nil {
		return fmt.Errorf("%w: not a handshake message", ErrHandshake)
	}
	return nil
}

// unexpected is for a stream that ended where it must not.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// writeFrame writes body as one frame with a single Write: whatsmeow's framesocket.go
// miscounts a frame that is split over several WebSocket messages.
func writeFrame(w io.Writer, body []byte) error {
	if len(body) > MaxFrame {
		return fmt.Errorf("%w: %d bytes, allowed are %d", ErrTooLong, len(body), MaxFrame)
	}
	head := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	_, err := w.Write(append(head, body...)[1:])
	return err
}
