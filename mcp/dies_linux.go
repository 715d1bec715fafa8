package mcp

import (
	"os/exec"
	"syscall"
)

// diesWithParent has the kernel end the server when this process is gone, however it ends.
func diesWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
