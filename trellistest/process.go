package trellistest

import (
	"context"
	"fmt"
	"io/fs"
	"runtime/pprof"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/internal/launch"
	"github.com/seed-2ba35074/trellis/internal/life"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/logs"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Process stands for one process of an actor in a tree: what its host sees of it is what it
// would see of a process. It dies, hangs and prints when a test says so; its link has the
// [Faults] of any other. All methods may be called at any time, from any goroutine.
//
// What a process cannot have here is an end that stops its code: goroutines cannot be killed.
// A process that dies loses its link, so that the ctx of each handler ends, and nothing that a
// handler does after that is seen by anybody. A handler that is to ignore its ctx and still
// not outlive its process waits for [Process.Dead], of [ProcessOf] its ctx.
type Process struct {
	Faults
	programs *Programs
	plugin   *Plugin
	order    launch.Order
	parent   *Process // nil for an actor of the host's own
	log      *logs.Queue[process.Line]
	outer    link.Transport  // its host's end of the link
	inner    link.Transport  // its own
	alive    context.Context // ends with the process
	die      context.CancelFunc
	stages   task.Group                                  // what the plugin's Starting does
	take     func(link.Transport) (over <-chan struct{}) // set by Listen, for Boot

	mu       sync.Mutex // guards the rest
	id       actor.ID
	life     *life.Life // nil unless it has been executed
	hooks    life.Hooks
	booted   bool          // its host has told it which actor it is
	thawed   chan struct{} // closed by Thaw; nil unless it is frozen
	asked    bool          // SIGTERM came while it was frozen
	ended    bool
	exit     process.Exit
	children []*Process
}

type processKey struct{}

// ProcessOf is the process that a handler runs in, by its ctx; nil outside a tree of this
// package. With it a handler does what only its process can: it dies, prints, or freezes.
func ProcessOf(ctx context.Context) *Process {
	p, _ := ctx.Value(processKey{}).(*Process)
	return p
}

// ID is the identity of the actor in this process.
func (p *Process) ID() actor.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.id
}

// Dead is closed when the process has ended.
func (p *Process) Dead() <-chan struct{} { return p.alive.Done() }

// Die ends the process at once with an exit code, as os.Exit does: without a goodbye, whatever
// the code is. Nothing happens if it is dead.
func (p *Process) Die(code int) { p.end(process.Exit{Code: code}) }

// Kill ends the process at once by a signal, as syscall.SIGKILL and syscall.SIGSEGV do.
func (p *Process) Kill(signal syscall.Signal) { p.end(process.Exit{Code: -1, Signal: signal}) }

// Terminate asks the process to end, as an operator does with SIGTERM: it ends in order, and by
// itself.
func (p *Process) Terminate() { p.terminate() }

// Freeze makes the process hang, as SIGSTOP does: it reads and writes nothing, answers no
// health check, and heeds no SIGTERM. Its code goes on, and nobody notices.
func (p *Process) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.thawed == nil && !p.ended {
		p.thawed = make(chan struct{})
		p.Stall(ToActor)
		p.Stall(FromActor)
	}
}

// Thaw ends a Freeze, as SIGCONT does. What has come meanwhile is read now.
func (p *Process) Thaw() {
	p.mu.Lock()
	asked := p.asked
	if p.thawed != nil {
		close(p.thawed)
		p.thawed, p.asked = nil, false
		p.Resume(ToActor)
		p.Resume(FromActor)
	}
	p.mu.Unlock()
	if asked {
		p.terminate()
	}
}

// mend ends what holds up the process and its link, so that it can be asked to end.
func (p *Process) mend() {
	p.Thaw()
	p.Faults.mend()
}

// Stdout makes the process print a line, which comes into the log of its host.
func (p *Process) Stdout(line string) { p.print(process.Stdout, line) }

// Stderr makes the process print a line on standard error. It comes into the log of its host,
// and the last of them into the [fault.ActorDied].
func (p *Process) Stderr(line string) { p.print(process.Stderr, line) }

// mostLines are how many lines of a process wait for the log of its host, and lastLines how
// many of standard error its death is told with.
const (
	mostLines = 4096
	lastLines = 20
)

