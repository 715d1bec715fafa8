package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/launch"
	"github.com/seed-2ba35074/trellis/internal/lease"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// remote is a program that an agent runs on another machine, as the nursery sees it: its process is a context
// with the agent, and its link comes through a tunnel that the agent has dialled. What is not known of it any
// more, as its agent is lost, is bounded by its lease.
//
// Its child's incarnation owns it, as it does any [launch.Program]. The goroutine that watches
// the lease ends in Release at the latest, that of the context when the agent has answered or is gone. mu guards the fields below it.
type remote struct {
	env   *environment
	spec  Spec
	id    actor.ID
	line  func(process.Line)
	lease *lease.Owner

	ctx     context.Context // of the context with the agent
	cancel  context.CancelFunc
	started chan launchResult // cap 1
	refused chan struct{}     // cap 1: the agent has no room
	dead    chan struct{}
	done    chan struct{}
	workers task.Group
	forget  func() // does not wait for the tunnel any more

	mu      sync.Mutex
	machine *machine // where it runs; nil before it was placed
	waiting string   // why it has no place; "" while it does not wait for one
	opened  bool     // an agent was asked to run it, and has not refused
	killed  bool     // no other one is asked
	pid     int
	exit    process.Exit
	reaped  bool  // the agent has said that nothing is left
	failure error // of the context with the agent
	lost    error // why nothing more is known of it
	vitals  process.Vitals
}

var _ launch.Program = (*remote)(nil)

func newRemote(env *environment, spec Spec, id actor.ID, line func(process.Line)) *remote {
	r := &remote{
		env: env, spec: spec, id: id, line: line, lease: lease.NewOwner(env.machines.lease, env.machines.until), forget: func() {},
		started: make(chan launchResult, 1), refused: make(chan struct{}, 1), dead: make(chan struct{}), done: make(chan struct{}),
	}
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(env.base))
	return r
}

// errNotRoot is why only the root of a tree has agents.
var errNotRoot = errors.New("on: only actors of the root run on other machines")

// Start finds a place for the program, waiting until there is one, and has the agent there start it.
func (r *remote) Start(ctx context.Context) error {
	if r.env.router.Up != nil {
		return &lastingError{errNotRoot}
	}
	r.workers.Go(func() {
		if r.lease.Expired(r.done) {
			r.lose(fmt.Sprintf("the actor has not asked for its lease of %v in time", r.lease.Term()), true)
			r.cancel()
		}
	})
	for {
		a, err := r.place(ctx)
		if err != nil {
			return err
		}
		if again, err := r.startOn(ctx, a); !again {
			return err
		}
	}
}

// startOn has an agent start the program. again is whether another one may do it: this one was lost before it was asked to, or has
// no room. It is waited for no longer than it answers; if one that was frozen goes on later, it finds that the context has ended.
func (r *remote) startOn(ctx context.Context, a *machine) (again bool, err error) {
	answering, stop := r.env.machines.answering(ctx, a)
	defer stop()
	spec, err := r.shipped(answering, a)
	if err == nil {
		err = r.launch(a, spec)
	}
	if err != nil {
		r.env.machines.leave(a, r.spec.Name)
		return ctx.Err() == nil && errors.Is(err, fault.ErrActorLost), err
	}
	err = r.awaitStart(answering)
	return errors.Is(err, errRefused), err
}

// errRefused is that an agent has no room, as others have filled it, or is about to leave, and the host had not heard of
// that when it chose the agent.
var errRefused = errors.New("the agent has no room")

