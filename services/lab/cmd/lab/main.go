// Command lab runs emulated messengers and phones on this machine.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"

	"pairgate.dev/services/lab"
)

func main() {
	var cfg lab.Config
	flag.StringVar(&cfg.SimulatedAddr, "simulated-addr", "127.0.0.1:0", "loopback `host:port` of the simulated messenger; port 0 picks one")
	flag.StringVar(&cfg.WhatsAppAddr, "whatsapp-addr", "127.0.0.1:0", "loopback `host:port` of the emulated WhatsApp; port 0 picks one")
	flag.StringVar(&cfg.ControlAddr, "control-addr", lab.DefaultControlAddr, "loopback `host:port` of the control API; port 0 picks one")
	flag.StringVar(&cfg.DataDir, "data-dir", "./data/lab", "`directory` of accounts and linked devices")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "lab: takes no arguments, only flags; -h lists them")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	log := zap.Must(zap.NewProduction())
	err := lab.Run(ctx, cfg, lab.Deps{Log: log, Ready: func(a lab.Addrs) {
		fmt.Printf("control http://%s\nsimulated %s\nwhatsapp %s\nwhatsapp-noise-root %s\n", a.Control, a.Simulated, a.WhatsApp, a.WhatsAppNoiseRoot)
	}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
