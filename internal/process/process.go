package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/seed-2ba35074/trellis/internal/cgroup"
	"github.com/seed-2ba35074/trellis/internal/environ"
	"github.com/seed-2ba35074/trellis/internal/logs"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// ErrKilled is what Start returns when Kill came before or during it.
var ErrKilled = errors.New("killed before it was up")

// Process is one child process, from before its fork until it is reaped. Whoever made it
// owns it; it owns the goroutines that read its output and wait for its end. Every
// method may be called at any time from any goroutine. It runs once: a restarted child
// is a new Process.
type Process struct {
	spec   Spec
	env    []string          // all of it, but for the variable that argv may add
	dead   chan struct{}     // closed by reap or abandon, once
	done   chan struct{}     // closed by finish, after dead
	stdout *feed             // what go-plugin sees of it
	tail   tail              // the end of its stderr
	log    *logs.Queue[Line] // the lines that wait for Spec.Log

	// The lock is held while a signal is sent and while the process is reaped, so that
	// no signal can meet a pid that is free again; never while anything is awaited.
	lk struct {
		sync.Mutex
		target
		state  State
		killed bool // Kill was called
		pid    int  // 0 until forked
		exit   Exit
		err    error     // why Start failed
		greet  error     // what was wrong with the handshake line
		load   Load      // as it was read last
		loaded time.Time // when all of it was read
	}
}

// target is what signals are sent to.
type target struct {
	os    *os.Process   // nil before the fork and after the reaping
	group *cgroup.Group // nil: there is none
}

// signal signals the process group. SIGKILL reaches what has left the group as
// well, if there is a cgroup.
func (t target) signal(sig syscall.Signal) error {
	err := signalGroup(t.os, sig)
	if sig == syscall.SIGKILL {
		err = errors.Join(err, t.group.Kill())
	}
	return err
}

// State is how far a Process has come.
type State int

// The states, in the order in which they follow each other. From Fresh and
// Starting a process may also become Failed.
const (
	Fresh    State = iota // not started
	Starting              // between Start's first line and the end of exec
	Running               // forked and not yet reaped
	Ended                 // reaped; Exit is known
	Failed                // will never run
)

// String returns the state's name.
func (s State) String() string {
	return [...]string{"fresh", "starting", "running", "ended", "failed"}[s]
}

// New prepares a process. cmd is what go-plugin hands to RunnerFunc, of which
// only Env is used (its cookie and its PLUGIN_ variables); it may be nil. These and the lifeline
// are laid over what the Spec says, since the child could not be reached without them. The exit
// code is -1 from the start: 0 would be a success before there has been any process.
func New(spec Spec, cmd *exec.Cmd) *Process {
	var top []string
	if cmd != nil {
		top = cmd.Env
	}
	p := &Process{
		spec: spec, env: environ.Merge(cgroup.Environment(), spec.Env, top, lifelineEnv),
		dead: make(chan struct{}), done: make(chan struct{}), stdout: newFeed(), log: newLog(spec.Log),
	}
	p.lk.exit.Code = -1
	return p
}

// Start executes the program and returns when exec has succeeded, or with a
// *StartError when it has not. If ctx ends before the fork there never is a
// process; if it ends during it, the process is killed and reaped. Either way
// the error wraps the cause of ctx. A failed Start leaves nothing behind.
//
// go-plugin passes a context that knows only its StartTimeout. To give up
// earlier, call Kill, before or during Start: Start then fails with ErrKilled.
func (p *Process) Start(ctx context.Context) error {
	if err := p.begin(); err != nil {
		return err
	}
	c, err := p.launch(ctx)
	if err != nil {
		p.abandon(err)
		return err
	}
	if err := p.adopt(ctx, c); err != nil {
		<-p.done
		return &StartError{Path: p.spec.Path, Err: err}
	}
	return nil
}

// begin goes from Fresh to Starting.
func (p *Process) begin() error {
	p.lk.Lock()
	defer p.lk.Unlock()
	switch {
	case p.lk.state == Fresh:
		p.lk.state = Starting
		return nil
	case p.lk.killed:
		return &StartError{Path: p.spec.Path, Err: ErrKilled}
	}
	return &StartError{Path: p.spec.Path, Err: errors.New("started already; a Process runs once")}
}

// abandon goes to Failed and tells everyone who waits. Whoever calls it has
// gone from Fresh to Starting, and so is the only one.
func (p *Process) abandon(err error) {
	p.lk.Lock()
	p.lk.state, p.lk.err = Failed, err
	p.lk.Unlock()
	close(p.dead)
	p.finish()
}

