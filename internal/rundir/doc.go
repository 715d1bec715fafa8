// Package rundir owns what a program must not leave behind, whatever ends it: a
// directory for its sockets and other files that die with it, and the cgroup of its
// children. There is one of each in a program.
//
//	dir, err := rundir.Open()      // $TMPDIR/trellis-UID/PID-RANDOM, the same at each call
//	home, err := rundir.Cgroup()   // below which each child gets a cgroup, or why there is none
//	rundir.Discard(path)           // a child is dead: its files below dir go
//	err = rundir.Close()           // the last nursery has closed: all of it goes
//
// A program that is killed at once removes nothing. Its children die by their lifelines
// (package process); its directory, and what has fled from its children's process
// groups into its cgroup, goes when the next program of this user and TMPDIR opens one:
// it sweeps. A program that lives holds its directory by a file lock, which the
// operating system takes back whatever ends it. A symbolic link in the directory says
// which cgroup belongs to it.
//
// All functions may be called at the same time. One mutex guards what is known of the
// directory; it is held while files are made and removed, never while somebody's logger
// is called.
package rundir
