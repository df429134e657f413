// Command deployment-secrets makes the certificates and keys of a deployment.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"pairgate.dev/deploy/internal/secrets"
)

func main() {
	hosts := flag.String("hosts", "localhost,127.0.0.1,nats,nats-1,nats-2,nats-3,nats-0.nats,nats-1.nats,nats-2.nats",
		"names and addresses by which the NATS servers are reached, separated by commas")
	database := flag.String("database-hosts", "localhost,127.0.0.1,postgres", "the same of PostgreSQL, where the workers' one is that of docker-compose.yml")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: deployment-secrets [-hosts LIST] DIRECTORY\n\n"+
			"Makes certificates, NATS users and keys in an empty directory. Keep it as you keep passwords.\n\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := secrets.Generate(flag.Arg(0), strings.Split(*hosts, ","), strings.Split(*database, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "deployment-secrets:", err)
		os.Exit(1)
	}
}
