// Command pairgate is all of Pairgate in one process, its demonstration, and the
// command line of the people who use it.
package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"pairgate.dev/pkg/service"
	"pairgate.dev/services/standalone"
	"pairgate.dev/services/standalone/internal/cli"
)

const usage = `usage: pairgate COMMAND

  serve           run every service and a NATS server in this process
  serve --lab     the same with emulated messengers and phones, for trying things out
  demo            serve --lab in a temporary directory, with one account linked for show;
                  with ONCE=1 in the environment it ends after the first webhook
  version         print the version
  help            print this and every variable of the configuration
  help COMMAND    print what one of the following takes

To a running gateway, by default the one of this machine:

`

func main() {
	os.Exit(run(os.Args[1:], os.Environ(), cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

func run(args, environ []string, s cli.Streams) int {
	command, rest := "", args
	if len(args) > 0 {
		command, rest = args[0], args[1:]
	}
	switch {
	case command == "serve" && (len(rest) == 0 || len(rest) == 1 && rest[0] == "--lab"):
		return serve(environ, len(rest) == 1, s.Err)
	case command == "demo" && len(rest) == 0:
		return demonstrate(environ, s.Out, s.Err)
	case len(rest) == 0 && (command == "version" || command == "--version"):
		fmt.Fprintln(s.Out, "pairgate", service.BuildInfo())
		return service.ExitOK
	case cli.Known(args):
		ctx, stop := service.UntilSignal(context.Background(), func() { os.Exit(service.ExitFailed) })
		defer stop()
		return cli.Run(ctx, args, environ, s)
	case command == "help" && cli.Known(rest):
		return cli.Help(rest, s.Out, s.Err)
	case command == "help" && len(rest) == 0, command == "-h", command == "--help", len(rest) == 1 && (rest[0] == "-h" || rest[0] == "--help"):
		if err := service.Help(s.Out, usage+cli.Usage(), slices.Concat(standalone.Sections(), cli.Sections())...); err != nil {
			return service.ExitFailed
		}
		return service.ExitOK
	}
	fmt.Fprint(s.Err, usage, cli.Usage())
	return service.ExitUsage
}
