//go:build !linux

package cgroup

import (
	"errors"
	"os"
)

// Group is something that only Linux has. Every method may be called on a nil one.
type Group struct{}

// Base reports that there is none.
func Base() (string, error) { return "", errors.New("only Linux has cgroups") }

// MakeHome is never called, because there is no base.
func MakeHome(string) error { return errors.ErrUnsupported }

// New is never called, because there is no home.
func New(string) (*Group, error) { return nil, errors.ErrUnsupported }

// Remove finds nothing to remove.
func Remove(string) error { return nil }

// LimitMemory is never called, because there is no group.
func (*Group) LimitMemory(int64) error { return ErrNone }

// LimitProcesses is never called, because there is no group.
func (*Group) LimitProcesses(int) error { return ErrNone }

// Attach does nothing.
func (*Group) Attach(*os.ProcAttr) {}

// Detach does nothing.
func (*Group) Detach(*os.ProcAttr) {}

// Refusal is always nil.
func (*Group) Refusal(error) error { return nil }

// Kill does nothing.
func (*Group) Kill() error { return nil }

// Used is nothing.
func (*Group) Used() (oomKills, refusedForks int) { return 0, 0 }

// Now is nothing.
func (*Group) Now() (memory int64, processes int) { return 0, 0 }

// Remove does nothing.
func (*Group) Remove() error { return nil }
