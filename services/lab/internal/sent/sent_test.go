package sent_test

import (
	"strconv"
	"testing"

	"pairgate.dev/services/lab/internal/sent"
)

func TestTheLastAreKeptInOrder(t *testing.T) {
	l := sent.Log{}
	for n := range 60 {
		l.Presence("a", strconv.Itoa(n))
	}
	all := l.Of("a")
	if len(all) != 50 || all[0].Text != "10" || all[49].Text != "59" || all[0].Kind != "presence" {
		t.Fatalf("%d are kept: %+v", len(all), all)
	}
	all[0].Text = "changed"
	if l.Of("a")[0].Text != "10" {
		t.Error("what is returned is no copy")
	}
	if l.Forget("a"); len(l.Of("a")) != 0 {
		t.Error("it is not forgotten")
	}
}
