// Package cgroup keeps a program's children in control groups of their own (Linux,
// cgroup v2), in which everything that they start can be found, bounded and killed,
// also what leaves its process group.
//
// The directories are
//
//	BASE/trellis-PID-RANDOM   the home: one for each program that has children
//	…/NUMBER                  the [Group] of one child, with its limits
//	…/NUMBER/trellis-main     where the child is born, with all that it starts
//
// [Base] finds BASE: the cgroup that this program itself is in, or the one above if
// that is called trellis-main, because a cgroup that has processes of its own cannot
// have limits for those below it. The variable TRELLIS_CGROUP names another one, or
// is "off", which holds for the children as well.
//
//	base, err := cgroup.Base()        // why there is none, where the system gives none
//	err = cgroup.MakeHome(home)       // once in the life of a program
//	group, err := cgroup.New(home)    // for each child
//	err = group.LimitMemory(1 << 30)
//	group.Attach(attr)                // the next fork with attr is born in it
//	err = group.Remove()              // kills what is left, waits for it, and removes
//	err = cgroup.Remove(home)
//
// The package keeps no state and starts nothing. Who owns a home, and who removes that
// of a program that was killed, is for package rundir to say.
package cgroup

import (
	"errors"
	"os"
)

// Variable is the environment variable that names another base, or is "off".
const Variable = "TRELLIS_CGROUP"

// Main is the name of the cgroup that holds the processes of one child. A program that
// is in one of that name makes its home beside it.
const Main = "trellis-main"

// ErrNone means that something needs a cgroup, and that the system gives none.
var ErrNone = errors.New("this machine has no cgroup for it")

// Environment passes the wish for no cgroups on to children that have children.
func Environment() []string {
	if os.Getenv(Variable) == "off" {
		return []string{Variable + "=off"}
	}
	return nil
}
