package instance

import (
	"encoding/base64"
	"strings"
)

const pageTokenPrefix = "after:"

// PageToken returns the token of the page that begins behind an instance. It is
// opaque to users; the registry and every gateway understand each other's.
func PageToken(last ID) string {
	return base64.RawURLEncoding.EncodeToString([]byte(pageTokenPrefix + string(last)))
}

// ParsePageToken undoes PageToken; the empty token is that of the first page. ok
// is false for anything else.
func ParsePageToken(token string) (after ID, ok bool) {
	if token == "" {
		return "", true
	}
	text, err := base64.RawURLEncoding.DecodeString(token)
	id, found := strings.CutPrefix(string(text), pageTokenPrefix)
	if err != nil || !found {
		return "", false
	}
	return ParseID(id)
}
