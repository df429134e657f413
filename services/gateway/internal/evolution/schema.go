package evolution

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// schema is as much of JSON Schema as the product's own schemas use. Its texts are
// those of the validator that the product has (jsonschema 1.5.0), in the order in
// which that one finds what is wrong; clients show them, and some look for them.
type schema struct {
	// kind is "object", "array", "string", "boolean" or "number".
	kind       string
	properties []property
	required   []string
	items      *schema
	pattern    *regexp.Regexp
	enum       []string
	// filled are properties that must not be empty texts, looked at only where the
	// object has no others. That is what the product's rule comes to.
	filled []string
}

type property struct {
	name   string
	schema *schema
}

// check returns nil, or the failure that names everything that is wrong.
func (s *schema) check(value map[string]any) error {
	if messages := s.find("instance", value); len(messages) > 0 {
		return invalid(messages)
	}
	return nil
}

// find returns what is wrong with a value, whose path begins with "instance".
func (s *schema) find(path string, value any) (messages []string) {
	add := func(format string, args ...any) {
		messages = append(messages, strings.Replace(path+" "+fmt.Sprintf(format, args...), "instance.", "", 1))
	}
	if !isKind(value, s.kind) {
		add("is not of a type(s) %s", s.kind)
	}
	if t, ok := value.(string); ok && s.pattern != nil && !s.pattern.MatchString(t) {
		quoted, _ := json.Marshal(s.pattern.String()) // a text is always JSON
		add("does not match pattern %s", quoted)
	}
	if t, ok := value.(string); s.enum != nil && !(ok && slices.Contains(s.enum, t)) {
		add("is not one of enum values: %s", strings.Join(s.enum, ","))
	}
	if list, ok := value.([]any); ok && s.items != nil {
		for i, item := range list {
			messages = append(messages, s.items.find(path+"["+strconv.Itoa(i)+"]", item)...)
		}
	}
	object, ok := value.(map[string]any)
	if !ok {
		return messages
	}
	for _, p := range s.properties {
		if v, has := object[p.name]; has {
			messages = append(messages, p.schema.find(path+"."+p.name, v)...)
		}
	}
	for _, name := range s.required {
		if _, has := object[name]; !has {
			add("requires property %q", name)
		}
	}
	return append(messages, s.empty(object)...)
}

func (s *schema) empty(object map[string]any) (messages []string) {
	for name := range object {
		if !slices.Contains(s.filled, name) {
			return nil
		}
	}
	for _, name := range s.filled {
		if t, ok := object[name].(string); ok && t == "" {
			messages = append(messages, `The "`+name+`" cannot be empty`)
		}
	}
	return messages
}

func isKind(value any, kind string) bool {
	switch value.(type) {
	case map[string]any:
		return kind == "object"
	case []any:
		return kind == "array"
	case string:
		return kind == "string"
	case bool:
		return kind == "boolean"
	case json.Number:
		return kind == "number"
	}
	return false
}
