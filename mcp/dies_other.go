//go:build !linux

package mcp

import "os/exec"

// diesWithParent does nothing where the kernel has no such thing: the server's input ends with this process.
func diesWithParent(*exec.Cmd) {}
