// Command provision makes the streams and buckets of a deployment, and corrects their
// settings where that loses nothing. It is the only one that needs the right to, and
// ends when it is done. It takes the variables that every service shares.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/service"
)

// patience is for a cluster that is just being started.
const patience = 2 * time.Minute

func main() {
	var common service.Common
	if err := service.Parse(os.Environ(), &common); err != nil {
		fmt.Fprintln(os.Stderr, "provision:", err)
		os.Exit(service.ExitUsage)
	}
	log, _ := service.NewLogger(service.LogOptions{Name: "provision", Level: common.LogLevel, Format: common.LogFormat})
	if err := run(common, log); err != nil {
		log.Error("streams are not as declared", zap.Error(err))
		os.Exit(service.ExitFailed)
	}
}

func run(common service.Common, log *zap.Logger) error {
	ctx, stop := service.UntilSignal(context.Background(), func() { os.Exit(service.ExitFailed) })
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	options := common.BusOptions("provision")
	options.Log = log
	conn, err := bus.Connect(ctx, options)
	if err != nil {
		return err
	}
	declared := common.EnsureOptions()
	declared.CheckOnly = false
	err = service.EnsureStreams(ctx, conn, declared, log, service.NewHealth())
	if err == nil {
		log.Info("streams and buckets are there")
	}
	return errors.Join(err, conn.Drain(context.WithoutCancel(ctx)))
}
