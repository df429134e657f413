//go:build bench

package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"pairgate.dev/pkg/bus"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/standalone/internal/e2e"
)

const (
	// polled is how many instances show their code at once.
	polled = 500
	// pollTime is how long they are polled: every code is renewed on the way.
	pollTime = 30 * time.Second
)

// TestGreenAPIPolling has the QR of many instances asked for at once, as clients of
// GREEN-API do: once a second as it advises, and three times as it allows at most.
// Answers that open a window wait for the messenger and are not counted.
func TestGreenAPIPolling(t *testing.T) {
	for _, perSecond := range []int{1, 3} {
		d := e2e.One(t, &binaries)
		urls := greenURLs(t, d)
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: polled, DialContext: (&net.Dialer{}).DialContext}}
		opened := make([]time.Duration, polled)
		poll(t, func(i int) (err error) {
			opened[i], err = askQR(client, urls[i])
			return err
		})
		var mu sync.Mutex
		var times []time.Duration
		ctx, cancel := context.WithTimeout(t.Context(), pollTime)
		poll(t, func(i int) error {
			// They do not all ask in the same moment.
			pause := time.Second / time.Duration(perSecond)
			time.Sleep(pause * time.Duration(i) / polled)
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for {
				took, err := askQR(client, urls[i])
				if err != nil {
					return err
				}
				mu.Lock()
				times = append(times, took)
				mu.Unlock()
				select {
				case <-tick.C:
				case <-ctx.Done():
					return nil
				}
			}
		})
		cancel()
		client.CloseIdleConnections()
		what := fmt.Sprintf("GREEN-API qr of %d instances, %d a second each", polled, perSecond)
		figure(t, what+", p99 of "+strconv.Itoa(len(times)), short(quantile(times, 0.99)), "≤ 50 ms", syncAlways)
		figure(t, what+", p50", short(quantile(times, 0.5)), "", syncAlways)
		figure(t, fmt.Sprintf("the %d that open a window at once, p99", polled), short(quantile(opened, 0.99)), "", syncAlways)
	}
}

// greenURLs makes the instances and returns where their codes are asked for.
func greenURLs(t *testing.T, d *e2e.Deployment) []string {
	t.Helper()
	urls := make([]string, polled)
	poll(t, func(i int) error {
		answer, err := request(d, bus.SubjectInstancesCreate, createBody(fmt.Sprintf("green %d", i)))
		if err != nil {
			return err
		}
		reply := &pb.CreateInstanceReply{}
		if err := bus.DecodeJSON(answer, reply); err != nil {
			return err
		}
		urls[i] = fmt.Sprintf("%s/waInstance%d/qr/%s", d.API.URL(), reply.GetInstance().GetNumber(), reply.GetToken())
		return nil
	})
	return urls
}

// poll calls f for every instance at once.
func poll(t *testing.T, f func(i int) error) {
	t.Helper()
	var group errgroup.Group
	for i := range polled {
		group.Go(func() error { return f(i) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// askQR asks for a code; no picture, or one that is over, is an error.
func askQR(client *http.Client, url string) (time.Duration, error) {
	began := time.Now()
	response, err := client.Get(url)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	took := time.Since(began)
	if response.StatusCode != http.StatusOK || !bytes.HasPrefix(body, []byte(`{"type":"qrCode"`)) {
		return 0, fmt.Errorf("%s: %.100s", response.Status, body)
	}
	expires, err := time.Parse(time.RFC3339Nano, response.Header.Get("X-QR-Expires-At"))
	if err == nil && expires.Before(began) {
		err = fmt.Errorf("a code that was over %v before it was asked for", began.Sub(expires))
	}
	return took, err
}