// adopt goes from Starting to Running and sets the goroutines to work. If the
// process is unwanted by now it is killed, and the error says why.
//
// The target is set and killed is read under one lock, and Kill does the opposite under it: so
// either Kill finds a process to signal, or adopt finds that it was called. A process that is
// killed here is reaped like any other, and Start waits for that.
func (p *Process) adopt(ctx context.Context, c *child) error {
	p.lk.Lock()
	p.lk.state, p.lk.target, p.lk.pid = Running, target{c.os, c.group}, c.os.Pid
	unwanted := context.Cause(ctx)
	if p.lk.killed {
		unwanted = ErrKilled
	}
	if unwanted != nil {
		_ = p.lk.signal(syscall.SIGKILL)
	}
	p.lk.Unlock()
	task.Start(func() { p.reap(c) }) // whoever waits for Done waits for it
	return unwanted
}

// reap owns a running process: it reads its output, waits for its end, clears
// up after it and reports. It is the only place that reaps.
//
// The output is read to the end after the burial: by then the whole group was sent SIGKILL, and the
// last words are complete. Dead comes before the removal of the cgroup, which may take
// a second: whoever restarts an actor need not wait for what the old one had started.
func (p *Process) reap(c *child) {
	drained := p.drain(c)
	c.awaitExit()
	exit := p.bury(c)
	drained()
	c.close()
	exit.LastLog, exit.Panic = p.tail.read()
	p.lk.Lock()
	p.lk.state, p.lk.exit = Ended, exit
	p.lk.Unlock()
	close(p.dead)
	_ = c.group.Remove() // what is not gone in time is removed with the runtime directory
	p.finish()
}

// bury kills what is left of the group and then reaps its dead leader. The
// order matters: while the leader is a zombie its pid, and so the group's id,
// cannot be given to anybody else. What has left the group is killed by the
// removal of the cgroup. Wait does not wait here, though the lock is held: the process is dead.
// It fails only if something else in this program has reaped it, as wait4(-1) in C code does, and
// then nobody can say how it has ended.
func (p *Process) bury(c *child) Exit {
	p.lk.Lock()
	defer p.lk.Unlock()
	_ = signalGroup(c.os, syscall.SIGKILL)
	status, err := c.os.Wait()
	p.lk.target = target{}
	if err != nil {
		return Exit{Code: -1}
	}
	exit := exitOf(status)
	used := usage{cpu: exit.CPU}
	used.oomKills, used.refused = c.group.Used()
	if exit.OOM = used.oomKills > 0; exit.PeakRSS <= c.peak {
		exit.PeakRSS = 0 // it is the host's
	}
	exit.Limit = p.spec.Limits.hit(exit, used, p.lk.killed)
	return exit
}

// finish ends what a Process has even if it never ran. It does not wait until the log is flushed,
// since Spec.Log is not ours and may never return. go-plugin must find a line, not an end of file,
// whose error would be one of two by chance and neither of them clear; so the line comes before
// Done.
func (p *Process) finish() {
	p.stdout.offer("(the process ended before its handshake line)\n")
	p.log.Close()
	close(p.done)
}

// Terminate sends SIGTERM to the process group. A process that does not run
// (yet, or any more) is left alone without an error. On Windows, which knows no
// such request, it kills.
func (p *Process) Terminate() error {
	p.lk.Lock()
	defer p.lk.Unlock()
	return p.signal(syscall.SIGTERM)
}

// Kill sends SIGKILL to the process group, and to its cgroup if it has one, and
// waits until the process is reaped, or until ctx ends. A process that is being
// started is killed as soon as it is there, one that was not started never will
// be. Kill on a dead process returns nil at once.
//
// Only a process that is stuck inside the kernel (a dead network file system)
// is not reaped promptly.
func (p *Process) Kill(ctx context.Context) error {
	p.lk.Lock()
	fresh := p.lk.state == Fresh
	if fresh {
		p.lk.state = Starting // this call owns its end, as Start would have
	}
	p.lk.killed = true
	err := p.signal(syscall.SIGKILL)
	p.lk.Unlock()
	if err != nil {
		return err
	}
	if fresh {
		p.abandon(&StartError{Path: p.spec.Path, Err: ErrKilled})
	}
	if err := task.Await(ctx, p.done); err != nil {
		return fmt.Errorf("process %d (%s) was sent SIGKILL but is not reaped yet: %w", p.PID(), p.spec.title(), err)
	}
	return nil
}

