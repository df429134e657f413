package service

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// UntilSignal returns a context that ends at the first SIGTERM or SIGINT. The
// second one calls again, which usually ends the process at once: whoever
// presses the keys twice does not want to wait for a drain. stop gives the
// signals back to their default meaning, ends the context, and waits for the
// goroutine behind it.
func UntilSignal(ctx context.Context, again func()) (signalled context.Context, stop func()) {
	signalled, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, act := range []func(){cancel, again} {
			select {
			case <-signals:
				act()
			case <-done:
				return
			}
		}
	})
	return signalled, sync.OnceFunc(func() {
		signal.Stop(signals)
		close(done)
		cancel()
		wg.Wait()
	})
}
