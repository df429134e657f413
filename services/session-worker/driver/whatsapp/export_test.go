package whatsapp

import "time"

// SetCodeLife replaces how long QR codes are shown, so that a test sees several of them.
func (d *Driver) SetCodeLife(life func(index, total int) time.Duration) { d.codeLife = life }

// StandardLife is how long WhatsApp shows its codes.
var StandardLife = standardLife
