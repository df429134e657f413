package noise

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/libsignal/logger"
	"go.mau.fi/whatsmeow/proto/waCert"
	"google.golang.org/protobuf/proto"
)

// Root signs certificate chains. Clients trust one root: whatsmeow the one in its
// variable WACertPubKey, Baileys the one in WA_CERT_DETAILS.PUBLIC_KEY.
type Root struct{ key *ecdh.PrivateKey }

// NewRoot makes a root; the same seed makes the same root, so that processes can agree
// on one. The seed is a secret as far as the root is trusted.
func NewRoot(seed [32]byte) *Root {
	// Hashed, so that a seed that somebody also uses elsewhere gives nothing away.
	private := sha256.Sum256(append([]byte("pairgate lab noise root"), seed[:]...))
	return &Root{key: private25519(private[:])}
}

// Public returns the key that clients are to trust.
func (r *Root) Public() [32]byte { return [32]byte(r.key.PublicKey().Bytes()) }

// Chain is a server's static key and the two certificates that vouch for it.
type Chain struct {
	static       *ecdh.PrivateKey
	certificates []byte
}

// The serial numbers mean nothing but that clients compare them: an intermediate's
// issuer must be 0, a leaf's the serial of its intermediate.
const (
	rootSerial = iota
	intermediateSerial
	leafSerial
)

// Chain makes a server's key and its certificates, both valid from notBefore to
// notAfter, to the second. Dates that are past or that another root signed make a
// chain that clients refuse, which is what some tests want.
func (r *Root) Chain(notBefore, notAfter time.Time) (*Chain, error) {
	intermediate, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("noise: %w", err)
	}
	static, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("noise: %w", err)
	}
	from, until := new(uint64(notBefore.Unix())), new(uint64(notAfter.Unix()))
	upper, err := certify(r.key, &waCert.CertChain_NoiseCertificate_Details{
		Serial: new(uint32(intermediateSerial)), IssuerSerial: new(uint32(rootSerial)),
		Key: intermediate.PublicKey().Bytes(), NotBefore: from, NotAfter: until})
	if err != nil {
		return nil, err
	}
	lower, err := certify(intermediate, &waCert.CertChain_NoiseCertificate_Details{
		Serial: new(uint32(leafSerial)), IssuerSerial: new(uint32(intermediateSerial)),
		Key: static.PublicKey().Bytes(), NotBefore: from, NotAfter: until})
	if err != nil {
		return nil, err
	}
	certificates, err := proto.Marshal(&waCert.CertChain{Intermediate: upper, Leaf: lower})
	if err != nil {
		return nil, fmt.Errorf("noise: %w", err)
	}
	return &Chain{static: static, certificates: certificates}, nil
}

// The signal library makes its logger when it first has something to say, without a
// lock: before anything runs that could race for it.
func init() { logger.Debug() }

func certify(issuer *ecdh.PrivateKey, details *waCert.CertChain_NoiseCertificate_Details) (*waCert.CertChain_NoiseCertificate, error) {
	raw, err := proto.Marshal(details)
	if err != nil {
		return nil, fmt.Errorf("noise: %w", err)
	}
	signature := ecc.CalculateSignature(ecc.NewDjbECPrivateKey([32]byte(issuer.Bytes())), raw)
	return &waCert.CertChain_NoiseCertificate{Details: raw, Signature: signature[:]}, nil
}

// private25519 panics for a key that is not 32 bytes long; every other is one.
func private25519(b []byte) *ecdh.PrivateKey {
	key, err := ecdh.X25519().NewPrivateKey(b)
	if err != nil {
		panic(err)
	}
	return key
}
