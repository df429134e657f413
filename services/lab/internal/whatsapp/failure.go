package whatsapp

import (
	"strconv"
	"time"

	"go.mau.fi/whatsmeow/binary"
)

// Reasons of failure stanzas (named as in whatsmeow's types/events).
const (
	failureBadRequest = 400
	failureLoggedOut  = 401
	failureBanned     = 402
	failureOutdated   = 405
)

// bannedForMessages is the code of a ban for messages to too many people.
const bannedForMessages = 101

// failure is a login that is refused. Attributes that are zero are left out.
type failure struct {
	reason, code int
	expire       time.Duration
}

func (f failure) node() binary.Node {
	attrs := binary.Attrs{"reason": strconv.Itoa(f.reason), "location": "lab"}
	if f.code != 0 {
		attrs["code"] = strconv.Itoa(f.code)
	}
	if f.expire > 0 {
		attrs["expire"] = strconv.Itoa(int((f.expire + time.Second - 1) / time.Second))
	}
	return node("failure", attrs)
}
