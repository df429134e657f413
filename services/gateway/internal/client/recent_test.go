package client

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestRecentForgetsInTimeAndStaysBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecent(time.Second, 10)
		if !r.add("a") || r.add("a") || !r.has("a") {
			t.Error("a key is not remembered")
		}
		time.Sleep(time.Second) // of the bubble's clock
		if r.has("a") || !r.add("a") {
			t.Error("a key is remembered for too long")
		}
		for i := range 1000 {
			r.add(strconv.Itoa(i))
		}
		if len(r.keys) > 10 {
			t.Errorf("%d keys", len(r.keys))
		}
	})
}
