package whatsapp

import (
	"context"
	"go.mau.fi/whatsmeow/binary"
)

// typedCode is a phone code that a device waits with.
type typedCode struct{}

type typedCodes struct{}

func newTypedCodes() typedCodes { return typedCodes{} }

func (t *typedCodes) bury(*typedCode) {}

// EnterCode lets the phone type a phone code.
func (s *Server) EnterCode(ctx context.Context, phone, typed string) error { return unknownCode() }

func (c *conn) unlinkedRequest(id, kind string, n *binary.Node) { c.send(result(id)) }
