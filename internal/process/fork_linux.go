package process

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
)

// sysProcAttr makes the child the leader of a new group in the host's session.
// It gets no session of its own: the host's death then orphans the group, and
// the kernel wakes the stopped members of an orphaned group with SIGHUP and
// SIGCONT, so that none of them sleeps through its end.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// execute makes the fork run the very file that was checked. The child gets it
// as its last descriptor and open, not close-on-exec: a script's interpreter
// opens it once more.
func (f *fork) execute(image *os.File) {
	if image == nil {
		return
	}
	f.path = fmt.Sprintf("/proc/self/fd/%d", len(f.attr.Files))
	f.attr.Files = append(f.attr.Files, image)
}

// do creates the process from the forker's thread. It waits for the result
// even if ctx ends meanwhile, which takes as long as exec takes to read the
// head of the file.
func (f *fork) do(ctx context.Context) (*os.Process, error) {
	job := forkJob{fork: f, ctx: ctx, reply: make(chan forkReply, 1)}
	select {
	case forker() <- job:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	reply := <-job.reply
	return reply.proc, reply.err
}

type forkJob struct {
	*fork
	ctx   context.Context
	reply chan forkReply
}

type forkReply struct {
	proc *os.Process
	err  error
}

// forker starts forkLoop when the first process is wanted.
var forker = sync.OnceValue(func() chan<- forkJob {
	jobs := make(chan forkJob)
	own(func() { forkLoop(jobs) })
	return jobs
})

// forkLoop makes every fork of the program from one thread that never ends:
// the parent-death signal comes when the forking *thread* dies, and Go ends
// threads as it likes. One after another costs nothing, as the runtime lets
// only one fork at a time happen anyway.
func forkLoop(jobs <-chan forkJob) {
	runtime.LockOSThread()
	for job := range jobs {
		proc, err := job.now(job.ctx)
		job.reply <- forkReply{proc, err}
	}
}
