package process

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"syscall"

	"github.com/seed-2ba35074/trellis/internal/environ"
)

// child is what the host holds of a forked process.
type child struct {
	os       *os.Process
	stdout   *os.File
	stderr   *os.File
	lifeline *os.File // write end; nil where there is none
	sentinel *os.File // on Linux, a read end of the host's own
	watch    *os.File // on Linux, what tells of its end; nil if that takes a thread
	cgroup   *cgroup  // nil: it lives in the host's
}

// close closes the host's ends, the write end of the lifeline before the sentinel.
func (c *child) close() {
	closeAll(c.stdout, c.stderr, c.lifeline, c.sentinel, c.watch)
}

// launch forks and executes. On failure everything it opened is closed.
func (p *Process) launch(ctx context.Context) (*child, error) {
	if err := p.spec.check(); err != nil {
		return nil, p.explain(err)
	}
	path, err := p.spec.resolve()
	if err != nil {
		return nil, p.explain(err)
	}
	image, err := openImage(ctx, path, p.spec.SHA256)
	if err != nil {
		return nil, p.explain(err)
	}
	defer closeAll(image)
	pipes, err := openPipes()
	if err != nil {
		return nil, p.explain(err)
	}
	defer closeAll(pipes.child...)
	argv, env := p.spec.argv(path)
	f := &fork{path: path, argv: argv, guards: pipes.guards, limits: p.spec.Limits}
	f.attr = &os.ProcAttr{Dir: p.spec.Dir, Env: append(env, p.env...), Files: slices.Concat(pipes.child, p.spec.Files), Sys: sysProcAttr()}
	f.execute(image)
	if err := p.create(ctx, f, &pipes.host); err != nil {
		pipes.host.close()
		return nil, p.explain(err)
	}
	pipes.host.watch = openWatch(pipes.host.os.Pid)
	return &pipes.host, nil
}

// create makes the process, in a cgroup of its own where it can have one. A
// cgroup that refuses it is done without, if the limits let.
func (p *Process) create(ctx context.Context, f *fork, c *child) (err error) {
	if err := p.spec.Limits.check(); err != nil {
		return err
	}
	if c.cgroup, err = p.newCgroup(); err != nil {
		return err
	}
	c.cgroup.attach(f.attr)
	c.os, err = f.do(ctx)
	if refusal := c.cgroup.refusal(err); refusal != nil && len(p.spec.Limits.needCgroup()) == 0 {
		c.cgroup.detach(f.attr)
		if c.os, err = f.do(ctx); err == nil { // else the error was the program's
			giveUpCgroups(errors.Join(refusal, c.cgroup.remove()))
			c.cgroup = nil
		}
	}
	if err != nil {
		_ = c.cgroup.remove() // what is not gone in time is removed with the runtime directory
	}
	return err
}

// reap owns a running process: it reads its output, waits for its end, clears
// up after it and reports. It is the only place that reaps.
func (p *Process) reap(c *child) {
	finish := p.drain(c)
	c.awaitExit()
	exit := p.bury(c)
	finish()
	c.close()
	exit.LastLog, exit.Panic = p.tail.read()
	p.end(exit)
	_ = c.cgroup.remove() // what is not gone in time is removed with the runtime directory
	p.clear()
	close(p.done)
}

// bury kills what is left of the group and then reaps its dead leader. The
// order matters: while the leader is a zombie its pid, and so the group's id,
// cannot be given to anybody else. The lock keeps Terminate and Kill from
// signalling a pid that is free again. What has left the group is killed by the
// removal of the cgroup.
func (p *Process) bury(c *child) Exit {
	p.lk.Lock()
	defer p.lk.Unlock()
	_ = signalGroup(c.os, syscall.SIGKILL)
	status, err := c.os.Wait()
	p.lk.os, p.lk.cgroup = nil, nil
	if err != nil {
		return Exit{Code: -1}
	}
	exit := exitOf(status)
	used := usage{cpu: exit.CPU}
	used.oomKills, used.refused = c.cgroup.usage()
	exit.OOM = used.oomKills > 0
	exit.Limit = p.spec.Limits.hit(exit, used, p.lk.killed)
	return exit
}

// end goes to Ended and tells everyone who waits. The line for go-plugin comes
// before Done: it must find a line, not an end of file, whose error would be
// one of two by chance and neither of them clear.
func (p *Process) end(exit Exit) {
	p.lk.Lock()
	p.lk.state, p.lk.exit = Ended, exit
	p.lk.Unlock()
	p.stdout.offer([]byte("(the process ended before its handshake line)\n"))
	close(p.dead)
}

// drain starts to read both outputs. The function it returns is called when
// the process is dead; it takes what is left in the pipes and returns when
// both readers have ended, whoever else still holds a pipe.
func (p *Process) drain(c *child) (finish func()) {
	var readers sync.WaitGroup
	out, errs := newOutput(c.stdout, p.stdoutLines()), newOutput(c.stderr, p.stderrLines())
	for _, o := range []*output{out, errs} {
		readers.Add(1)
		own(func() {
			defer readers.Done()
			o.read()
		})
	}
	return func() {
		out.cutOff()
		errs.cutOff()
		readers.Wait()
	}
}

// stdoutLines checks the first line and logs the others. The first line has a
// limit of its own, so that a flood without line ends is refused soon.
func (p *Process) stdoutLines() *splitter {
	s := &splitter{limit: maxHandshake}
	s.emit = func(text []byte, part Part) {
		if s.limit == maxHandshake {
			s.limit = maxLine
			p.greet(text, part)
			return
		}
		p.journal.put(Stdout, text, part)
	}
	return s
}

// greet passes a good handshake line on to go-plugin. A bad one is logged, as
// any other line, and replaced.
func (p *Process) greet(text []byte, part Part) {
	err := checkHandshake(text, part.GoesOn(), environ.Lookup(p.env, "PLUGIN_CLIENT_CERT") != "")
	if err == nil {
		p.stdout.offer(append(slices.Clip(text), '\n'))
		return
	}
	p.lk.Lock()
	p.lk.greet = err
	p.lk.Unlock()
	p.stdout.offer([]byte(err.harmless() + "\n"))
	p.journal.put(Stdout, text, part)
}

// stderrLines logs every line and remembers the last ones.
func (p *Process) stderrLines() *splitter {
	return &splitter{limit: maxLine, emit: func(text []byte, part Part) {
		if part.Begins() {
			p.remember(text, part == Head)
		}
		p.journal.put(Stderr, text, part)
	}}
}

// remember keeps what a line says for the case that it is one of the last.
func (p *Process) remember(text []byte, cut bool) {
	if p.spec.Gist == nil {
		p.tail.add(text)
	} else if gist := p.spec.Gist(text, cut); gist != "" {
		p.tail.add([]byte(gist))
	}
}
