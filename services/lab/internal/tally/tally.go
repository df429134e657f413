// Package tally counts the connections of devices.
package tally

// Tally has how many connections each device has, and the most that it had at once.
// Its owner guards it.
type Tally map[string]count

type count struct{ now, most int }

// Open counts a connection of the device.
func (t Tally) Open(device string) {
	c := t[device]
	c.now++
	c.most = max(c.most, c.now)
	t[device] = c
}

// Close takes back one Open of the device. After Forget it does nothing.
func (t Tally) Close(device string) {
	if c, ok := t[device]; ok {
		c.now--
		t[device] = c
	}
}

// Of returns how many connections the device has, and the most that it had at once.
func (t Tally) Of(device string) (now, most int) { return t[device].now, t[device].most }

// Forget forgets the device.
func (t Tally) Forget(device string) { delete(t, device) }
