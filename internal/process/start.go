package process

import (
	"context"
	"errors"
	"os"
	"slices"
	"syscall"

	"github.com/seed-2ba35074/trellis/internal/cgroup"
	"github.com/seed-2ba35074/trellis/internal/rundir"
)

// child is what the host holds of a forked process. The goroutine that reaps it owns it.
type child struct {
	os       *os.Process
	stdout   *os.File
	stderr   *os.File
	lifeline *os.File      // write end; nil where there is none
	sentinel *os.File      // on Linux, a read end of the host's own
	watch    *os.File      // on Linux, becomes readable at its end; nil if waiting takes a thread
	group    *cgroup.Group // nil: it lives in the host's
	peak     int64         // of the host itself, in bytes, when it was started: the kernel counts it as the child's, too
}

// close closes the host's ends, the write end of the lifeline before the sentinel.
func (c *child) close() {
	closeAll(c.stdout, c.stderr, c.lifeline, c.sentinel, c.watch)
}

// launch forks and executes. On failure everything it opened is closed. The child's ends of the
// pipes are closed here in any case, because a pipe has an end only when nobody can write into it
// any more, and the host would be such a one.
func (p *Process) launch(ctx context.Context) (_ *child, err error) {
	defer func() {
		if err != nil {
			err = p.spec.explain(err)
		}
	}()
	path, err := p.spec.check()
	if err != nil {
		return nil, err
	}
	image, err := openImage(ctx, path, p.spec.SHA256)
	if err != nil {
		return nil, err
	}
	defer closeAll(image)
	pipes, err := openPipes()
	if err != nil {
		return nil, err
	}
	defer closeAll(pipes.child...)
	argv, env := p.spec.argv(path)
	f := &fork{path: path, argv: argv, guards: pipes.guards, limits: p.spec.Limits}
	f.attr = &os.ProcAttr{Dir: p.spec.Dir, Env: append(env, p.env...), Files: slices.Concat(pipes.child, p.spec.Files), Sys: sysProcAttr()}
	if p.spec.Stdin != nil {
		f.attr.Files[0] = p.spec.Stdin
	}
	f.execute(image)
	c := &pipes.host
	if err := p.create(ctx, f, c); err != nil {
		c.close()
		return nil, err
	}
	c.watch, c.peak = openWatch(c.os.Pid), ownPeak()
	return c, nil
}

// create makes the process, in a cgroup of its own where it can have one. A cgroup that
// refuses it is done without, if the limits let. That a system lets cgroups be made does
// not mean that a process can be born in one: a container's filter may not know clone3, for
// example. The errno alone does not tell that from a fault of the program. So cgroups are
// given up for good only if the same start succeeds without.
func (p *Process) create(ctx context.Context, f *fork, c *child) (err error) {
	if err := p.spec.Limits.check(); err != nil {
		return err
	}
	if c.group, err = p.spec.openGroup(); err != nil {
		return err
	}
	c.group.Attach(f.attr)
	c.os, err = f.do(ctx)
	if refusal := c.group.Refusal(err); refusal != nil && !p.spec.Limits.needGroup() {
		c.group.Detach(f.attr)
		if c.os, err = f.do(ctx); err == nil { // else the error was the program's
			rundir.GiveUpCgroups(errors.Join(refusal, c.group.Remove()))
			c.group = nil
		}
	}
	if err != nil {
		_ = c.group.Remove() // what is not gone in time is removed with the runtime directory
	}
	return err
}

// openGroup makes a cgroup for the child. Without cgroups in this system it returns
// nil, unless the child's limits need one. The limits are set before the child is born, and so hold
// from its first instruction on. A host that is short of descriptors or memory says nothing about
// cgroups: that start fails, and the next one asks for a cgroup again.
func (s *Spec) openGroup() (*cgroup.Group, error) {
	if !s.Cgroup && !s.Limits.needGroup() {
		return nil, nil
	}
	home, err := rundir.Cgroup()
	var g *cgroup.Group
	if err == nil {
		g, err = cgroup.New(home)
	}
	switch {
	case err == nil:
		if err = s.Limits.applyTo(g); err != nil {
			return nil, errors.Join(err, g.Remove())
		}
		return g, nil
	case rundir.IsScarcity(err):
		return nil, err
	case s.Limits.needGroup():
		return nil, s.Limits.applyNowhere(err)
	}
	rundir.GiveUpCgroups(err)
	return nil, nil
}

// fork is one request to create a process. It belongs to one create, and is used on the forker's
// thread while that waits. It may be carried out a second time, without the cgroup.
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

// now creates the process, unless ctx has ended. A process whose limits cannot be set is reaped
// here: nobody else knows of it yet, and nothing that it could do without them is to last.
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

// pipes are the descriptors between host and child. Every one of them is
// opened close-on-exec, so that no other child inherits it.
type pipes struct {
	host   child
	child  []*os.File // by number: stdin, stdout, stderr, lifeline; the host closes them after the fork
	guards []*os.File // what aimLifeline aims
}

// openPipes opens all of them or none.
func openPipes() (_ *pipes, err error) {
	p := &pipes{}
	defer func() {
		if err != nil {
			p.host.close()
			closeAll(p.child...)
		}
	}()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	p.child = append(p.child, null)
	for _, end := range []**os.File{&p.host.stdout, &p.host.stderr} {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		*end, p.child = r, append(p.child, w)
	}
	return p, p.openLifeline()
}

// closeAll closes whichever of the files are open.
func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}
