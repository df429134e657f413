package registry

import (
	"maps"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// Limits of what clients of the imitated products may have kept of an instance, in
// characters where not said otherwise. What the words mean is for the gateway, which
// speaks these products' ways of refusing.
const (
	maxDialectEntries = 64
	maxDialectName    = 64
	maxDialectValue   = 2048
	maxDialectText    = 255
)

func settings(f *instance.FieldErrors, s *pb.InstanceSettings) *pb.InstanceSettings {
	if s == nil {
		return nil
	}
	out := &pb.InstanceSettings{DeviceName: instance.CheckDeviceName(f, "settings.deviceName", s.GetDeviceName())}
	if q := s.GetQr(); q != nil {
		style := instance.CheckQRStyle(f, "settings.qr", instance.QRStyle{Foreground: q.GetForeground(),
			Background: q.GetBackground(), Level: q.GetLevel(), Size: q.GetSize(), Margin: q.GetMargin()})
		out.Qr = &pb.QrStyle{Foreground: style.Foreground, Background: style.Background,
			Level: style.Level, Size: style.Size, Margin: style.Margin}
	}
	if g := s.GetGreenApi(); g != nil {
		out.GreenApi = &pb.GreenApiSettings{Flags: checkFlags(f, "settings.greenApi.flags", g.GetFlags()),
			Values: checkValues(f, "settings.greenApi.values", g.GetValues())}
	}
	if e := s.GetEvolution(); e != nil {
		out.Evolution = &pb.EvolutionSettings{Flags: checkFlags(f, "settings.evolution.flags", e.GetFlags()),
			Values: checkValues(f, "settings.evolution.values", e.GetValues()), Integration: e.GetIntegration(), Number: e.GetNumber()}
		checkDialectText(f, "settings.evolution.integration", e.GetIntegration(), maxDialectText)
		checkDialectText(f, "settings.evolution.number", e.GetNumber(), maxDialectText)
	}
	return out
}

// checkFlags returns the names sorted and without repetitions.
func checkFlags(f *instance.FieldErrors, field string, flags []string) []string {
	if len(flags) > maxDialectEntries {
		f.Add(field, "must have at most %d names", maxDialectEntries)
		return nil
	}
	for i, name := range flags {
		checkDialectName(f, field+"["+strconv.Itoa(i)+"]", name)
	}
	return slices.Compact(slices.Sorted(slices.Values(flags)))
}

func checkValues(f *instance.FieldErrors, field string, values map[string]string) map[string]string {
	if len(values) > maxDialectEntries {
		f.Add(field, "must have at most %d entries", maxDialectEntries)
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !checkDialectName(f, field, name) {
			continue
		}
		checkDialectText(f, instance.Path(field, name), values[name], maxDialectValue)
	}
	return maps.Clone(values)
}

// checkDialectName: a name is letters and digits, so that it can stand in a path.
func checkDialectName(f *instance.FieldErrors, field, name string) bool {
	ok := name != "" && len(name) <= maxDialectName
	for _, c := range []byte(name) {
		ok = ok && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_')
	}
	if !ok {
		f.Add(field, "must be a name of 1 to %d letters, digits and underscores", maxDialectName)
	}
	return ok
}

// checkDialectText lets line breaks pass: one of the texts is a message for people.
func checkDialectText(f *instance.FieldErrors, field, text string, longest int) {
	switch {
	case utf8.RuneCountInString(text) > longest:
		f.Add(field, "must have at most %d characters", longest)
	case !utf8.ValidString(text):
		f.Add(field, "must be valid UTF-8")
	default:
		for _, r := range text {
			if unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' {
				f.Add(field, "must not contain control characters other than line breaks and tabs")
				return
			}
		}
	}
}

// merged is what becomes of an instance's settings by an update's. The part of an
// imitated product is replaced where it is given and stays otherwise: somebody who
// uses two faces must not lose the one's settings by a call of the other. What
// belongs to no product is replaced as a whole, unless nothing but such parts is given.
func merged(before, given *pb.InstanceSettings) *pb.InstanceSettings {
	out := proto.CloneOf(given)
	if out.GreenApi == nil {
		out.GreenApi = before.GetGreenApi()
	}
	if out.Evolution == nil {
		out.Evolution = before.GetEvolution()
	}
	if given.GetQr() == nil && given.GetDeviceName() == "" && (given.GetGreenApi() != nil || given.GetEvolution() != nil) {
		out.Qr, out.DeviceName = before.GetQr(), before.GetDeviceName()
	}
	return out
}
