package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"go.uber.org/zap"

	"pairgate.dev/pkg/service"
	"pairgate.dev/services/standalone"
	"pairgate.dev/services/standalone/internal/demo"
)

// configured reads the configuration, or says what is wrong with it.
func configured(environ []string, stderr io.Writer) (standalone.Config, bool) {
	cfg, err := standalone.Parse(environ)
	if err == nil {
		return cfg, true
	}
	if bad, ok := errors.AsType[*service.ConfigError](err); ok {
		for _, v := range bad.Variables {
			fmt.Fprintf(stderr, "pairgate: %s: %s\n", v.Name, v.Message)
		}
	} else {
		fmt.Fprintf(stderr, "pairgate: %v\n", err)
	}
	return cfg, false
}

// collectAt is how much, in per cent, the heap may grow between two collections.
// Most of it are records of instances at rest, which the default of 100 would pay
// for twice in memory; work that makes garbage is little beside them.
const collectAt = 50

func serve(environ []string, lab bool, stderr io.Writer) int {
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(collectAt)
	}
	cfg, ok := configured(environ, stderr)
	if !ok {
		return service.ExitUsage
	}
	log, level := service.NewLogger(service.LogOptions{Name: "pairgate", Level: cfg.Own.LogLevel, Format: cfg.Own.LogFormat, Output: stderr})
	stopTracing, err := service.StartTracing(context.Background(), "pairgate", log)
	if err != nil {
		fmt.Fprintf(stderr, "pairgate: %v\n", err)
		return service.ExitUsage
	}
	defer stopTracing()
	ctx, stop := service.UntilSignal(context.Background(), func() { os.Exit(service.ExitFailed) })
	defer stop()
	log.Info("starting", zap.Stringer("version", service.BuildInfo()))
	err = standalone.Run(ctx, cfg, standalone.Options{Log: log, Level: level, Lab: lab, Ready: func(r standalone.Running) {
		fields := []zap.Field{zap.String("http", "http://"+r.HTTP)}
		if r.AdminKeyFile != "" {
			fields = append(fields, zap.String("adminKeyFile", r.AdminKeyFile))
		}
		if r.NATS != "" {
			fields = append(fields, zap.String("nats", r.NATS))
		}
		if r.LabControl != "" {
			fields = append(fields, zap.String("labControl", "http://"+r.LabControl))
		}
		log.Info("serving", fields...)
	}})
	if err != nil {
		fmt.Fprintf(stderr, "pairgate: %v\n", err)
		return service.ExitFailed
	}
	log.Info("drained")
	return service.ExitOK
}

func demonstrate(environ []string, stdout, stderr io.Writer) int {
	cfg, ok := configured(environ, stderr)
	if !ok {
		return service.ExitUsage
	}
	ctx, stop := service.UntilSignal(context.Background(), func() { os.Exit(service.ExitFailed) })
	defer stop()
	if err := demo.Run(ctx, cfg, demo.Options{Once: os.Getenv("ONCE") == "1", Out: stdout, Err: stderr}); err != nil {
		fmt.Fprintf(stderr, "pairgate demo: %v\n", err)
		return service.ExitFailed
	}
	return service.ExitOK
}
