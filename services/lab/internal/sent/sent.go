// Package sent keeps the last of what devices have sent.
package sent

import (
	"slices"
	"time"

	"pairgate.dev/services/lab/labapi"
)

// kept is how much of what a device has sent is kept.
const kept = 50

// Log is what each device has sent, the last 50, oldest first. Its owner guards it.
type Log map[string][]labapi.Sent

// Presence adds a presence, "available" or "unavailable", of now.
func (l Log) Presence(device, text string) {
	all := append(l[device], labapi.Sent{At: time.Now().UTC(), Kind: "presence", Text: text})
	l[device] = all[max(0, len(all)-kept):]
}

// Of returns a copy of what the device has sent.
func (l Log) Of(device string) []labapi.Sent { return slices.Clone(l[device]) }

// Forget forgets the device.
func (l Log) Forget(device string) { delete(l, device) }
