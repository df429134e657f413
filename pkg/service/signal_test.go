package service_test

import (
	"syscall"
	"testing"

	"pairgate.dev/pkg/service"
)

func TestFirstSignalEndsTheContextAndTheSecondCallsAgain(t *testing.T) {
	again := make(chan struct{})
	ctx, stop := service.UntilSignal(t.Context(), func() { close(again) })
	defer stop()
	for _, s := range []struct {
		signal syscall.Signal
		done   <-chan struct{}
	}{{syscall.SIGTERM, ctx.Done()}, {syscall.SIGINT, again}} {
		if err := syscall.Kill(syscall.Getpid(), s.signal); err != nil {
			t.Fatal(err)
		}
		<-s.done
	}
	stop()
}

func TestStopEndsTheContextWithoutASignal(t *testing.T) {
	ctx, stop := service.UntilSignal(t.Context(), func() { t.Error("called") })
	stop()
	<-ctx.Done()
	stop()
}
