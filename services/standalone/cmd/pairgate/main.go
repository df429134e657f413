// Command pairgate is all of Pairgate in one process, and its demonstration.
package main

import (
	"fmt"
	"io"
	"os"

	"pairgate.dev/pkg/service"
	"pairgate.dev/services/standalone"
)

const usage = `usage: pairgate COMMAND

  serve          run every service and a NATS server in this process
  serve --lab    the same with emulated messengers and phones, for trying things out
  demo           serve --lab in a temporary directory, with one account linked for show;
                 with ONCE=1 in the environment it ends after the first webhook
  version        print the version
  help           print this and every variable of the configuration
`

func main() { os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr)) }

func run(args, environ []string, stdout, stderr io.Writer) int {
	command, rest := "", args
	if len(args) > 0 {
		command, rest = args[0], args[1:]
	}
	switch {
	case command == "serve" && (len(rest) == 0 || len(rest) == 1 && rest[0] == "--lab"):
		return serve(environ, len(rest) == 1, stderr)
	case command == "demo" && len(rest) == 0:
		return demonstrate(environ, stdout, stderr)
	case len(rest) == 0 && (command == "version" || command == "--version"):
		fmt.Fprintln(stdout, "pairgate", service.BuildInfo())
		return service.ExitOK
	case command == "help" || command == "-h" || command == "--help",
		len(rest) == 1 && (rest[0] == "-h" || rest[0] == "--help"):
		if err := service.Help(stdout, usage, standalone.Sections()...); err != nil {
			return service.ExitFailed
		}
		return service.ExitOK
	}
	fmt.Fprint(stderr, usage)
	return service.ExitUsage
}
