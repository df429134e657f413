package service

import (
	"encoding"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"time"

	"pairgate.dev/pkg/seal"
)

// Variable describes one environment variable, as the struct tags of a
// configuration say it.
type Variable struct {
	Name    string
	Aliases []string
	// Type is a word for people: text, number, duration, list of networks, …
	Type string
	// Default is empty for secrets and where there is none.
	Default  string
	Meaning  string
	Secret   bool
	Required bool
	// Values are the allowed ones, where there is a closed list.
	Values []string

	want string
}

func (v Variable) expected() string {
	switch {
	case v.want != "":
		return v.want
	case len(v.Values) > 0:
		return oneOf(v.Values)
	default:
		return expectations[v.Type]
	}
}

func oneOf(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	last := len(values) - 1
	return strings.Join(values[:last], ", ") + " or " + values[last]
}

// field is one field of a configuration that a variable fills.
type field struct {
	value  reflect.Value
	tag    reflect.StructField
	prefix string
	check  *check
}

// fields yields every field with an env tag, nested structs included, and notes
// the structs that have a Check.
func fields(v reflect.Value, checkers *[]Checker) iter.Seq[field] {
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("service: a configuration is a pointer to a struct, not %s", v.Type()))
	}
	return func(yield func(field) bool) { walk(v.Elem(), "", checkers, yield) }
}

func walk(v reflect.Value, prefix string, checkers *[]Checker, yield func(field) bool) bool {
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		if !sf.IsExported() {
			continue
		}
		name, _, _ := strings.Cut(sf.Tag.Get("env"), ",")
		switch {
		case name != "" && name != "-":
			f := field{value: v.Field(i), tag: sf, prefix: prefix}
			if rule := sf.Tag.Get("check"); rule != "" {
				f.check = checkNamed(rule)
			}
			if !yield(f) {
				return false
			}
		case name == "" && sf.Type.Kind() == reflect.Struct:
			if !walk(v.Field(i), prefix+sf.Tag.Get("envPrefix"), checkers, yield) {
				return false
			}
		}
	}
	// Inner structs first, so that an outer rule sees their defaults filled in.
	if c, ok := v.Addr().Interface().(Checker); ok && checkers != nil {
		*checkers = append(*checkers, c)
	}
	return true
}

func (f field) isList() bool {
	_, text := reflect.New(f.tag.Type).Interface().(encoding.TextUnmarshaler)
	return f.tag.Type.Kind() == reflect.Slice && !text
}

func (f field) separator() string {
	if s := f.tag.Tag.Get("envSeparator"); s != "" {
		return s
	}
	return ","
}

func (f field) variable() Variable {
	name, options, _ := strings.Cut(f.tag.Tag.Get("env"), ",")
	v := Variable{
		Name:     f.prefix + name,
		Type:     typeWord(f.tag.Type),
		Default:  f.tag.Tag.Get("envDefault"),
		Meaning:  f.tag.Tag.Get("desc"),
		Secret:   f.tag.Tag.Get("secret") == "true" || f.tag.Type == reflect.TypeFor[seal.Secret](),
		Required: strings.Contains(options, "required") || strings.Contains(options, "notEmpty"),
		Values:   strings.Fields(f.tag.Tag.Get("oneof")),
		want:     f.tag.Tag.Get("want"),
	}
	if aliases := f.tag.Tag.Get("alias"); aliases != "" {
		v.Aliases = strings.Split(aliases, ",")
	}
	if v.Secret {
		v.Default = ""
	}
	if v.want == "" && f.check != nil {
		v.want = f.check.want
	}
	return v
}

// expectations says, for each type word, what a value looks like.
var expectations = map[string]string{
	"text":             "a text",
	"secret":           "a text",
	"true or false":    "true or false",
	"whole number":     "a whole number",
	"number":           "a number",
	"duration":         "a duration such as 500ms, 5s or 2h",
	"value":            "a valid value",
	"list":             "a comma-separated list",
	"list of numbers":  "a comma-separated list of numbers",
	"list of networks": "a comma-separated list of networks such as 10.0.0.0/8",
	"list of values":   "a comma-separated list of valid values",
}

func typeWord(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[seal.Secret]():
		return "secret"
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t.Kind() == reflect.Pointer:
		return typeWord(t.Elem())
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return "value"
	case t.Kind() == reflect.Slice && t.Elem().PkgPath() == "net/netip":
		return "list of networks"
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "whole number"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Slice:
		switch typeWord(t.Elem()) {
		case "text", "secret":
			return "list"
		case "whole number", "number":
			return "list of numbers"
		}
		return "list of values"
	}
	return "value"
}
