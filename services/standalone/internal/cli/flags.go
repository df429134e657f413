package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// sharedFlags are those of every command.
type sharedFlags struct {
	json         bool
	url, keyFile string
}

func (c command) flags() (*flag.FlagSet, *sharedFlags, func(context.Context, *call) error) {
	set := flag.NewFlagSet(c.name, flag.ContinueOnError)
	set.SetOutput(io.Discard) // errors are told once, by the caller
	set.Usage = func() {}
	do := c.prepare(set)
	shared := &sharedFlags{}
	set.BoolVar(&shared.json, "json", false, "print JSON, for scripts")
	if !c.offline {
		set.StringVar(&shared.url, "url", "", "`URL` of the gateway; otherwise PAIRGATE_URL, or http://127.0.0.1:8080")
		set.StringVar(&shared.keyFile, "key-file", "", "`FILE` with the key; otherwise PAIRGATE_ADMIN_KEY, or admin-key in PAIRGATE_DATA_DIR")
	}
	return set, shared, do
}

// parse reads flags wherever they stand; after "--" there are none.
func parse(set *flag.FlagSet, args []string) (positional []string, err error) {
	var literal []string
	if i := slices.Index(args, "--"); i >= 0 {
		args, literal = args[:i], args[i+1:]
	}
	for len(args) > 0 {
		if err := set.Parse(args); err != nil {
			return nil, err
		}
		if args = set.Args(); len(args) > 0 {
			positional, args = append(positional, args[0]), args[1:]
		}
	}
	return append(positional, literal...), nil
}

func (c command) help(w io.Writer, set *flag.FlagSet) {
	fmt.Fprintf(w, "usage: pairgate %s [FLAG…]\n\n%s\n", c.synopsis(), c.summary)
	if c.text != "" {
		fmt.Fprintf(w, "%s\n", strings.TrimSpace(c.text))
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	set.VisitAll(func(f *flag.Flag) {
		dashes := "--"
		if len(f.Name) == 1 {
			dashes = "-"
		}
		value, meaning := flag.UnquoteUsage(f)
		fmt.Fprintf(t, "  %s\t%s\n", strings.TrimSpace(dashes+f.Name+" "+value), meaning)
	})
	// Whoever asked for help and has gone needs none.
	_ = t.Flush()
}

// list is a flag that may be given several times.
type list []string

// String returns what was given, separated by commas.
func (l *list) String() string { return strings.Join(*l, ",") }

// Set adds a value.
func (l *list) Set(v string) error {
	*l = append(*l, v)
	return nil
}
