package whatsapp

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"

	"go.mau.fi/libsignal/ecc"
	wabinary "go.mau.fi/whatsmeow/binary"

	"pairgate.dev/services/lab/internal/accounts"
	"pairgate.dev/services/lab/internal/whatsapp/adv"
)

const (
	keySize       = 32
	preKeyIDSize  = 3
	preKeySumSize = 4
	// packedSize is what is kept of an uploaded prekey: its id and part of its hash.
	packedSize = preKeyIDSize + preKeySumSize
	// maxUpload is how many prekeys may come at once; whatsmeow's first upload has 812.
	maxUpload = 2000
)

// showPreKeys answers how many prekeys of the device the server has, or which. The
// caller holds the mutex.
func (s *Server) showPreKeys(c *conn, id string, n *wabinary.Node) {
	device, _, ok := s.book.Device(c.device)
	if !ok {
		return // it is being unlinked
	}
	if _, digest := n.GetOptionalChildByTag("digest"); digest {
		c.send(result(id, keyDigest(device)))
		return
	}
	count := len(device.WhatsApp.PreKeys) / packedSize
	if count == 0 {
		count = s.faults.Now().PreKeyCount
	}
	c.send(result(id, node("count", wabinary.Attrs{"value": strconv.Itoa(count)})))
}

// keyDigest is what Baileys asks for to see whether the server has the device's keys.
func keyDigest(d accounts.Device) wabinary.Node {
	var ids []wabinary.Node
	hash := sha256.New()
	hash.Write(d.WhatsApp.Identity)
	for key := range slices.Chunk(d.WhatsApp.PreKeys, packedSize) {
		ids = append(ids, leaf("id", key[:preKeyIDSize]))
		hash.Write(key)
	}
	return node("digest", nil,
		leaf("registration", binary.BigEndian.AppendUint32(nil, d.WhatsApp.Registration)),
		leaf("type", []byte{ecc.DjbType}),
		leaf("identity", d.WhatsApp.Identity),
		node("list", nil, ids...),
		leaf("hash", hash.Sum(nil)[:20]))
}

// takePreKeys takes an upload. The caller holds the mutex.
func (s *Server) takePreKeys(c *conn, id string, n *wabinary.Node) {
	device, _, ok := s.book.Device(c.device)
	if !ok {
		return // it is being unlinked
	}
	known, ok := addPreKeys(device.WhatsApp, n)
	if !ok {
		c.send(refuse(id, "406", "not-acceptable"))
		return
	}
	pending, _ := s.book.Edit(device.ID, func(d *accounts.Device) {
		updated := *d.WhatsApp
		updated.PreKeys = known
		d.WhatsApp = &updated
	})
	s.wg.Go(func() {
		err := pending.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil {
			c.send(refuse(id, "500", "internal-server-error"))
			return
		}
		c.send(result(id))
	})
}

// addPreKeys returns the device's prekeys with those of the upload. An upload is
// refused when it is not the device's own or not signed, has none or malformed keys,
// the same id twice, or an id under which another key was uploaded before. The same
// keys may come again: a client whose upload was not answered does that.
func addPreKeys(d *accounts.WhatsApp, n *wabinary.Node) (packed []byte, ok bool) {
	registration := binary.BigEndian.AppendUint32(nil, d.Registration)
	if !bytes.Equal(content(n, "registration"), registration) || !bytes.Equal(content(n, "type"), []byte{ecc.DjbType}) ||
		!bytes.Equal(content(n, "identity"), d.Identity) || !validSigned(d, n) {
		return nil, false
	}
	known := map[[preKeyIDSize]byte][preKeySumSize]byte{}
	for key := range slices.Chunk(d.PreKeys, packedSize) {
		known[[preKeyIDSize]byte(key)] = [preKeySumSize]byte(key[preKeyIDSize:])
	}
	packed = slices.Clone(d.PreKeys)
	list := n.GetChildByTag("list")
	uploaded := list.GetChildren()
	if len(uploaded) == 0 || len(uploaded) > maxUpload {
		return nil, false
	}
	seen := map[[preKeyIDSize]byte]bool{}
	for _, key := range uploaded {
		id, value := content(&key, "id"), content(&key, "value")
		if key.Tag != "key" || len(id) != preKeyIDSize || len(value) != keySize || seen[[preKeyIDSize]byte(id)] {
			return nil, false
		}
		seen[[preKeyIDSize]byte(id)] = true
		sum := sha256.Sum256(value)
		before, uploaded := known[[preKeyIDSize]byte(id)]
		if uploaded && before != [preKeySumSize]byte(sum[:]) {
			return nil, false
		}
		if !uploaded {
			packed = append(append(packed, id...), sum[:preKeySumSize]...)
		}
	}
	return packed, true
}

// validSigned says whether the upload has a prekey that the device's identity signed.
func validSigned(d *accounts.WhatsApp, n *wabinary.Node) bool {
	key := n.GetChildByTag("skey")
	id, value := content(&key, "id"), content(&key, "value")
	if len(id) != preKeyIDSize || len(value) != keySize || len(d.Identity) != keySize {
		return false
	}
	return adv.VerifyPreKey([keySize]byte(d.Identity), adv.PreKey{Key: [keySize]byte(value), Signature: content(&key, "signature")}) == nil
}
