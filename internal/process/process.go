package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"github.com/seed-2ba35074/trellis/internal/environ"
)

// ErrKilled is what Start returns when Kill came before or during it.
var ErrKilled = errors.New("killed before it was up")

// Process is one child process, from before its fork until it is reaped. It
// owns the goroutines that read its output and wait for its end. Every method
// may be called at any time from any goroutine. It runs once: a restarted
// child is a new Process.
type Process struct {
	spec    Spec
	env     []string
	dead    chan struct{}
	done    chan struct{}
	stdout  *feed
	stderr  *feed
	tail    tail
	journal *journal

	lk struct {
		sync.Mutex
		target
		state  State
		killed bool // Kill was called
		pid    int  // 0 until forked
		exit   Exit
		err    error // why Start failed
		greet  error // what was wrong with the handshake line
	}
}

// target is what signals are sent to.
type target struct {
	os     *os.Process // nil before the fork and after the reaping
	cgroup *cgroup     // nil: there is none
}

// signal signals the process group. SIGKILL reaches what has left the group as
// well, if there is a cgroup.
func (t target) signal(sig syscall.Signal) error {
	err := signalGroup(t.os, sig)
	if sig == syscall.SIGKILL {
		err = errors.Join(err, t.cgroup.kill())
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
// only Env is used (its cookie and its PLUGIN_ variables); it may be nil.
func New(spec Spec, cmd *exec.Cmd) *Process {
	p := &Process{spec: spec, dead: make(chan struct{}), done: make(chan struct{}), journal: newJournal(spec.Log)}
	var top []string
	if cmd != nil {
		top = cmd.Env
	}
	p.env = environ.Merge(cgroupEnv(), spec.Env, top, lifelineEnv)
	p.stdout = newFeed(p.done)
	p.stderr = newFeed(p.done)
	p.stderr.offer(nil)
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
	p.clear()
	close(p.dead)
	close(p.done)
}

// clear ends what a Process has even before it runs.
func (p *Process) clear() {
	p.journal.close()
	if p.spec.Scratch != "" {
		discard(p.spec.Scratch)
	}
}

// adopt goes from Starting to Running and sets the owners to work. If the
// process is unwanted by now it is killed, and the error says why.
func (p *Process) adopt(ctx context.Context, c *child) error {
	p.lk.Lock()
	p.lk.state, p.lk.target, p.lk.pid = Running, target{c.os, c.cgroup}, c.os.Pid
	unwanted := context.Cause(ctx)
	if p.lk.killed {
		unwanted = ErrKilled
	}
	if unwanted != nil {
		_ = p.lk.signal(syscall.SIGKILL)
	}
	p.lk.Unlock()
	own(func() { p.reap(c) })
	return unwanted
}

// Terminate sends SIGTERM to the process group. A process that does not run
// (yet, or any more) is left alone without an error. On Windows, which knows no
// such request, it kills.
func (p *Process) Terminate() error {
	p.lk.Lock()
	defer p.lk.Unlock()
	if p.lk.os == nil {
		return nil
	}
	return p.signalError(p.lk.signal(syscall.SIGTERM))
}

// Kill sends SIGKILL to the process group, and to its cgroup if it has one, and
// waits until the process is reaped, or until ctx ends. A process that is being started is killed as soon
// as it is there, one that was not started never will be. Kill on a dead
// process returns nil at once.
//
// Only a process that is stuck inside the kernel (a dead network file system)
// is not reaped promptly.
func (p *Process) Kill(ctx context.Context) error {
	fresh, err := p.kill()
	if err != nil {
		return err
	}
	if fresh {
		p.abandon(&StartError{Path: p.spec.Path, Err: ErrKilled})
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("process %s (%s) was sent SIGKILL but is not reaped yet: %w", p.ID(), p.Name(), context.Cause(ctx))
	}
}

// kill does what the state asks for. fresh says that the process was never
// started; the caller then owns its end, as Start would have.
func (p *Process) kill() (fresh bool, err error) {
	p.lk.Lock()
	defer p.lk.Unlock()
	fresh = p.lk.state == Fresh
	if fresh {
		p.lk.state = Starting
	}
	p.lk.killed = true
	if p.lk.os != nil {
		err = p.signalError(p.lk.signal(syscall.SIGKILL))
	}
	return fresh, err
}

// signalError says what to do about a signal that could not be sent.
func (p *Process) signalError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("process %d (%s) cannot be signalled: %w; a program that changes its user must give the host the right to end it", p.lk.pid, p.Name(), err)
}

// Dead is closed when the process has been reaped and its output read to the end,
// so that Exit is known, or when Start has failed. What it has started may still
// be dying: wait for Done before saying that nothing is left.
func (p *Process) Dead() <-chan struct{} { return p.dead }

// Done is closed when the process has been reaped, its whole group sent
// SIGKILL, its cgroup (if it has one) emptied and removed and its output read to
// the end, or when Start has failed. It never
// waits for Spec.Log.
func (p *Process) Done() <-chan struct{} { return p.done }

// Flushed is closed some time after Done, when Spec.Log has returned from the
// last line. A Log that never returns keeps it open.
func (p *Process) Flushed() <-chan struct{} { return p.journal.flushed }

// Wait waits for Done, or for the end of ctx, whose cause it then returns. For
// a process that ended well it returns nil, for any other end an *ExitError,
// for one that never ran the error of Start.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	p.lk.Lock()
	defer p.lk.Unlock()
	if p.lk.err != nil {
		return p.lk.err
	}
	if p.lk.exit.Success() {
		return nil
	}
	return &ExitError{Name: p.Name(), PID: p.lk.pid, Exit: p.lk.exit}
}

// State tells how far the process has come.
func (p *Process) State() State {
	p.lk.Lock()
	defer p.lk.Unlock()
	return p.lk.state
}

// Exit tells how the process ended; ok is false until it has.
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
