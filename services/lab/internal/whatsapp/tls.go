package whatsapp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Host is the name that clients connect to.
const Host = "web.whatsapp.com"

// Secure makes a listener speak TLS as Host, for clients that are led to it by a proxy
// and can be told nothing but what authority to trust. It returns the authority's
// certificate as PEM. The authority is made anew each time and its key is forgotten at
// once: it can vouch for nothing but this listener.
func Secure(plain net.Listener) (secure net.Listener, authority []byte, err error) {
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Pairgate lab"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(chainLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{Host},
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: Host}, DNSNames: []string{Host},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	issuer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("whatsapp: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("whatsapp: %w", err)
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &issuer.PublicKey, issuer)
	if err != nil {
		return nil, nil, fmt.Errorf("whatsapp: %w", err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, issuer)
	if err != nil {
		return nil, nil, fmt.Errorf("whatsapp: %w", err)
	}
	// HTTP/2 knows no upgrade to a WebSocket that clients would use.
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		Certificates: []tls.Certificate{{Certificate: [][]byte{leafDER}, PrivateKey: key}},
	}
	return abrupt{tls.NewListener(plain, config)}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), nil
}

// abrupt are connections with TLS that are cut like those without.
type abrupt struct{ net.Listener }

// Accept is that of the listener.
func (l abrupt) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if secure, ok := nc.(*tls.Conn); ok {
		return cut{secure}, nil
	}
	return nc, err
}

type cut struct{ *tls.Conn }

// Close closes the connection below TLS: TLS would say goodbye first, and wait for a
// client that does not listen.
func (c cut) Close() error { return c.NetConn().Close() }

// SetLinger is that of the TCP connection.
func (c cut) SetLinger(seconds int) error {
	if lingering, ok := c.NetConn().(interface{ SetLinger(int) error }); ok {
		return lingering.SetLinger(seconds)
	}
	return nil
}
