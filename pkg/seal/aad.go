package seal

import "encoding/binary"

// Purpose names the kind of secret in a blob. The value is part of what is
// authenticated: changing one makes the blobs of that purpose unreadable.
type Purpose string

// The purposes of this version.
const (
	// PurposeToken is an instance's API token.
	PurposeToken Purpose = "token"
	// PurposeReply is the stored reply of an idempotent create, which shows the token.
	PurposeReply Purpose = "idempotent-reply"
	// PurposeWebhook is a webhook's signing secret or its secret headers.
	PurposeWebhook Purpose = "webhook"
	// PurposeProxy is the address of an instance's proxy with its password.
	PurposeProxy Purpose = "proxy"
	// PurposeCredentials is what a driver needs to log in again.
	PurposeCredentials Purpose = "credentials"
	// PurposeKeyCheck is the known text by which a wrong master key is found out.
	PurposeKeyCheck Purpose = "key-check"
)

// AAD is the additional data of a blob: what it is, and whose. The zero AAD is
// refused.
type AAD struct {
	data string
}

// For returns the additional data for a secret of this purpose that belongs to
// owner, usually an instance id. It is the zero AAD, which Seal and Open refuse,
// when either is empty.
func For(purpose Purpose, owner string) AAD {
	if purpose == "" || owner == "" {
		return AAD{}
	}
	// The length keeps ("a", "bc") and ("ab", "c") apart.
	b := binary.BigEndian.AppendUint32(nil, uint32(len(purpose)))
	b = append(b, purpose...)
	b = append(b, owner...)
	return AAD{data: string(b)}
}

// bind puts the blob's header under the tag as well, so that version and key id
// cannot be changed.
func (a AAD) bind(header []byte) []byte {
	return append(header[:len(header):len(header)], a.data...)
}
