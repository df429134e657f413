package fleet

import (
	"sync"

	"github.com/nats-io/nats.go"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
)

// creations wakes actors that wait until the creation of their instance is told.
// What the server publishes again may be missed; who waits looks at times, too.
type creations struct {
	mu      sync.Mutex
	waiting map[instance.ID]chan struct{}
}

// follow hears of every creation until stop is called.
func (c *creations) follow(conn *bus.Conn) (stop func() error, err error) {
	sub, err := conn.NATS().Subscribe(bus.LiveSubject(bus.EventsOfKind(instance.KindCreated)), func(m *nats.Msg) {
		if id, _, ok := bus.ParseEventSubject(m.Subject); ok {
			c.told(id)
		}
	})
	if err != nil {
		return nil, err
	}
	return sub.Unsubscribe, nil
}

// await returns a channel that is closed when the creation is told from now on.
// An instance has one actor, so one waits for it at most. forget ends the wait.
func (c *creations) await(id instance.ID) (told <-chan struct{}, forget func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == nil {
		c.waiting = map[instance.ID]chan struct{}{}
	}
	ch := make(chan struct{})
	c.waiting[id] = ch
	return ch, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.waiting[id] == ch {
			delete(c.waiting, id)
		}
	}
}

func (c *creations) told(id instance.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch := c.waiting[id]; ch != nil {
		close(ch)
		delete(c.waiting, id)
	}
}
