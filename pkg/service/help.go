package service

import (
	"cmp"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
)

// Section is a part of the help: a title and a configuration (a struct or a
// pointer to one) whose variables it lists.
type Section struct {
	Title  string
	Config any
}

// Variables returns the variables of configs (structs or pointers to structs),
// sorted by name; one that several configs read is listed once, as the first of
// them describes it.
func Variables(configs ...any) []Variable {
	var all []Variable
	seen := map[string]bool{}
	for _, config := range configs {
		for f := range fields(addressable(config), nil) {
			if v := f.variable(); !seen[v.Name] {
				seen[v.Name] = true
				all = append(all, v)
			}
		}
	}
	slices.SortFunc(all, func(a, b Variable) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func addressable(config any) reflect.Value {
	v := reflect.ValueOf(config)
	if v.Kind() == reflect.Struct {
		p := reflect.New(v.Type())
		p.Elem().Set(v)
		return p
	}
	return v
}

// Help writes what -h shows: the usage text and, section by section, each
// variable with its type, default and meaning. A variable that an earlier
// section listed is not listed again.
func Help(w io.Writer, usage string, sections ...Section) error {
	var b strings.Builder
	b.WriteString(strings.TrimSpace(usage) + "\n\nConfiguration is by environment variables; an empty one counts as not set.\n")
	seen := map[string]bool{}
	for _, s := range sections {
		var lines strings.Builder
		for _, v := range Variables(s.Config) {
			if !seen[v.Name] {
				seen[v.Name] = true
				v.writeHelp(&lines)
			}
		}
		if lines.Len() > 0 {
			fmt.Fprintf(&b, "\n%s\n%s", s.Title, lines.String())
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (v Variable) writeHelp(b *strings.Builder) {
	fmt.Fprintf(b, "  %s  (%s)\n", v.Name, strings.Join(v.facts(plain), "; "))
	for _, line := range wrap(v.Meaning, 90) {
		fmt.Fprintf(b, "      %s\n", line)
	}
}

func plain(s string) string { return s }
func code(s string) string  { return "`" + s + "`" }

// typeText is the type, or the closed list of values.
func (v Variable) typeText() string {
	if len(v.Values) > 0 {
		return oneOf(v.Values)
	}
	return v.Type
}

func (v Variable) defaultText(quote func(string) string) string {
	switch {
	case v.Required:
		return "required"
	case v.Default != "":
		return quote(v.Default)
	}
	return "none"
}

func (v Variable) facts(quote func(string) string) []string {
	facts := []string{v.typeText()}
	switch {
	case v.Required:
		facts = append(facts, "required")
	case v.Default != "":
		facts = append(facts, "default "+quote(v.Default))
	}
	if len(v.Aliases) > 0 {
		facts = append(facts, "also read as "+strings.Join(v.Aliases, ", "))
	}
	return facts
}

// MarkdownTable returns the variables of configs as a Markdown table with a
// heading row: variable, type, default, meaning. Sorted by name, so the text
// changes only when a configuration does.
func MarkdownTable(configs ...any) string {
	var b strings.Builder
	b.WriteString("| variable | type | default | meaning |\n|---|---|---|---|\n")
	for _, v := range Variables(configs...) {
		meaning := v.Meaning
		if len(v.Aliases) > 0 {
			quoted := make([]string, len(v.Aliases))
			for i, a := range v.Aliases {
				quoted[i] = code(a)
			}
			meaning += " Also read as " + strings.Join(quoted, ", ") + "."
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", v.Name, cell(v.typeText()), cell(v.defaultText(code)), cell(strings.TrimSpace(meaning)))
	}
	return b.String()
}

func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s)
}

// wrap breaks text into lines of at most width bytes where words allow it.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
