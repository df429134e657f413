package simulated_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/lab"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/lab/labclient"
	"pairgate.dev/services/session-worker/driver"
	"pairgate.dev/services/session-worker/driver/drivertest"
	"pairgate.dev/services/session-worker/driver/simulated"
)

// parallel calls f for 0 to n-1, at most width at a time.
func parallel(n, width int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range width {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				f(i)
			}
		})
	}
	wg.Wait()
}

// linkMany links n instances of one phone each and leaves them online.
func linkMany(tb testing.TB, d driver.Driver, c *labclient.Client, n int) (ids []instance.ID, sessions []driver.Session) {
	tb.Helper()
	ids, sessions = make([]instance.ID, n), make([]driver.Session, n)
	phones := make([]string, n)
	for i := range phones {
		phones[i] = fmt.Sprintf("8%08d", i)
	}
	parallel(n, 100, func(i int) {
		if _, err := c.AddAccount(context.Background(), labapi.NewAccount{Provider: "simulated", Phone: phones[i]}); err != nil {
			tb.Error(err)
			return
		}
		e := newEvents(tb)
		ids[i] = drivertest.NewID()
		sessions[i] = d.Pair(context.Background(), pairParams(ids[i]), e.sink)
		code, ok := (<-e.ch).(instance.CodeIssued)
		if !ok {
			tb.Error("no code came")
			return
		}
		if err := c.ScanCode(context.Background(), phones[i], code.Text); err != nil {
			tb.Error(err)
			return
		}
		for event := range e.ch {
			switch event.(type) {
			case instance.Connected:
				return
			case instance.Closed:
				tb.Error("closed instead of connected")
				return
			}
		}
	})
	if tb.Failed() {
		tb.FailNow()
	}
	return ids, sessions
}

// Decision: a session that is online costs no goroutine, in the driver and in the lab.
func TestOnlineSessionsCostNoGoroutine(t *testing.T) {
	l := startLab(t, lab.Config{})
	c := newClient(t, l)
	vault := &drivertest.MemoryVault{}
	d := newDriver(t, simulated.Options{Endpoint: l.Addrs().Simulated, Vault: vault})
	const n = 1000
	ids, sessions := linkMany(t, d, c, n)
	checkGoroutines := func(when string) {
		t.Helper()
		c.Close()
		eventually(t, "goroutines to end", func() error {
			if now := runtime.NumGoroutine(); now > 100 {
				return fmt.Errorf("%s: %d goroutines for %d sessions", when, now, n)
			}
			return nil
		})
	}
	checkGoroutines("linked")
	for _, s := range sessions {
		s.Close()
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}

	again := newDriver(t, simulated.Options{Endpoint: l.Addrs().Simulated, Vault: vault})
	var online atomic.Int64
	for _, id := range ids {
		s := again.Login(t.Context(), loginParams(id), func(e instance.SessionEvent) {
			if _, ok := e.(instance.Connected); ok {
				online.Add(1)
			}
		})
		defer s.Close()
	}
	eventually(t, "everyone to be online", func() error {
		if got := online.Load(); got != n {
			return fmt.Errorf("%d of %d online", got, n)
		}
		return nil
	})
	checkGoroutines("logged in")
}

// BenchmarkOnlineSessions logs 10,000 sessions in and says what one costs, driver and lab together.
func BenchmarkOnlineSessions(b *testing.B) {
	const n = 10_000
	l := startLab(b, lab.Config{})
	c := newClient(b, l)
	vault := &drivertest.MemoryVault{}
	d := newDriver(b, simulated.Options{Endpoint: l.Addrs().Simulated, Vault: vault})
	ids, sessions := linkMany(b, d, c, n)
	for _, s := range sessions {
		s.Close()
	}
	clear(sessions)
	for b.Loop() {
		b.StopTimer()
		before := heap()
		b.StartTimer()
		online := make(chan struct{}, n)
		for i, id := range ids {
			sessions[i] = d.Login(context.Background(), loginParams(id), func(e instance.SessionEvent) {
				if _, ok := e.(instance.Connected); ok {
					online <- struct{}{}
				}
			})
		}
		for range ids {
			<-online
		}
		b.StopTimer()
		b.ReportMetric(float64(heap()-before)/n, "B/session")
		b.ReportMetric(float64(runtime.NumGoroutine()), "goroutines")
		for _, s := range sessions {
			s.Close()
		}
		clear(sessions)
		b.StartTimer()
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "logins/s")
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
