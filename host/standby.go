package host

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// standby are the spares of those actors of a nursery whose specs are the same, replicas and
// one-shots included. The nursery owns it, from the first such actor until a while after the
// last one, or until it ends itself; its lock guards all fields. Each spare has a goroutine of the
// nursery's, which ends when the spare was taken or is reaped. A nil standby has no spares.
type standby struct {
	spares
	n       *Nursery
	spec    Spec
	backoff backoff        // after failures of spares
	running map[int]*spare // those that nobody has taken
}

// spare is a process that waits to become an actor's: executed, connected to, not booted. It has
// the identity that the actor will have in it, which is that of a process, and serves nobody but
// its host.
type spare struct {
	execution
	member directory.Membership // in the registry, until it is taken or gone
	since  time.Time            // when it was ready; zero before
	end    context.CancelCauseFunc
}

// standbyLinger is how long spares are kept at least when the last actor that may take them
// is over, and half of the most: if others have come and gone meanwhile, it begins once
// more.
const standbyLinger = time.Minute

// standbyDelay is how long a spare that is missing is not started: an actor has just come
// up, and whoever has waited for it calls it now.
const standbyDelay = 50 * time.Millisecond

// retired is why a spare ends that is well.
const retired = "nobody needs it any more"

// fromStandby is the reason in the event of a start that takes a spare.
const fromStandby = "from standby"

// standbyOf finds or makes what an actor of a spec takes its processes from. It is called under
// the lock.
func (n *Nursery) standbyOf(spec Spec) *standby {
	if spec.Standby == 0 {
		return nil
	}
	for _, b := range n.standbys {
		if !b.over && reflect.DeepEqual(b.spec, spec) {
			return b
		}
	}
	b := &standby{spares: spares{want: spec.Standby, most: n.plan.MaxRestarts}, n: n, spec: spec, backoff: newBackoff(spec.WithDefaults().Backoff), running: map[int]*spare{}}
	n.standbys = append(n.standbys, b)
	return b
}

// leaveAgent ends the spares on an agent; others are started elsewhere. It is called under the lock.
func (b *standby) leaveAgent(agent int) {
	for number, s := range b.running {
		if agentOf(&s.execution) == agent {
			b.step(func(t *spares) []spareAction { return t.dismiss(number) })
		}
	}
}

// endStandbys ends all spares, as the nursery ends. It is called under the lock.
func (n *Nursery) endStandbys() {
	for _, b := range n.standbys {
		b.carryOut(b.close())
	}
}

// step takes a step of the table and carries out what follows. It is called under the nursery's
// lock.
func (b *standby) step(step func(s *spares) []spareAction) {
	if b != nil {
		b.carryOut(step(&b.spares))
	}
}

func (b *standby) carryOut(actions []spareAction) {
	for _, a := range actions {
		switch a.kind {
		case spareStart:
			b.start(a.n)
		case spareEnd:
			b.running[a.n].end(nil)
		case sparePause:
			b.after(b.backoff.pause(a.n, chance()), (*spares).resume)
		case spareGiveUp:
			b.n.env.log.Error("spares are given up until an actor of theirs has come up again", "name", b.spec.Name, "failures", b.failures)
		case spareLinger:
			b.after(standbyLinger, (*spares).lingered)
		}
	}
}

// after takes a step when a while is over. It means nothing when the standby has ended.
func (b *standby) after(d time.Duration, step func(s *spares) []spareAction) {
	b.n.after(d, b.n.idle, func() {
		b.n.update(func() {
			b.step(step)
			b.forget()
		})
	})
}

// tell makes an event of a spare known, as [child.tell] does for an actor.
func (b *standby) tell(s *spare, e directory.Event) {
	e.Time, e.Actor = time.Now(), s.id
	s.member.Publish(e)
	b.n.told = append(b.n.told, e)
}

// start starts a spare, in a goroutine that owns it until it is taken. The nursery's end is also
// its own.
func (b *standby) start(number int) {
	ctx, end := context.WithCancelCause(b.n.ctx)
	s := &spare{execution: newExecution(b.n.env, b.spec, actor.NewID(b.spec.Name)), end: end}
	s.member = b.n.env.registry.Join(b.spec.Name, s.found)
	b.running[number] = s
	b.n.tasks.Go(func() {
		defer end(nil)
		closedWithin(ctx.Done(), standbyDelay)
		b.run(ctx, number, s)
	})
}

