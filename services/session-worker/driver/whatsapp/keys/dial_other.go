//go:build !linux

package keys

import (
	"syscall"
	"time"
)

// giveUpAfter leaves the time to the kernel: only Linux can be told one.
func giveUpAfter(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }
