package greenapi

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// path is what the parts of a path mean.
type path struct {
	// partner says that it is /partner/{method}/{token}; else it is
	// /waInstance{number}/{method}/{token}/….
	partner bool
	// v3 says that /v3 stands before it.
	v3     bool
	number string
	method string
	token  string
	tail   []string
}

const instancePrefix = "waInstance"

// matches says whether a path is the product's.
func matches(r *http.Request) bool {
	first, _ := parts(r.URL.EscapedPath())
	return len(first) > 0 && (hasPrefixFold(first[0], instancePrefix) || strings.EqualFold(first[0], "partner"))
}

// parts splits an escaped path. Clients put their host's trailing slash before it
// or not, so empty parts count for nothing.
func parts(escaped string) (all []string, v3 bool) {
	for part := range strings.SplitSeq(escaped, "/") {
		if part == "" {
			continue
		}
		// A token may hold a slash, which comes escaped.
		if plain, err := url.PathUnescape(part); err == nil {
			part = plain
		}
		all = append(all, part)
	}
	if len(all) > 1 && strings.EqualFold(all[0], "v3") {
		return all[1:], true
	}
	return all, false
}

// parsePath reads a path that matches.
func parsePath(escaped string) path {
	all, v3 := parts(escaped)
	p := path{v3: v3}
	if p.partner = strings.EqualFold(all[0], "partner"); !p.partner {
		p.number = all[0][len(instancePrefix):]
	}
	if len(all) > 1 {
		p.method = all[1]
	}
	if len(all) > 2 {
		p.token = all[2]
	}
	if len(all) > 3 {
		p.tail = all[3:]
	}
	return p
}

// page returns the token of a path that is the page of an instance's QR: there it
// stands where the method stands elsewhere, and v3 may follow.
func (p path) page() (token string, ok bool) {
	ok = p.method != "" && len(p.tail) == 0 && (p.token == "" || strings.EqualFold(p.token, "v3"))
	return p.method, ok
}

// maxNumber is the greatest integer that every client can read from JSON.
const maxNumber = 1<<53 - 1

// parseNumber reads an idInstance.
func parseNumber(text string) (uint64, bool) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil && n <= maxNumber
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
