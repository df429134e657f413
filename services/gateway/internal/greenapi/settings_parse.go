package greenapi

import (
	"maps"
	"slices"
	"strconv"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// settingsChange is what a client wants changed. What is absent stays.
type settingsChange struct {
	flags  map[string]bool
	values map[string]string
	// url and token of the webhook; nil stays.
	url, token *string
}

// parseSettings reads the settings in a body and names every bad one. Members that
// are no settings are let pass: clients send supersets.
func parseSettings(body object) (settingsChange, instance.FieldErrors) {
	c := settingsChange{flags: map[string]bool{}, values: map[string]string{}}
	var bad instance.FieldErrors
	for _, name := range slices.Sorted(maps.Keys(body)) {
		k, known := keyNamed(name)
		if !known || !body.has(name) {
			continue
		}
		switch k.kind {
		case flag:
			yes, ok := yesOrNo(body, name)
			if !ok {
				bad.Add(name, `must be "yes" or "no"`)
			}
			c.flags[name] = yes
		case text:
			s, ok := body.text(name)
			if !ok {
				bad.Add(name, "must be a text")
			}
			c.setText(name, s)
		case delay:
			n, ok := body.integer(name)
			if !ok || n < minDelay || n > maxDelay {
				bad.Add(name, "must be a whole number from %d to %d", minDelay, maxDelay)
			}
			c.values[name] = strconv.FormatUint(n, 10)
		case integer:
			n, ok := body.integer(name)
			if !ok || n > maxNumber {
				bad.Add(name, "must be a whole number of at least 0")
			}
			c.values[name] = strconv.FormatUint(n, 10)
		case either:
			value, ok := switched(body, name)
			if !ok {
				bad.Add(name, `must be true, false, "yes" or "no"`)
			}
			c.values[name] = value
		}
	}
	return c, bad
}

func (c *settingsChange) setText(name, value string) {
	if name == "webhookUrl" {
		c.url = &value
		return
	}
	c.token = &value
}

func yesOrNo(body object, name string) (yes, ok bool) {
	s, isText := body.text(name)
	return s == "yes", isText && (s == "yes" || s == "no")
}

// switched reads a setting that clients send in two ways, and keeps the way.
func switched(body object, name string) (value string, ok bool) {
	if raw := string(body[name]); raw == "true" || raw == "false" {
		return raw, true
	}
	if _, ok := yesOrNo(body, name); ok {
		s, _ := body.text(name)
		return s, true
	}
	return "", false
}

// apply returns the settings after the change; before may be nil.
func (c *settingsChange) apply(before *pb.GreenApiSettings) *pb.GreenApiSettings {
	flags := map[string]bool{}
	for _, name := range before.GetFlags() {
		flags[name] = true
	}
	maps.Copy(flags, c.flags)
	maps.DeleteFunc(flags, func(_ string, yes bool) bool { return !yes })
	after := &pb.GreenApiSettings{Flags: slices.Sorted(maps.Keys(flags)), Values: map[string]string{}}
	maps.Copy(after.Values, before.GetValues())
	maps.Copy(after.Values, c.values)
	return after
}