// run is the life of a spare until it is taken, or reaped. That it was taken is seen in running
// alone: its death, its end and its taking may come at once, and whoever has it after the next
// change of the table sees to it.
func (b *standby) run(ctx context.Context, number int, s *spare) {
	e, lasting := b.await(ctx, number, s)
	mine := false
	b.n.update(func() {
		if mine = b.running[number] == s; mine {
			stable := !s.since.IsZero() && time.Since(s.since) >= b.backoff.stable
			b.step(func(t *spares) []spareAction { return t.lost(number, stable, lasting) })
			delete(b.running, number)
		}
	})
	if !mine {
		return
	}
	if !s.since.IsZero() {
		s.retire(func(step directory.Event) {
			step.From, step.To = directory.Standby, directory.Standby
			b.n.update(func() { b.tell(s, step) })
		})
	}
	b.n.update(func() {
		b.tell(s, e)
		b.forget()
	})
}

// forget is the end of a standby whose spares are over. It is called under the lock.
func (b *standby) forget() {
	if b.over && len(b.running) == 0 {
		b.n.standbys = slices.DeleteFunc(b.n.standbys, func(other *standby) bool { return other == b })
	}
}

// await returns when a spare has not come up, has died, is to end, or was taken, with the event
// of its end.
func (b *standby) await(ctx context.Context, number int, s *spare) (e directory.Event, lasting bool) {
	// What comes after its execution is about the actor. It is asked whether it answers as it will be when it is
	// taken, since the first answer of a program takes three times as long as others.
	execute := func(ctx context.Context) (stage string, err error) {
		if stage, err := s.execute(ctx, func(actor.ID) {}); err != nil {
			return stage, err
		}
		return "connection", s.answers(ctx)
	}
	err := s.start(ctx, func(context.Context) {}, execute, s.release)
	switch {
	case err != nil && ctx.Err() != nil: // it is the cause of ctx, which is not asked for its text
		return directory.Event{To: directory.Gone, Cause: directory.Requested, Reason: retired}, false
	case err != nil:
		start, ok := errors.AsType[*StartError](err)
		return directory.Event{To: directory.Gone, Cause: directory.NotUp, Reason: fault.Line(err), Err: err}, ok && start.Lasting
	}
	proc := s.program.Process()
	memory := proc.Load().RSS // asks the system, and so not under the lock
	b.n.update(func() {
		s.since = time.Now()
		b.tell(s, directory.Event{To: directory.Standby, Memory: memory})
		b.step(func(t *spares) []spareAction { return t.ready(number) })
	})
	select {
	case <-proc.Dead():
		failure := s.causeOfExit()
		return directory.Event{From: directory.Standby, To: directory.Gone, Cause: directory.Crashed, Reason: failure.Error(), Err: failure}, false
	case <-ctx.Done():
		return directory.Event{From: directory.Standby, To: directory.Gone, Cause: directory.Requested, Reason: retired}, false
	}
}

// take gives the process of a spare to an actor that starts, which owns it from then on, and false
// if there is none. It is called under the lock.
func (b *standby) take() (x execution, ok bool) {
	if b == nil {
		return x, false
	}
	number := b.spares.take()
	s, ok := b.running[number]
	if !ok {
		return x, false
	}
	delete(b.running, number)
	b.tell(s, directory.Event{From: directory.Standby, To: directory.Gone, Reason: "it is an actor's process now"})
	s.end(nil) // its goroutine finds that it was taken
	return s.execution, true
}

// found says why nobody can call a spare.
func (s *spare) found(e directory.Entry) contract.Portal {
	return reach(func(context.Context) (dialog.Target, error) {
		return dialog.Target{}, fmt.Errorf("%w: %s is a spare", directory.ErrNotReachable, e.Path)
	})
}

// retire ends a spare by the steps of any teardown, since its program may have begun things that
// its exit hooks undo. Its host asks as go-plugin does: there is no link yet. One that is dead is
// only let go of.
func (s *spare) retire(note func(e directory.Event)) {
	proc := s.program.Process()
	l := s.newLadder(note)
	defer l.awaitTurn(proc.Dead(), nil)()
	ctx, cancel := context.WithCancel(context.Background())
	asking := task.Start(func() { _ = s.program.Stop(ctx) }) // the ladder goes on whatever it says
	why := l.wait(stepAsk, asking.Done(), proc.Done())
	l.escalate(proc, directory.Requested, next(stepAsk, why), why)
	cancel()
	asking.Wait()
	s.release()
}
