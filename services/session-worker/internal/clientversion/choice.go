package clientversion

// Source says where the version in force is from.
type Source string

// The sources, in their precedence.
const (
	// Settings: an operator has set it at run time.
	Settings Source = "settings"
	// Configuration: it stands in the environment.
	Configuration Source = "configuration"
	// Web: WhatsApp Web has named it, and it is newer than the built-in one.
	Web Source = "web"
	// BuiltIn: it is that of the library.
	BuiltIn Source = "built-in"
)

// Pinned says that an operator chose the version, so that nothing else may replace it.
func (s Source) Pinned() bool { return s == Settings || s == Configuration }

// Choice is the version in force.
type Choice struct {
	Version Version
	Source  Source
}

// candidates are the versions known, empty where there is none, and which of them are refused.
type candidates struct {
	settings   Version
	configured Version
	web        Version
	builtIn    Version
	refused    map[Version]bool
}

// choose applies the precedence. What WhatsApp Web has named gives way to the
// built-in version when it is refused and that one is not known to be: a page that
// we read wrongly must not cut everybody off.
func (c *candidates) choose() Choice {
	switch {
	case c.settings != "":
		return Choice{c.settings, Settings}
	case c.configured != "":
		return Choice{c.configured, Configuration}
	case c.web.newerThan(c.builtIn) && (!c.refused[c.web] || c.refused[c.builtIn]):
		return Choice{c.web, Web}
	}
	return Choice{c.builtIn, BuiltIn}
}

// prune forgets the verdicts on versions that nobody can choose any more.
func (c *candidates) prune() {
	for v := range c.refused {
		if v != c.settings && v != c.configured && v != c.web && v != c.builtIn {
			delete(c.refused, v)
		}
	}
}
