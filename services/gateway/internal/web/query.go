package web

import (
	"net/url"
	"strconv"
	"time"

	"pairgate.dev/pkg/instance"
)

// MaxWait is the longest ?wait.
const MaxWait = 60 * time.Second

// Query reads the parameters of a URL and collects what is wrong with them.
// Parameters that nobody asks for are ignored; of several with one name the first
// counts.
type Query struct {
	values url.Values
	// Bad has every bad parameter asked for so far, by name.
	Bad instance.FieldErrors
}

// ParseQuery reads a raw query.
func ParseQuery(raw string) *Query {
	values, err := url.ParseQuery(raw)
	q := &Query{values: values}
	if err != nil {
		q.Bad.Add("", "the query of the URL is malformed: percent-encode what is not a letter or digit")
	}
	return q
}

// Text returns a parameter as it is; empty when it is absent.
func (q *Query) Text(name string) string { return q.values.Get(name) }

// Has says whether the parameter is there and not empty.
func (q *Query) Has(name string) bool { return q.values.Get(name) != "" }

// Uint32 returns a number; 0 when it is absent or bad.
func (q *Query) Uint32(name string) uint32 {
	text := q.values.Get(name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		q.Bad.Add(name, "must be a whole number in decimal digits")
	}
	if err != nil {
		return 0
	}
	return uint32(n)
}

// Bool returns true or false; false when it is absent or bad.
func (q *Query) Bool(name string) bool {
	switch q.values.Get(name) {
	case "", "false", "0":
		return false
	case "true", "1":
		return true
	}
	q.Bad.Add(name, "must be true or false")
	return false
}

// Wait returns ?wait, seconds from 0 to 60; 0 when it is absent or bad.
func (q *Query) Wait() time.Duration {
	text := q.values.Get("wait")
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 16)
	wait := time.Duration(n) * time.Second
	if err != nil || wait > MaxWait {
		q.Bad.Add("wait", "must be a whole number of seconds from 0 to 60")
		return 0
	}
	return wait
}