// signal signals the process if it runs. The caller holds the lock.
func (p *Process) signal(sig syscall.Signal) error {
	if p.lk.os == nil {
		return nil
	}
	if err := p.lk.signal(sig); err != nil {
		return fmt.Errorf("process %d (%s) cannot be signalled: %w; a program that changes its user must give the host the right to end it", p.lk.pid, p.spec.title(), err)
	}
	return nil
}

// Dead is closed when the process has been reaped and its output read to the end,
// so that Exit is known, or when Start has failed. What it has started may still
// be dying: wait for Done before saying that nothing is left.
func (p *Process) Dead() <-chan struct{} { return p.dead }

// Done is closed when the process has been reaped, its whole group sent
// SIGKILL, its cgroup (if it has one) emptied and removed and its output read to
// the end, or when Start has failed. It never waits for Spec.Log.
func (p *Process) Done() <-chan struct{} { return p.done }

// State returns how far the process has come.
func (p *Process) State() State {
	p.lk.Lock()
	defer p.lk.Unlock()
	return p.lk.state
}

// Exit says how the process ended; ok is false until it has.
func (p *Process) Exit() (exit Exit, ok bool) {
	p.lk.Lock()
	defer p.lk.Unlock()
	return p.lk.exit, p.lk.state == Ended
}

// PID is the process's id, 0 before the fork. It may be somebody else's after
// Done.
func (p *Process) PID() int {
	p.lk.Lock()
	defer p.lk.Unlock()
	return p.lk.pid
}

// Starved is how long the process's threads have waited for a processor so far, all
// together, since each began. It grows only while a thread could have run and the machine
// had no time for it: not while a process is stopped, sleeps or runs. It is 0 if the
// process is gone or the kernel does not count it.
func (p *Process) Starved() time.Duration {
	p.lk.Lock()
	pid, lives := p.lk.pid, p.lk.os != nil
	p.lk.Unlock()
	if !lives {
		return 0
	}
	return starved(pid)
}

// freshness is for how long memory and descriptors count as what a process has now. They are files of the system, and to open,
// read and close one takes about ten times as long as to ask for the processor time: somebody who looks five times a second
// has them read twice. What is counted is not read again for that: only what may go up and down in between is missed.
const freshness = 500 * time.Millisecond

// Load is what the process uses now; memory and descriptors are those of half a second ago at most. Those who look at the same
// time share what one of them has read, as one reads while the others wait: the system is not asked by each of them.
//
// A process that is gone has used no time, and so nothing that was read before counts for it; nor does what was read while it
// was being executed, when the system does not show its descriptors.
func (p *Process) Load() Load {
	p.lk.Lock()
	defer p.lk.Unlock()
	if p.lk.os == nil {
		return Load{} // its id may be somebody else's by now
	}
	if used := cpuOf(p.lk.pid); used == 0 || p.lk.load.Descriptors == 0 || time.Since(p.lk.loaded) > freshness {
		p.lk.load, p.lk.loaded = loadOf(p.lk.pid), time.Now()
	} else {
		p.lk.load.CPU = used
	}
	return p.lk.load
}

// Load is what a process uses now: 0 if it is gone or the system does not tell.
type Load struct {
	CPU         time.Duration // processor time since it began
	RSS         int64         // bytes
	Descriptors int
}

// LoadOf is that of the process with an id, if it is still the one that is meant.
func LoadOf(pid int) Load { return loadOf(pid) }

// Vitals are what people look for in a process that runs. What the system does not tell is zero.
type Vitals struct {
	Load
	// State is what the kernel has it do, such as "S (sleeping)" or "T (stopped)".
	State string
	// Memory is in bytes. With a limit for all that it has started together, it is what these use.
	Memory int64
	// Processes counts threads as well, of all that it has started if these have a limit together.
	Processes int
}

// VitalsOf are those of the process with an id, as [LoadOf].
func VitalsOf(pid int) Vitals {
	v := Vitals{Load: loadOf(pid)}
	v.Memory = v.RSS
	v.State, v.Processes = doing(pid)
	return v
}

// Vitals asks the system; the zero value says that the process does not run.
func (p *Process) Vitals() (v Vitals) {
	p.lk.Lock()
	pid, t := p.lk.pid, p.lk.target
	p.lk.Unlock()
	if t.os == nil {
		return v
	}
	v = VitalsOf(pid)
	memory, processes := t.group.Now()
	v.Memory, v.Processes = cmp.Or(memory, v.Memory), cmp.Or(processes, v.Processes)
	return v
}

// HandshakeError says why the first line on standard output was kept from
// go-plugin: a *HandshakeError, or nil if it was good or has not come.
func (p *Process) HandshakeError() error {
	p.lk.Lock()
	defer p.lk.Unlock()
	return p.lk.greet
}