func (p *Process) print(to process.Stream, line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	p.log.Put(process.Line{Stream: to, Text: []byte(line)}, 1)
	if to != process.Stderr {
		return
	}
	if p.exit.Panic == "" && process.Crashes([]byte(line)) {
		p.exit.Panic = line
	}
	if gist := p.order.Gist([]byte(line), false); gist != "" {
		p.exit.LastLog = append(p.exit.LastLog, gist)
		p.exit.LastLog = p.exit.LastLog[max(0, len(p.exit.LastLog)-lastLines):]
	}
}

// end is the end of the process, the first one that is given. What it has written to its link
// before that is still read by its host, as from a socket; what is on its way to it arrives
// nowhere. Its own children end with it, as the kernel sees to with real ones.
func (p *Process) end(exit process.Exit) {
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return
	}
	p.ended = true
	p.exit.Code, p.exit.Signal = exit.Code, exit.Signal
	children := p.children
	p.mu.Unlock()
	for _, c := range children {
		c.Kill(syscall.SIGKILL)
	}
	p.log.Close()
	p.inner.Abort()
	p.die()
}

// wait returns when no code of the process runs any more. The process has ended.
func (p *Process) wait() {
	p.mu.Lock()
	executed := p.life
	p.mu.Unlock()
	if executed != nil {
		executed.Wait()
	}
	p.stages.Close()
}

// terminate is SIGTERM. Before the runtime of the plugin is there, it does what it does to any
// program; before the boot, it ends the program and no actor.
func (p *Process) terminate() {
	p.mu.Lock()
	ended, frozen, executed := p.ended, p.thawed != nil, p.life
	p.asked = p.asked || frozen
	p.mu.Unlock()
	switch {
	case ended, frozen:
	case executed == nil:
		p.Kill(syscall.SIGTERM)
	case executed.Forgo():
		p.Die(0)
	default:
		executed.Stop(&fault.ContextCancelled{Canceller: p.ID(), Reason: "it received " + syscall.SIGTERM.String()}, nil)
	}
}

// over is the end of the actor's life, on its goroutine. A process that is dead by then runs no
// hooks.
func (p *Process) over(failure error) {
	code := 0
	if failure != nil {
		code = 1
	}
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	if !ended {
		p.hooks.Run(func(err error) {
			p.Stderr("an exit hook has failed: " + err.Error())
			code = 1
		})
	}
	disown(p.order.ID)
	p.Die(code)
}

// awake returns when the process can answer: at once, unless it is frozen. Its errors are those
// of a call over the main connection.
func (p *Process) awake(ctx context.Context) error {
	for {
		p.mu.Lock()
		ended, thawed := p.ended, p.thawed
		p.mu.Unlock()
		switch {
		case ended:
			return status.Error(codes.Unavailable, "the process has ended")
		case ctx.Err() != nil:
			return status.FromContextError(ctx.Err()).Err()
		case thawed == nil:
			return nil
		}
		select {
		case <-thawed:
		case <-p.Dead():
		case <-ctx.Done():
		}
	}
}

// reach does what the plugin's Starting does at a stage, until the start is given up or the
// process dies, which may be Starting's own doing.
func (p *Process) reach(ctx context.Context, stage Stage) error {
	if p.plugin.Starting == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(context.WithValue(ctx, processKey{}, p))
	defer cancel()
	defer context.AfterFunc(p.alive, cancel)()
	passed := make(chan error, 1)
	p.stages.Go(func() {
		as(p.order.ID, func(context.Context) { passed <- p.plugin.Starting(ctx, stage) })
	})
	select {
	case err := <-passed:
		return p.gone(err)
	case <-ctx.Done():
		return p.gone(context.Cause(ctx))
	}
}

// gone is how the process has ended; err if it has not.
func (p *Process) gone(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		return err
	}
	return fmt.Errorf("the program has ended: %w", &process.ExitError{Name: p.order.Command[0], PID: p.id.PID, Exit: p.exit})
}

// standIn is named here for the embedding alone, in types that have a method Process.
type standIn = Process

// program is the process for the host that starts it ([launch.Program]).
type program struct{ *standIn }

// Process is there when the program has been executed.
func (g program) Process() launch.Process {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.life == nil {
		return nil
	}
	return system(g)
}

