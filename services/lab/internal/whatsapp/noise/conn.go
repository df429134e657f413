package noise

import (
	"crypto/cipher"
	"errors"
	"io"
)

// ErrDecrypt is the error of ReadFrame for a frame that the client did not encrypt
// with the connection's key, or that is out of order. The connection is of no use then.
var ErrDecrypt = errors.New("noise: a frame does not decrypt")

// Conn is a connection after its handshake. One goroutine at a time may read and one
// may write; both at once is fine.
type Conn struct {
	in           frameReader
	out          io.Writer
	receive      cipher.AEAD
	send         cipher.AEAD
	received     uint64
	sent         uint64
	clientStatic [keySize]byte
	payload      []byte
	routing      []byte
}

// ClientStatic returns the public key that the client proved to hold, the Noise key
// of its device. On a login it is what authenticates.
func (c *Conn) ClientStatic() [32]byte { return c.clientStatic }

// Payload returns what the client said of itself in the handshake, a serialized
// ClientPayload. The caller must not change it.
func (c *Conn) Payload() []byte { return c.payload }

// Routing returns the routing information that stood before the handshake, nil when
// there was none. The caller must not change it.
func (c *Conn) Routing() []byte { return c.routing }

// ReadFrame returns the next frame, decrypted; it is the caller's. Errors are io.EOF
// at the end of the stream, io.ErrUnexpectedEOF in the midst of a frame, ErrDecrypt,
// or the reader's own.
func (c *Conn) ReadFrame() ([]byte, error) {
	sealed, err := c.in.frame(MaxFrame)
	if err != nil {
		return nil, err
	}
	plain, err := c.receive.Open(sealed[:0], nonce(c.received), sealed, nil)
	if err != nil {
		return nil, ErrDecrypt
	}
	c.received++
	return plain, nil
}

// WriteFrame encrypts and writes one frame in a single Write and leaves plain as it
// is. The error wraps ErrTooLong when plain is longer than MaxFrame less the 16 bytes
// of its tag, and nothing was written then; others are the writer's own, and the
// connection is of no use after one.
func (c *Conn) WriteFrame(plain []byte) error {
	if len(plain) > MaxFrame-c.send.Overhead() {
		return ErrTooLong
	}
	sealed := c.send.Seal(nil, nonce(c.sent), plain, nil)
	c.sent++
	return writeFrame(c.out, sealed)
}
