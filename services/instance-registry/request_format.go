package registry

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"pairgate.dev/pkg/dialect"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// formatWords are what a webhook wants in the words of its format.
type formatWords struct {
	events  []string
	options map[string]string
}

// Where an update has them.
const (
	fieldNames   = "formatEvents.kinds"
	fieldOptions = "formatOptions.values"
)

// Options of a format that are switches, "true" or "false".
var formatSwitches = map[instance.Format][]string{
	instance.FormatEvolution: {"base64", "byEvents"},
}

// maxFormatEvents is the longest list of notifications; more than there are, so that
// repetitions are not counted.
const maxFormatEvents = 100

// checkWords checks the notifications and switches that are asked for of a format,
// and returns the names without repetitions, in the order in which they were given:
// what is shown again is what was said. A format that is none was
// named already.
func checkWords(f *instance.FieldErrors, names, options string, format instance.Format, events []string, switches map[string]string) formatWords {
	if !format.Valid() {
		return formatWords{}
	}
	known := map[instance.Format][]string{instance.FormatGreenAPI: dialect.GreenNotifications(), instance.FormatEvolution: dialect.EvolutionEvents()}[format]
	switch {
	case known == nil && len(events) > 0:
		f.Add(names, "goes with the formats %s and %s only", instance.FormatGreenAPI, instance.FormatEvolution)
	case len(events) > maxFormatEvents:
		f.Add(names, "must have at most %d names", maxFormatEvents)
	default:
		for i, name := range events {
			if !slices.Contains(known, name) {
				f.Add(names+"["+strconv.Itoa(i)+"]", "must be one of %s", strings.Join(known, ", "))
			}
		}
	}
	allowed := formatSwitches[format]
	for _, name := range slices.Sorted(maps.Keys(switches)) {
		switch value := switches[name]; {
		case !slices.Contains(allowed, name) && len(allowed) == 0:
			f.Add(options, "the format %s has no options", format)
			return formatWords{}
		case !slices.Contains(allowed, name):
			f.Add(options, "has a name that is not one of %s", strings.Join(allowed, ", "))
		case value != "true" && value != "false":
			f.Add(instance.Path(options, name), "must be true or false")
		}
	}
	return formatWords{events: unrepeated(events), options: maps.Clone(switches)}
}

func unrepeated(names []string) (out []string) {
	for _, name := range names {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// applyWords changes what a webhook wants in the words of its format, which w has
// already. A list or switches in the words of another format mean nothing.
func applyWords(w *pb.Webhook, c webhookChange, was instance.Format) error {
	if instance.Format(w.GetFormat()) != was {
		w.FormatEvents, w.FormatOptions = nil, nil
	}
	var f instance.FieldErrors
	words := checkWords(&f, fieldNames, fieldOptions, instance.Format(w.GetFormat()), c.names.GetKinds(), c.options.GetValues())
	if c.names != nil {
		w.FormatEvents = words.events
	}
	if c.options != nil {
		w.FormatOptions = words.options
	}
	return f.Err()
}