// Start executes the program, which takes no time unless the plugin's Starting says so.
func (g program) Start(ctx context.Context) error {
	refuse := func(err error, hint string) error {
		return &process.StartError{Path: g.order.Command[0], Err: err, Hint: hint}
	}
	switch {
	case g.order.Foreign:
		return refuse(fs.ErrInvalid, "a foreign program (goplugin) can only run as a process")
	case g.plugin == nil:
		return refuse(fs.ErrNotExist, "give trellistest a Plugin of that name; it has "+g.programs.names())
	}
	if err := g.reach(ctx, StageProgram); err != nil {
		return refuse(err, "")
	}
	if err := g.execute(ctx); err != nil {
		return refuse(err, "")
	}
	if err := g.reach(ctx, StageHandshake); err != nil {
		return err
	}
	return g.awake(ctx)
}

// execute makes the process, unless the start has been given up, or the parent is dead.
func (g program) execute(ctx context.Context) error {
	endpoints := g.plugin.handlers()
	pid := g.programs.pid()
	if parent := g.parent; parent != nil {
		parent.mu.Lock()
		defer parent.mu.Unlock()
		if parent.ended {
			return process.ErrKilled
		}
		parent.children = append(parent.children, g.standIn)
	}
	base := context.WithValue(launch.With(context.Background(), g.programs.launcher(g.standIn)), processKey{}, g.standIn)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.id.PID = pid
	g.life = life.New(life.Config{
		Endpoints: endpoints, Hosts: g.plugin.Hosts, Around: g.plugin.Around, PID: pid, Base: base, Exit: g.over, Log: noLog,
	})
	return context.Cause(ctx)
}

// Listen keeps the host's end for the boot.
func (g program) Listen(_ context.Context, boot *wire.BootRequest, take func(link.Transport) <-chan struct{}) error {
	boot.Broker = 1 // there is no broker; but an actor without a link is refused
	g.take = take
	return nil
}

// Boot boots the actor, whose goroutines bear its label from then on. The link's other end
// belongs to the host, and bears none.
func (g program) Boot(ctx context.Context, boot *wire.BootRequest) (answer *wire.BootResponse, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(g.alive, cancel)()
	if err := g.reach(ctx, StageBoot); err != nil {
		return nil, status.Error(codes.Aborted, err.Error())
	}
	g.becomesActor()
	own(g.order.ID, &g.hooks)
	as(g.order.ID, func(labelled context.Context) {
		answer, err = g.life.Boot(ctx, boot, func(ctx context.Context) (link.Transport, error) {
			if err := g.reach(ctx, StageLink); err != nil {
				return nil, err
			}
			pprof.SetGoroutineLabels(context.Background())
			g.take(g.outer)
			pprof.SetGoroutineLabels(labelled)
			return g.inner, nil
		})
	})
	if silent := g.awake(ctx); silent != nil {
		return nil, silent
	}
	return answer, err
}

// Check is answered by a process that lives and is not frozen.
func (g program) Check(ctx context.Context) (healthpb.HealthCheckResponse_ServingStatus, error) {
	if err := g.awake(ctx); err != nil {
		return healthpb.HealthCheckResponse_UNKNOWN, err
	}
	return healthpb.HealthCheckResponse_SERVING, nil
}

// Release is the end of what has never become a process; any other has ended. What is left of
// its code is waited for when the test ends.
func (g program) Release() { g.end(process.Exit{Code: -1}) }

// system is the process as a host sees it ([launch.Process]).
type system struct{ *standIn }

// PID is a number that no process has.
func (s system) PID() int { return s.ID().PID }

// Done is closed when nothing of the process is left that its host could see.
func (s system) Done() <-chan struct{} { return s.Dead() }

// Flushed is closed when the log has what was printed.
func (s system) Flushed() <-chan struct{} { return s.log.Idle() }

// Exit says how it has ended.
func (s system) Exit() (process.Exit, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exit, s.ended
}

// Load is 0: it is that of the test.
func (s system) Load() process.Load { return process.Load{} }

// Vitals are none: they are those of the test.
func (s system) Vitals() process.Vitals { return process.Vitals{} }

// Starved is 0: there is always a processor for it.
func (s system) Starved() time.Duration { return 0 }

// Terminate is SIGTERM.
func (s system) Terminate() error {
	s.terminate()
	return nil
}

// Kill is SIGKILL, after which a process is dead at once.
func (s system) Kill(context.Context) error {
	s.standIn.Kill(syscall.SIGKILL)
	return nil
}
