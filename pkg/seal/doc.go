// Package seal keeps secrets unreadable where they rest.
//
// A [Ring] seals small secrets (instance tokens, webhook secrets, a messenger's
// credentials) with AES-256-GCM before they are written to a stream or a
// bucket. The first key of the ring seals; every key opens, so that keys are
// rotated by putting a new one in front and removing the old one once nothing
// is [Ring.Stale] any more.
//
// A sealed blob is
//
//	version (1 byte) | key id (8 bytes) | nonce (12 bytes) | ciphertext and tag
//
// and it opens only for the purpose and owner it was sealed for ([For]), so a
// blob that somebody moved to another instance, or to another field of the same
// one, is refused. What is not hidden is the length of the plain text.
//
// Nonces are random. One key may therefore seal 2³² blobs, which is far above
// what a deployment writes in its life.
//
// No error of this package holds a key, a plain text or a token.
package seal
