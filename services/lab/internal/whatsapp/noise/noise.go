// Package noise is the server's side of WhatsApp's transport: the handshake
// Noise_XX_25519_AESGCM_SHA256 as its responder, the certificate chain that goes
// with it, and the frames before and after.
//
// It was written from what clients do, whatsmeow's handshake.go and socket
// package above all, and knows nothing of the stanzas inside the frames.
package noise

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"go.mau.fi/whatsmeow/proto/waWa6"
	"google.golang.org/protobuf/proto"
)

// pattern is the protocol's name in 32 bytes; Noise takes a name of that length as
// it is instead of hashing it.
const pattern = "Noise_XX_25519_AESGCM_SHA256\x00\x00\x00\x00"

// keySize is the length of a Curve25519 key.
const keySize = 32

// ErrHandshake is in the error of Accept when the client's messages are malformed or
// do not decrypt.
var ErrHandshake = errors.New("noise: the handshake failed")

// Accept plays the server's part of one connection up to the end of the handshake,
// which shows chain to the client. It reads from r and writes to w, each frame in a
// single Write.
//
// Errors wrap ErrIntro or ErrDictionary for a client that does not begin as WhatsApp's
// do, ErrHandshake for one whose messages are wrong, or are those of r and w; io.EOF
// only when r ended before its first byte. Accept does not time out: close what r reads.
func Accept(r io.Reader, w io.Writer, chain *Chain) (*Conn, error) {
	in := newFrameReader(r)
	routing, err := in.intro()
	if err != nil {
		return nil, err
	}
	s := newSymmetric()
	s.mixHash([]byte{'W', 'A', magic, Dictionary})

	var hello, finish waWa6.HandshakeMessage
	if err := in.message(&hello); err != nil {
		return nil, err
	}
	clientEphemeral, err := publicKey(hello.GetClientHello().GetEphemeral())
	if err != nil {
		return nil, err
	}
	s.mixHash(clientEphemeral.Bytes())
	ephemeral, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("noise: %w", err)
	}
	answer, err := s.serverHello(ephemeral, chain, clientEphemeral)
	if err != nil {
		return nil, err
	}
	if err := writeFrame(w, answer); err != nil {
		return nil, err
	}

	if err := in.message(&finish); err != nil {
		return nil, err
	}
	c := &Conn{in: in, out: w, routing: routing}
	static, err := s.decrypt(finish.GetClientFinish().GetStatic())
	if err != nil {
		return nil, err
	}
	clientStatic, err := publicKey(static)
	if err != nil {
		return nil, err
	}
	if err := s.mixSecret(ephemeral, clientStatic); err != nil {
		return nil, err
	}
	if c.payload, err = s.decrypt(finish.GetClientFinish().GetPayload()); err != nil {
		return nil, err
	}
	c.clientStatic = [keySize]byte(static)
	c.receive, c.send, err = s.split()
	return c, err
}

// serverHello is the second message of the handshake, ready to be framed.
func (s *symmetric) serverHello(ephemeral *ecdh.PrivateKey, chain *Chain, client *ecdh.PublicKey) ([]byte, error) {
	public := ephemeral.PublicKey().Bytes()
	s.mixHash(public)
	if err := s.mixSecret(ephemeral, client); err != nil {
		return nil, err
	}
	static := s.encrypt(chain.static.PublicKey().Bytes())
	if err := s.mixSecret(chain.static, client); err != nil {
		return nil, err
	}
	return proto.Marshal(&waWa6.HandshakeMessage{ServerHello: &waWa6.HandshakeMessage_ServerHello{
		Ephemeral: public, Static: static, Payload: s.encrypt(chain.certificates)}})
}

// publicKey checks the length only: the curve's every 32 bytes are a point, and
// points of low order fail at the key agreement.
func publicKey(b []byte) (*ecdh.PublicKey, error) {
	key, err := ecdh.X25519().NewPublicKey(b)
	if err != nil {
		return nil, fmt.Errorf("%w: a key of %d bytes", ErrHandshake, len(b))
	}
	return key, nil
}

// symmetric is Noise's SymmetricState with its CipherState.
type symmetric struct {
	hash  [sha256.Size]byte
	chain []byte
	key   cipher.AEAD
	count uint64
}

func newSymmetric() *symmetric {
	s := &symmetric{hash: [sha256.Size]byte([]byte(pattern)), chain: []byte(pattern)}
	s.key = aead(s.chain)
	return s
}

func (s *symmetric) mixHash(data []byte) {
	s.hash = sha256.Sum256(append(s.hash[:], data...))
}

func (s *symmetric) mixSecret(own *ecdh.PrivateKey, other *ecdh.PublicKey) error {
	secret, err := own.ECDH(other)
	if err != nil {
		return fmt.Errorf("%w: the client's key is of low order", ErrHandshake)
	}
	first, second, err := expand(s.chain, secret)
	if err != nil {
		return err
	}
	s.chain, s.key, s.count = first, aead(second), 0
	return nil
}

func (s *symmetric) encrypt(plain []byte) []byte {
	sealed := s.key.Seal(nil, nonce(s.count), plain, s.hash[:])
	s.count++
	s.mixHash(sealed)
	return sealed
}

func (s *symmetric) decrypt(sealed []byte) ([]byte, error) {
	plain, err := s.key.Open(nil, nonce(s.count), sealed, s.hash[:])
	if err != nil {
		return nil, fmt.Errorf("%w: a message does not decrypt", ErrHandshake)
	}
	s.count++
	s.mixHash(sealed)
	return plain, nil
}

// split ends the handshake: the first key is the client's to send with.
func (s *symmetric) split() (receive, send cipher.AEAD, err error) {
	first, second, err := expand(s.chain, nil)
	if err != nil {
		return nil, nil, err
	}
	return aead(first), aead(second), nil
}

func expand(chain, secret []byte) (first, second []byte, err error) {
	out, err := hkdf.Key(sha256.New, secret, chain, "", 2*keySize)
	if err != nil {
		return nil, nil, fmt.Errorf("noise: %w", err)
	}
	return out[:keySize], out[keySize:], nil
}

// aead panics for a key that is not 32 bytes long, which none is.
func aead(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return gcm
}

func nonce(count uint64) []byte {
	n := make([]byte, 12)
	binary.BigEndian.PutUint64(n[4:], count)
	return n
}
