package service

import (
	"errors"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Checker is a configuration with rules that no tag can say: two variables that
// go together, say. [Parse] calls Check (on the pointer) once every variable of
// the struct was read without an error; Check calls bad for each variable that
// is wrong, with what is expected and never with the value. It may also fill in
// a default that depends on other variables. A nested struct may have its own.
type Checker interface {
	Check(bad func(variable, expected string))
}

// BadVariable is one thing that is wrong with the environment.
type BadVariable struct {
	Name string
	// Message says what is expected. It never holds the value.
	Message string
}

// ConfigError names everything that is wrong with the environment at once.
type ConfigError struct {
	Variables []BadVariable
}

// Error is one line: "NAME: what is expected; NAME: …".
func (e *ConfigError) Error() string {
	parts := make([]string, len(e.Variables))
	for i, v := range e.Variables {
		parts[i] = v.Name + ": " + v.Message
	}
	return strings.Join(parts, "; ")
}

// Parse fills configs, pointers to structs, from environ (as [os.Environ] gives
// it). It looks at these struct tags, of nested structs too:
//
//	env           name of the variable; ",required" and the other options of caarlos0/env work
//	envDefault    value when the variable is absent or empty
//	desc          what it means, for -h and the README
//	alias         other names, comma-separated, read in this order when the variable itself is absent
//	secret:"true" never show the default (implied by the type seal.Secret)
//	oneof         the values that are allowed, separated by spaces
//	check         a named rule: addr, loopback, url, positive or nonnegative
//	want          what is expected, in place of the text that follows from the type
//
// Elements of lists are trimmed and empty ones dropped. The error is a
// *[ConfigError] that names every bad variable of every config and every
// PAIRGATE_ variable that neither [AllVariables] nor configs know. Parse panics
// on something that is no pointer to a struct, and on an unknown check.
func Parse(environ []string, configs ...any) error {
	set := environment(environ)
	var bad []BadVariable
	report := func(name, message string) {
		v := BadVariable{Name: name, Message: message}
		// Two services of one process may read the same variable.
		if !slices.Contains(bad, v) {
			bad = append(bad, v)
		}
	}
	for _, config := range configs {
		before := len(bad)
		var checkers []Checker
		for f := range fields(reflect.ValueOf(config), &checkers) {
			f.parse(set, report)
		}
		if len(bad) > before {
			continue
		}
		for _, c := range checkers {
			c.Check(func(name, expected string) { report(name, "must be "+expected) })
		}
	}
	for _, u := range unknown(set, KnownVariables(configs...)) {
		report(u.Name, u.Message)
	}
	if len(bad) == 0 {
		return nil
	}
	slices.SortStableFunc(bad, func(a, b BadVariable) int { return strings.Compare(a.Name, b.Name) })
	return &ConfigError{Variables: bad}
}

func environment(environ []string) map[string]string {
	set := make(map[string]string, len(environ))
	for _, entry := range environ {
		// Compose files and shells pass "NAME=" for what is not set.
		if name, value, ok := strings.Cut(entry, "="); ok && value != "" {
			set[name] = value
		}
	}
	return set
}

// parse reads one variable into its field. Each field goes through caarlos0/env
// alone, in a struct made for it, because that library's errors name fields, and
// quote values that may be secret.
func (f field) parse(set map[string]string, report func(name, message string)) {
	v := f.variable()
	source, value := v.Name, set[v.Name]
	for _, alias := range v.Aliases {
		if value != "" {
			break
		}
		source, value = alias, set[alias]
	}
	if value == "" {
		source = v.Name
	}
	if f.isList() {
		value = trimList(value, f.separator())
	}
	one := map[string]string{"": ""}
	if value != "" {
		one[v.Name] = value
	}
	if len(v.Values) > 0 && value != "" && !slices.Contains(v.Values, value) {
		report(source, "must be "+v.expected())
		return
	}

	sf := f.tag
	sf.Index, sf.Offset, sf.PkgPath, sf.Anonymous = nil, 0, "", false
	holder := reflect.New(reflect.StructOf([]reflect.StructField{sf}))
	err := env.ParseWithOptions(holder.Interface(), env.Options{Environment: one, Prefix: f.prefix})
	if err == nil {
		got := holder.Elem().Field(0)
		given := value != "" || f.tag.Tag.Get("envDefault") != ""
		if f.check != nil && given && !f.check.holds(got) {
			report(source, "must be "+v.expected())
			return
		}
		f.value.Set(got)
		return
	}
	for _, e := range flatten(err) {
		if isNotSet(e) {
			report(source, "is required: "+v.expected())
			return
		}
	}
	report(source, "must be "+v.expected())
}

func flatten(err error) []error {
	if all, ok := errors.AsType[env.AggregateError](err); ok {
		return all.Errors
	}
	return []error{err}
}

func isNotSet(err error) bool {
	_, notSet := errors.AsType[env.VarIsNotSetError](err)
	_, empty := errors.AsType[env.EmptyVarError](err)
	return notSet || empty
}

func trimList(value, separator string) string {
	var kept []string
	for part := range strings.SplitSeq(value, separator) {
		if part = strings.TrimSpace(part); part != "" {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, separator)
}
