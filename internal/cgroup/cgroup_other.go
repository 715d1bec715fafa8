//go:build !linux

package cgroup

import (
	"os"
	"time"
)

// What only Linux has. Nothing else is called elsewhere than there, because there is no base.

func isCgroup2(string) bool { return false }

// Attach does nothing.
func (*Group) Attach(*os.ProcAttr) {}

// Detach does nothing.
func (*Group) Detach(*os.ProcAttr) {}

func awaitChange(*os.File, time.Duration) {}