// awaitStart waits until the agent has started the program.
func (r *remote) awaitStart(ctx context.Context) error {
	select {
	case s := <-r.started:
		return r.hasStarted(s)
	case <-r.refused:
		return errRefused
	case <-r.dead:
		select {
		case s := <-r.started:
			return r.hasStarted(s)
		default:
			return r.notRun()
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// place waits for an agent that can run the program, and logs once why it has to.
func (r *remote) place(ctx context.Context) (*machine, error) {
	waits := false
	for {
		a, reasons, changed := r.env.machines.choose(r.spec.On, r.spec.Name)
		r.mu.Lock()
		if r.machine, r.waiting = a, ""; a == nil {
			r.waiting = noPlace(reasons)
		}
		r.mu.Unlock()
		switch {
		case a != nil && !r.env.machines.leaves(a):
			return a, nil
		case a != nil: // whoever moves its actors has not seen this one
			r.env.machines.leave(a, r.spec.Name)
			continue
		case !waits:
			waits = true
			r.env.log.Info("an actor waits for an agent", "actor", r.id.String(), "reason", noPlace(reasons))
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// waitsFor is why a start has found no place, behind some text; "" if it does not wait for one.
func (r *remote) waitsFor(text string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting == "" {
		return ""
	}
	return text + r.waiting
}

// launch opens the context with the agent.
func (r *remote) launch(a *machine, spec Spec) error {
	text, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.opened = true
	r.mu.Unlock()
	// An agent that is frozen keeps the context for as long as it is one of the nursery's, and nobody waits for that.
	r.env.letGo.Go(func() {
		begun, err := r.converse(a, launchOrder{ID: r.id, Spec: text})
		full := !begun && errors.Is(err, fault.ErrOverloaded)
		if full {
			r.env.machines.refused(a)
		}
		r.env.machines.leave(a, r.spec.Name)
		if !full || !r.again() {
			r.over(err)
		}
	})
	return nil
}

// again has the start try another agent, as one had no room; false if the start was given up.
func (r *remote) again() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.killed {
		r.opened = false
		r.refused <- struct{}{}
	}
	return !r.killed
}

// converse returns when the agent has said that nothing is left of the process, or cannot say it, and says whether it
// had begun to run it.
func (r *remote) converse(a *machine, order launchOrder) (begun bool, err error) {
	_, err = agentLaunch.Open(r.ctx, newPortal(a.child), order, func(ctx context.Context, c *contract.Opener[struct{}, struct{}, launchNews, struct{}]) error {
		begun = true
		stream, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		for news, err := range stream.All(ctx) {
			if err != nil {
				return err
			}
			r.hear(news)
		}
		return nil
	})
	return begun, err
}

// hear takes what the agent tells.
func (r *remote) hear(news launchNews) {
	if news.Line != nil {
		r.line(*news.Line) // which does not wait
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case news.Started != nil && r.pid == 0 && len(r.started) == 0:
		r.pid = news.Started.PID
		r.started <- *news.Started
	case news.Exit != nil && !isClosed(r.dead):
		r.exit = clipped(*news.Exit)
		close(r.dead)
	case news.Reaped:
		r.reaped = true
	}
}

// renew is the task of [wire.Renew]. It is served from the first moment of the link on, before the boot was answered: the
// actor does nothing before its first lease, and so nothing of it has to be waited for if its boot fails.
func (r *remote) renew(context.Context, *dialog.Dialog) ([]byte, error) {
	given, err := r.lease.Renew()
	if err != nil {
		return nil, err
	}
	return cbor.Marshal(given)
}

// over is called once, when no more news come. It is the end of the context with the agent: the process is gone if that has said so, and else when its
// lease is over, in which case the watcher of that says so.
func (r *remote) over(err error) {
	r.lease.End()
	reason := "it has ended the actor"
	if err != nil {
		reason = fault.Line(err)
	}
	r.mu.Lock()
	gone := r.reaped || !r.lease.Given() // without a lease it has done nothing, and cannot begin any more
	r.failure = err
	r.mu.Unlock()
	r.lose(reason, gone)
}

// lose is the end of what is known of the process. gone is whether it has certainly ended.
func (r *remote) lose(reason string, gone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !isClosed(r.dead) {
		r.lost, r.exit.Code = r.env.machines.lost(r.machine, reason), -1
		close(r.dead)
	}
	if gone && !isClosed(r.done) {
		close(r.done)
	}
}

// loss is why the process is dead of which nothing more is known; nil if it is known how it has ended.
func (r *remote) loss() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

// notRun is why the agent has not run it.
func (r *remote) notRun() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure == nil || errors.Is(r.failure, fault.ErrActorLost) {
		return r.lost
	}
	return r.failure
}

// where is the agent that runs it; nil before it was placed.
func (r *remote) where() *machine {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.machine
}

// startFailure is why an agent could not start a program.
type startFailure struct{ launchResult }

func (e *startFailure) Error() string { return e.Failure }

func (r *remote) hasStarted(s launchResult) error {
	switch {
	case s.Failure == "":
		return nil
	case s.Lasting:
		return &lastingError{&startFailure{s}}
	}
	return &startFailure{s}
}

// Process is the program itself, while an agent runs it, or may do so yet.
func (r *remote) Process() launch.Process {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.opened {
		return nil
	}
	return r
}

// do has the agent do something with the process.
func (r *remote) do(ctx context.Context, o processOrder) (processAnswer, error) {
	o.UUID = r.id.UUID
	a := r.where()
	if a == nil {
		return processAnswer{}, errors.New("it has no process")
	}
	answer, err := a.do(ctx, r.env, o)
	switch {
	case err != nil:
		return answer, err
	case answer.Code != uint32(codes.OK):
		return answer, status.Error(codes.Code(answer.Code), answer.Failure)
	case answer.Failure != "":
		return answer, errors.New(answer.Failure)
	}
	return answer, nil
}

// doPatience is how long an agent may take for what nobody can wait for.
const doPatience = time.Second

// doSoon is do within that time. An agent that is known not to answer is not asked: who wants something of many actors, as
// their numbers, would wait for each.
func (r *remote) doSoon(what string) (processAnswer, error) {
	if a := r.where(); a != nil {
		if silent, _ := r.env.machines.silent(a); silent {
			return processAnswer{}, errSilent
		}
	}
	ctx, stop := context.WithTimeout(r.ctx, doPatience)
	defer stop()
	return r.do(ctx, processOrder{Do: what})
}

// Listen has the agent make the way of the link there, and waits for the tunnel that leads on here.
func (r *remote) Listen(ctx context.Context, boot *wire.BootRequest, take func(link.Transport) (over <-chan struct{})) (err error) {
	if boot.Tree, err = r.relocated(ctx, boot.Tree); err != nil {
		return err
	}
	token, forget := r.env.machines.expect(r.where(), take)
	r.forget = forget
	answer, err := r.do(ctx, processOrder{Do: doListen, Token: token})
	if err != nil {
		return err
	}
	var there wire.BootRequest
	if err := proto.Unmarshal(answer.Boot, &there); err != nil {
		return err
	}
	boot.Broker, boot.Network, boot.Address, boot.Listener = there.Broker, there.Network, there.Address, there.Listener
	boot.Lease = int64(r.lease.Term())
	return nil
}

// Boot is passed on by the agent.
func (r *remote) Boot(ctx context.Context, boot *wire.BootRequest) (*wire.BootResponse, error) {
	b, err := proto.Marshal(boot)
	if err != nil {
		return nil, err
	}
	answer, err := r.do(ctx, processOrder{Do: doBoot, Boot: b})
	if err != nil {
		return nil, err
	}
	var hello wire.BootResponse
	return &hello, proto.Unmarshal(answer.Boot, &hello)
}

// Current asks the agent, which may be gone.
func (r *remote) Current() error {
	_, err := r.doSoon(doCurrent)
	return err
}

// Stop is passed on by the agent.
func (r *remote) Stop(ctx context.Context) error {
	_, err := r.do(ctx, processOrder{Do: doStop})
	return err
}

// Check is passed on by the agent, which also says how long the process has waited for a processor.
func (r *remote) Check(ctx context.Context) (healthpb.HealthCheckResponse_ServingStatus, error) {
	answer, err := r.do(ctx, processOrder{Do: doCheck})
	return healthpb.HealthCheckResponse_ServingStatus(answer.Status), err
}

// Release lets go of the contexts with the agent, and returns when no link can come any more.
func (r *remote) Release() {
	r.forget()
	r.cancel()
	r.lose("no agent has run it", true) // else it is known to have ended
	r.workers.Close()
}
