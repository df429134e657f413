//go:build !linux

package pgtest

import "syscall"

// dyingWithUs does nothing more: only Linux can.
func dyingWithUs(as *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: as}
}
