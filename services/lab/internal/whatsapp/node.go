package whatsapp

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"

	"go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// maxStanza is the longest stanza, in bytes, after it was inflated.
const maxStanza = 16 << 20

// errStanza says that a frame holds no stanza.
var errStanza = errors.New("whatsapp: a frame that is no stanza")

// compressed is the flag in a stanza's first byte that says that zlib follows (seen
// in whatsmeow's binary/unpack.go).
const compressed = 2

// decode reads the stanza of a frame.
func decode(frame []byte) (node *binary.Node, err error) {
	if len(frame) == 0 {
		return nil, errStanza
	}
	// The library's decoder indexes its tables with what it has read.
	defer func() {
		if recover() != nil {
			node, err = nil, errStanza
		}
	}()
	body := frame[1:]
	if frame[0]&compressed != 0 {
		z, err := zlib.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errStanza, err)
		}
		if body, err = io.ReadAll(io.LimitReader(z, maxStanza+1)); err != nil || len(body) > maxStanza {
			return nil, errStanza
		}
	}
	if node, err = binary.Unmarshal(body); err != nil {
		return nil, fmt.Errorf("%w: %w", errStanza, err)
	}
	return node, nil
}

// text is an attribute, or content, as text: an encoder may have packed it.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	case fmt.Stringer:
		return v.String()
	}
	return ""
}

// content is the content of the child with this tag. What its sender's encoder took
// for a token or for digits arrives as a string.
func content(n *binary.Node, tag string) []byte {
	child := n.GetChildByTag(tag)
	return []byte(text(child.Content))
}

// node is a stanza or a part of one.
func node(tag string, attrs binary.Attrs, children ...binary.Node) binary.Node {
	n := binary.Node{Tag: tag, Attrs: attrs}
	if len(children) > 0 {
		n.Content = children
	}
	return n
}

// leaf is a node with bytes.
func leaf(tag string, content []byte) binary.Node {
	return binary.Node{Tag: tag, Content: content}
}

// result answers a request. The sender must be encoded as a JID: whatsmeow compares
// typed values, and ignores what has a string there (seen in its pair.go).
func result(id string, children ...binary.Node) binary.Node {
	return node("iq", binary.Attrs{"from": types.ServerJID, "type": "result", "id": id}, children...)
}

// refuse answers a request with an error.
func refuse(id, code, why string) binary.Node {
	return node("iq", binary.Attrs{"from": types.ServerJID, "type": "error", "id": id},
		node("error", binary.Attrs{"code": code, "text": why}))
}

// streamError is the last stanza of a stream.
func streamError(code string, children ...binary.Node) binary.Node {
	return node("stream:error", binary.Attrs{"code": code}, children...)
}

// conflict is why a stream is over.
func conflict(kind string) binary.Node {
	return node("conflict", binary.Attrs{"type": kind})
}
