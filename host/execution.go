package host

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"github.com/seed-2ba35074/trellis/internal/launch"
	"github.com/seed-2ba35074/trellis/internal/tracing"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// execution is one process of a program, as far as it is the same whether the process is an
// actor's already or waits to become one. What it is part of owns it: a [spare], or an
// [incarnation], which may have taken it from one. It needs no lock: its owner's goroutine calls
// its methods, and others only once start has succeeded.
type execution struct {
	env     *environment
	spec    Spec
	id      actor.ID // its pid is known once there is a process
	program launch.Program
	client  *pluginClient
	lines   *logger // nil of a program that has joined

	waitsFor string        // what its start waits for, as the end of an error
	span     *tracing.Span // of its start, or of its end; nil if nobody keeps it
}

// newExecution starts nothing yet.
func newExecution(env *environment, spec Spec, id actor.ID) execution {
	x := execution{env: env, spec: spec, id: id, client: newPluginClient(env.base), lines: newLogger(env.lines, env.keeper(id), id, len(spec.Actors) > 0)}
	x.program = x.newProgram()
	return x
}

// newProgram makes what is to be started: a process, unless the ctx of the nursery knows
// better.
func (x *execution) newProgram() launch.Program {
	switch {
	case x.spec.On != nil:
		return newRemote(x.env, x.spec, x.id, x.lines.line)
	case x.env.launch == nil:
		return &spawned{env: x.env, spec: x.spec, id: x.id, client: x.client, line: x.lines.line}
	}
	return x.env.launch(launch.Order{
		ID: x.id, Command: x.spec.Command, Foreign: x.foreign(),
		Log: x.lines.line, Gist: gist,
	})
}

// foreign reports whether the program knows nothing of Trellis. It has no link then, no
// boot, no endpoints and no goodbye.
func (x *execution) foreign() bool { return x.spec.GoPlugin != nil }

// host is the name of the host on whose machine the process runs, and the agent there; "" and nil on this one.
func (x *execution) host() (name string, a *machine) {
	switch p := x.program.(type) {
	case *remote:
		a = p.where()
		name, _ = x.env.machines.host(a)
	case *guest:
		name = p.caller.Host
	}
	return name, a
}

// lostMachine is the agent that has run the process, if that is lost as well, or does not answer; 0 otherwise.
func (x *execution) lostMachine() int {
	_, a := x.host()
	if a == nil {
		return 0
	}
	if silent, _ := x.env.machines.silent(a); !silent && !isClosed(a.child.gone) {
		return 0
	}
	return a.child.id
}

// joined reports whether the program was there before, and has joined.
func (x *execution) joined() bool {
	_, is := x.program.(*guest)
	return is
}

// beginSpan begins that of a start or an end, but not of a program that comes and goes by itself.
func (x *execution) beginSpan(within trace.SpanContext) {
	if !x.joined() {
		x.span = x.env.spans.Internal(within)
	}
}

// execute starts the process and connects to it, and names the stage that has failed. "program"
// is whatever keeps a process from being there at all; everything after that, until go-plugin is
// connected, is "handshake". identified is told the pid as soon as it is known, so that events of
// a start that hangs or fails name the process.
func (x *execution) execute(ctx context.Context, identified func(actor.ID)) (stage string, err error) {
	err = x.program.Start(ctx)
	proc := x.program.Process()
	ran := proc != nil && proc.PID() != 0
	if ran {
		x.id.PID = proc.PID()
		identified(x.id)
		x.noteDebugger()
	}
	switch {
	case err == nil:
		x.span.Event("handshake", telemetry.Field{Key: "pid", Value: int64(x.id.PID)})
	case cannotExecute(err):
		return "program", &lastingError{err}
	case !ran:
		return "program", err
	}
	return "handshake", err
}

// kill kills the process, if there is one yet, and waits for its reaping. It needs no ctx,
// since it must happen in any case.
func (x *execution) kill() {
	if proc := x.program.Process(); proc != nil {
		_ = proc.Kill(context.Background()) // that ctx never ends
	}
}

// newLadder makes the teardown of the process. note is told of each step that uses force.
func (x *execution) newLadder(note func(e directory.Event)) ladder {
	return ladder{
		own: boundsOf(x.spec), ending: x.env.ending, hurry: x.env.hurry, turns: x.env.turns,
		note: note, failed: func(s step, err error) {
			x.env.log.Error("teardown", "actor", x.id.String(), "step", s.String(), "error", err)
		},
	}
}

// awaitDone returns when the process is gone, with all that it had started, and what it has
// printed is kept.
func (x *execution) awaitDone() {
	if proc := x.program.Process(); proc != nil {
		<-proc.Done()
		<-proc.Flushed()
	}
	if x.lines != nil {
		x.env.printed.Go(func() { <-x.lines.waiting.Idle() })
	}
}

// release lets go of everything that belonged to a process that was not booted, and waits for
// its end.
func (x *execution) release() {
	x.awaitDone()
	x.program.Release()
}

// used is what the process has used, once it is dead.
func (x *execution) used() (u directory.Usage) {
	if proc := x.program.Process(); proc != nil {
		exit, _ := proc.Exit()
		u = directory.Usage{PeakRSS: exit.PeakRSS, CPU: exit.CPU, OOM: exit.OOM}
	}
	return u
}

// causeOfExit says how the process has ended: the [fault.ActorDied] that its callers, the
// event and the nursery are given. How a program has ended that has joined, its own parent knows.
func (x *execution) causeOfExit() error {
	if x.joined() {
		return &fault.LinkLost{Peer: x.id, Reason: "the program, which had joined, has gone without a goodbye"}
	}
	if r, ok := x.program.(*remote); ok && r.loss() != nil {
		return r.loss()
	}
	exit, _ := x.program.Process().Exit()
	host, _ := x.host()
	died := &fault.ActorDied{ID: x.id, Host: host, ExitCode: exit.Code, Limit: exit.Limit, LastLog: exit.LastLog, PeakRSS: exit.PeakRSS, CPU: exit.CPU, OOM: exit.OOM}
	if exit.Panic != "" {
		died.LastLog = append(died.LastLog, exit.Panic) // a trace pushes it out of the last lines
	}
	if exit.Signal != 0 {
		died.Signal = exit.Signal.String()
	}
	return died
}
