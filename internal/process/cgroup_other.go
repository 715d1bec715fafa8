//go:build !linux

package process

import (
	"errors"
	"os"
)

// cgroup is something that only Linux has.
type cgroup struct{}

func cgroupBase() (string, error)                { return "", errors.New("only Linux has cgroups") }
func makeCgroup(string) error                    { return nil }
func removeCgroup(string) error                  { return nil }
func openCgroup(string, Limits) (*cgroup, error) { return nil, nil }
func (*cgroup) attach(*os.ProcAttr)              {}
func (*cgroup) detach(*os.ProcAttr)              {}
func (*cgroup) kill() error                      { return nil }
func (*cgroup) usage() (oomKills, refused int)   { return 0, 0 }
func (*cgroup) remove() error                    { return nil }
func (*cgroup) refusal(error) error              { return nil }
