package pgtest

import "syscall"

// dyingWithUs ends the server when the test's process is killed.
func dyingWithUs(as *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: as, Pdeathsig: syscall.SIGQUIT}
}
