package process

import (
	"context"
	"os"
	"syscall"
)

// fork is one request to create a process.
type fork struct {
	path   string // what is executed
	argv   []string
	attr   *os.ProcAttr
	guards []*os.File // read ends of the lifeline
	limits Limits
}

// firstFree is the first descriptor that has no meaning by itself. Whatever this
// program has inherited, or a library of its has opened without thought, from there
// up is not for its children: they get what is in attr.Files, as copies.
const firstFree = 3

// now creates the process, unless ctx has ended.
func (f *fork) now(ctx context.Context) (*os.Process, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	adoptOrphans()
	closeOnExecFrom(firstFree)
	proc, err := os.StartProcess(f.path, f.argv, f.attr)
	if err != nil {
		return nil, err
	}
	aimLifeline(f.guards, proc.Pid)
	if err := f.limits.apply(proc.Pid); err != nil {
		_ = signalGroup(proc, syscall.SIGKILL)
		_, _ = proc.Wait() // it was killed
		return nil, err
	}
	return proc, nil
}
