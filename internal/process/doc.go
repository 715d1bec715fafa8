// Package process owns one operating-system process: the child that go-plugin talks to.
// It is also the child's half of the bond between the two ([HoldLifeline]).
//
//	p := process.New(process.Spec{Path: "/bin/plugin", Log: log}, cmd)
//	err := p.Start(ctx)      // executed; or go-plugin calls it, on p.Runner()
//	<-p.Dead()               // reaped, and its output read to the end
//	exit, _ := p.Exit()      // code or signal, last words, limit, use of memory and time
//	err = p.Terminate()      // SIGTERM to its process group
//	err = p.Kill(ctx)        // SIGKILL to its group and its cgroup, and waits for Done
//	<-p.Done()               // nothing that it has started is left either
//
// These methods, with PID, Starved, HandshakeError and Aside, are all that a supervisor
// needs; [Process.Runner] is what go-plugin needs. A supervisor that is to run without
// processes can be given something else that has them.
//
// It exists because these things have to be true whatever a child does:
//
//   - No orphans. A child leads a process group of its own, is forked with a
//     parent-death signal (Linux) and inherits the read end of a lifeline, a
//     pipe whose write end only the host holds. When the host is gone, the
//     group is gone; see lifeline_unix.go for who kills it on which system.
//     Where there are cgroups, so is what has left the group; see package cgroup.
//   - Death is what the process does, not what its pipes do. A grandchild that
//     keeps standard output open neither delays [Process.Done] nor hides it.
//   - A host that is PID 1 or a subreaper reaps what its children orphan, and
//     takes no exit code that is somebody else's; see reaper_linux.go.
//   - A child inherits what its Spec gives it, and nothing else of the host: no
//     descriptor (all from 3 up are marked close-on-exec at each start, those of the
//     application, too), no variable.
//   - No output of a child can block it, and none can hurt the host: both pipes
//     are read for as long as the child lives, and go-plugin is shown nothing
//     but a handshake line that was checked before.
//
// Set ClientConfig.SkipHostEnv: otherwise go-plugin puts the host's whole
// environment into the command that it hands to RunnerFunc.
//
// Goroutines: while its process lives, a Process owns one that waits for the
// process, which ends with closing Done, and two that read its output. Another one
// hands lines to Spec.Log, and lives while there are any ([Process.Flushed]).
// On Linux the first Start of a program also starts the forker, a goroutine
// that keeps one thread for the life of the program (see system_linux.go);
// leak checkers have to leave out forkLoop of this package.
package process
