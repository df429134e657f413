// Package cli is the command line for people: commands that speak to a gateway
// over HTTP as any other client does, and one that sends a NATS request.
//
// What a command answers goes to standard output, as text for people or, with
// --json, as the gateway's own JSON. Why it was refused goes to standard error.
// Secrets are shown only where they are the answer: the token of create and
// token, and the secret that was made for a new webhook.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"pairgate.dev/pkg/service"
)

// Streams are the three of a process. A terminal is an *os.File.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// command is one word, or two, and what it does.
type command struct {
	name, args, summary string
	// text is what help says beside the usage and the flags; may be empty.
	text string
	// least and most arguments.
	least, most int
	// offline commands speak to no gateway.
	offline bool
	// prepare declares the flags and returns what runs with them.
	prepare func(f *flag.FlagSet) func(ctx context.Context, c *call) error
}

// call is one run of a command.
type call struct {
	Streams
	args   []string
	json   bool
	config Config
	api    *client // nil for offline commands
}

func commands() []command {
	return slices.Concat(instanceCommands(), []command{connectCommand(), eventsCommand()}, webhookCommands(), []command{importCommand(), requestCommand()})
}

// Usage lists the commands, a line each.
func Usage() string {
	var b strings.Builder
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-15s %s\n", c.name, c.summary)
	}
	return b.String()
}

// Sections are the variables of the commands, for a help text.
func Sections() []service.Section {
	return []service.Section{{Title: "Of the commands for people:", Config: Own{}}}
}

// Known says whether the arguments begin with a command of this package.
func Known(args []string) bool {
	return len(args) > 0 && slices.ContainsFunc(commands(), func(c command) bool {
		word, _, _ := strings.Cut(c.name, " ")
		return word == args[0]
	})
}

// Help writes what help about a command says. It returns an exit status.
func Help(words []string, out, errs io.Writer) int {
	var found []command
	for _, c := range commands() {
		if c.name == strings.Join(words, " ") || len(words) == 1 && strings.HasPrefix(c.name, words[0]+" ") {
			found = append(found, c)
		}
	}
	if len(found) == 0 {
		fmt.Fprintf(errs, "pairgate: there is no command %s; pairgate help lists them\n", clean(strings.Join(words, " ")))
		return service.ExitUsage
	}
	for i, c := range found {
		if i > 0 {
			fmt.Fprintln(out)
		}
		set, _, _ := c.flags()
		c.help(out, set)
	}
	return service.ExitOK
}

// Run runs a command with these arguments, its name first, until it is done or
// ctx ends. It returns the exit status: service.ExitOK when it is done,
// service.ExitFailed when it was refused or failed, and service.ExitUsage when
// arguments or the environment are wrong; the reason of the latter two is on s.Err.
func Run(ctx context.Context, args, environ []string, s Streams) int {
	err := run(ctx, args, environ, s)
	if err == nil {
		return service.ExitOK
	}
	usage, isUsage := errors.AsType[*usageError](err)
	switch {
	case errors.Is(err, errReported):
	case isUsage && usage.of != "":
		fmt.Fprintf(s.Err, "pairgate: %s\nusage: pairgate %s\n", clean(usage.message), usage.of)
	default:
		report(s.Err, err)
	}
	if isUsage {
		return service.ExitUsage
	}
	return service.ExitFailed
}

func run(ctx context.Context, args, environ []string, s Streams) error {
	c, rest, err := find(args)
	if err != nil {
		return err
	}
	set, shared, do := c.flags()
	positional, err := parse(set, rest)
	switch {
	case errors.Is(err, flag.ErrHelp):
		c.help(s.Out, set)
		return nil
	case err != nil:
		return c.wrong("%v", err)
	case len(positional) < c.least:
		return c.wrong("%s needs more: %s", c.name, c.args)
	case len(positional) > c.most:
		return c.wrong("%s takes no %q", c.name, positional[c.most])
	}
	this := &call{Streams: s, args: positional, json: shared.json}
	if err := service.Parse(environ, &this.config); err != nil {
		return &usageError{message: err.Error()}
	}
	if !c.offline {
		base, key, err := this.config.gateway(shared.url, shared.keyFile)
		if err != nil {
			return err
		}
		this.api = newClient(base, key)
		defer this.api.close()
	}
	err = do(ctx, this)
	if usage, ok := errors.AsType[*usageError](err); ok && usage.of == "" {
		usage.of = c.synopsis()
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return errInterrupted
	}
	return err
}

func find(args []string) (command, []string, error) {
	for _, c := range commands() {
		words := strings.Fields(c.name)
		if len(args) >= len(words) && slices.Equal(args[:len(words)], words) {
			return c, args[len(words):], nil
		}
	}
	var inner []string
	for _, c := range commands() {
		if rest, ok := strings.CutPrefix(c.name, args[0]+" "); ok {
			inner = append(inner, rest)
		}
	}
	if len(inner) > 0 {
		return command{}, nil, &usageError{message: args[0] + " needs one of " + strings.Join(inner, ", "), of: args[0] + " " + strings.Join(inner, "|") + " …"}
	}
	return command{}, nil, usagef("there is no command %s; pairgate help lists them", args[0])
}

func (c command) wrong(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...), of: c.synopsis()}
}

func (c command) synopsis() string { return strings.TrimSpace(c.name + " " + c.args) }
