package simulated

// SetOutboxLimit bounds what may wait to be sent, so that a test need not fill the usual bound.
func (d *Driver) SetOutboxLimit(bytes int) { d.outboxLimit = bytes }
