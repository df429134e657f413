package whatsapp

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestOutboxKeepsOrderAndTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, gone := newOutbox(), make(chan struct{})
		start := time.Now()
		o.push(item{stanza: []byte("a")})
		o.push(item{stanza: []byte("b"), notBefore: start.Add(time.Minute)})
		o.push(item{stanza: []byte("c")})
		o.push(item{last: true, grace: time.Second})
		o.push(item{stanza: []byte("too late")})
		var got string
		o.run(gone, func(b []byte) error { got += string(b); return nil })
		if got != "abc" || time.Since(start) != time.Minute+time.Second {
			t.Errorf("wrote %q in %v", got, time.Since(start))
		}
	})
}

func TestOutboxEnds(t *testing.T) {
	for name, prepare := range map[string]func(o *outbox, gone chan struct{}) error{
		"with its connection": func(o *outbox, gone chan struct{}) error { close(gone); return nil },
		"before its time": func(o *outbox, gone chan struct{}) error {
			o.push(item{notBefore: time.Now().Add(time.Hour)})
			time.AfterFunc(time.Second, func() { close(gone) })
			return nil
		},
		"when a write fails": func(o *outbox, _ chan struct{}) error { o.push(item{stanza: []byte("a")}); return errors.New("broken") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, gone := newOutbox(), make(chan struct{})
				err := prepare(o, gone)
				o.run(gone, func([]byte) error { return err }) // returns, or the bubble deadlocks
			})
		})
	}
}

func TestOutboxHasALimit(t *testing.T) {
	o := newOutbox()
	big := make([]byte, outboxLimit/2)
	for range 2 {
		if !o.push(item{stanza: big}) {
			t.Fatal("there is less room")
		}
	}
	if o.push(item{stanza: []byte("x")}) {
		t.Error("there is more room")
	}
	o.take()
	if !o.push(item{stanza: big}) {
		t.Error("what was taken still counts")
	}
}
