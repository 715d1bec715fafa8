//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package process

import "syscall"

// sysProcAttr makes the child the leader of a new group in the host's session.
// There is no parent-death signal; the lifeline alone has to do.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
