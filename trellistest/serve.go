package trellistest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/life"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/recording"
	"github.com/seed-2ba35074/trellis/internal/self"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// patience is how long an actor may take to end when its test has, if nobody says otherwise: far
// longer than most that is right takes, also on a busy machine. In a bubble it costs nothing.
const patience = 10 * time.Second

// Messages that a plugin has borrowed, and may not read any more, lose their content at once: see
// [contract.Stream.Borrow].
func init() { wire.OverwriteFreed() }

// Actor is an actor inside the test's process, and a [contract.Portal] to it. It belongs to
// the test that it was started for and ends with it. All methods may be called at any time,
// from any goroutine.
//
// The life of the actor owns its end of the link, and another goroutine watches the other end,
// which is the parent's.
type Actor struct {
	reach
	Faults
	id, parent actor.ID
	grace      time.Duration
	life       *life.Life
	parents    *dialog.Table // the parent's end of the link
	watching   *task.Worker  // of that end
	over       chan struct{} // the actor has ended, its exit hooks included
	gone       chan struct{} // over is closed, or never will be
	hooks      *life.Hooks
	recorder   *recording.Recorder // nil: nobody records

	asking   task.Group  // of those that ask the actor to end
	died     atomic.Bool // the loss of its link is its death
	limiting *time.Timer // of an actor in a schedule

	mu     sync.Mutex
	failed []error // of hooks, and of asking
}

// reach keeps a field out of what an Actor exports; its methods are exported.
type reach = endpoint.Reach

// ID is the actor's identity, which sdk.Self gives to its handlers.
func (a *Actor) ID() actor.ID { return a.id }

// Done is closed when the actor has ended, its exit hooks included. One whose link is lost and
// that does not end is given up after a while, as its host would kill it; the test fails then.
func (a *Actor) Done() <-chan struct{} { return a.gone }

// Serve starts an actor that serves endpoints, for as long as t runs.
func Serve(t testing.TB, endpoints ...contract.Handler) *Actor {
	t.Helper()
	return Plugin{Endpoints: endpoints}.Serve(t)
}

// Serve starts an actor of this plugin, for as long as t runs. The test is its parent. When t
// ends, the actor is asked to end, as a host asks its plugins: handlers are told, and waited
// for, and the hooks of sdk.OnExit run that handlers have registered. t fails if it has left a
// context of the actor open, if a handler does not end, or if a goroutine is left that the
// actor's code has started.
func (p Plugin) Serve(t testing.TB) *Actor {
	t.Helper()
	s := scheduleOf(t)
	receiving := dialog.Receiving{Window: dialog.Window(p.Window)}
	if s != nil {
		p.CancelTimeout, receiving.ReadyTimeout = cmp.Or(p.CancelTimeout, scheduledTimeout), scheduledTimeout
	}
	a, err := p.start(receiving)
	if err != nil {
		t.Fatalf("trellistest: %v", err)
	}
	if s != nil {
		s.follow(a)
	}
	t.Cleanup(func() {
		t.Helper()
		for _, problem := range a.end() {
			t.Errorf("%s: %s", a.id.Name, problem)
		}
	})
	return a
}

// start boots the actor, and returns when both ends have greeted each other.
func (p Plugin) start(receiving dialog.Receiving) (*Actor, error) {
	p, err := p.alone()
	if err != nil {
		return nil, err
	}
	a := p.actor(actor.NewID("test"))
	offered, err := endpoint.Expose(a.parent, p.Parent...)
	if err != nil {
		return nil, fmt.Errorf("the parent's endpoints: %w", err)
	}
	here, err := a.boot(receiving, p.CancelTimeout)
	if err != nil {
		return nil, err
	}
	if p.Record != nil {
		a.recorder = recording.New(p.Record, a.id.Name, slog.Default())
	}
	a.parents = dialog.NewTable(link.New(a.recorder.Tap(here, a.id), link.Config{Self: a.parent}), dialog.Config{
		Accept: offered.Accept, Receiving: receiving, CancelTimeout: p.CancelTimeout,
		Base: life.WithReceiving(self.With(context.Background(), a.parent, nil), receiving),
	})
	a.reach = endpoint.To(a.parents)
	a.watching = task.Start(a.watchLink)
	<-a.parents.Link().Greeted()
	<-a.life.Table().Link().Greeted()
	return a, nil
}

// actor is an actor that has not been booted.
func (p Plugin) actor(parent actor.ID) *Actor {
	a := &Actor{
		id: actor.NewID(cmp.Or(p.Name, "actor")), parent: parent, grace: cmp.Or(p.Grace, patience),
		Faults: Faults{newConnection()}, over: make(chan struct{}), gone: make(chan struct{}), hooks: new(life.Hooks),
	}
	a.id.PID = os.Getpid()
	a.life = life.New(life.Config{Endpoints: p.Endpoints, PID: a.id.PID, Exit: a.exit})
	return a
}

// boot boots the actor, and gives the parent's end of its link.
func (a *Actor) boot(receiving dialog.Receiving, cancelTimeout time.Duration) (parents link.Transport, err error) {
	here, there := a.connection.ends()
	own(a.id, a.hooks)
	as(a.id, func(ctx context.Context) {
		request := &wire.BootRequest{Self: wire.FromID(a.id), Parent: wire.FromID(a.parent), Broker: 1, CancelTimeout: int64(cancelTimeout)}
		life.TellReceiving(request, receiving)
		_, err = a.life.Boot(ctx, request, func(context.Context) (link.Transport, error) { return there, nil })
	})
	if err != nil {
		disown(a.id)
	}
	return here, err
}

// exit is the end of the actor's life: its hooks run as a part of the actor.
func (a *Actor) exit(error) {
	a.hooks.Run(func(err error) { a.fail(fmt.Errorf("an exit hook has failed: %w", err)) })
	close(a.over)
}

// fail makes the test fail when it ends.
func (a *Actor) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = append(a.failed, err)
}

// die makes the actor's callers see that it has died.
func (a *Actor) die() {
	a.died.Store(true)
	a.Cut()
}

// watchLink makes callers see that the actor is gone.
func (a *Actor) watchLink() {
	<-a.parents.Link().Done()
	a.parents.Lose(a.loss())
	within(a.over, a.grace)
	close(a.gone)
}

// loss is how the actor was lost whose link has ended.
func (a *Actor) loss() error {
	l := a.parents.Link()
	_, reason := l.Farewell()
	switch err := l.Err(); {
	case err != nil && a.died.Load():
		return &fault.ActorDied{ID: a.id, ExitCode: -1}
	case err != nil:
		return &fault.LinkLost{Peer: a.id, Reason: err.Error()}
	case reason != nil:
		return reason
	}
	return fault.ErrActorClosing
}

// end ends the actor, and says what is wrong with how it did.
func (a *Actor) end() (problems []string) {
	a.mend()
	if a.limiting != nil {
		a.limiting.Stop()
	}
	if inBubble() {
		synctest.Wait() // what can end by itself has ended
	}
	if open := running(a.parents, false); len(open) > 0 {
		problems = append(problems, fmt.Sprintf("contexts are open when the test ends: %s; wait for them, or end the ctx that they have", strings.Join(open, ", ")))
	}
	a.asking.Go(a.ask)
	ended := within(a.over, a.grace)
	if !ended {
		problems = append(problems, a.stuck())
	}
	a.connection.change(a.connection.severed)
	a.asking.Close()
	a.watching.Wait()
	if !within(task.Start(a.parents.Close).Done(), a.grace) {
		problems = append(problems, fmt.Sprintf("handlers of the parent have not ended %v after they were told to: %s", a.grace, strings.Join(running(a.parents, true), ", ")))
	}
	if a.recorder != nil {
		a.recorder.Close()
	}
	return append(problems, a.left(ended)...)
}

// ask asks the actor to end, as a host does. That fails if the link is lost, and then the actor
// ends by itself.
func (a *Actor) ask() {
	args, err := cbor.Marshal(wire.CancelRequest{Canceller: a.parent, Reason: "its test has ended", Grace: a.grace})
	if err == nil {
		_, err = a.parents.CallRuntime(context.Background(), wire.CancelActor, args)
	}
	if err != nil && !errors.Is(err, fault.ErrActorLost) && !errors.Is(err, fault.ErrActorClosing) {
		a.fail(fmt.Errorf("it could not be asked to end: %w", err))
	}
}

// within reports whether c is closed in time.
func within(c <-chan struct{}, bound time.Duration) bool {
	select {
	case <-c:
		return true
	case <-time.After(bound):
		return false
	}
}

// stuck says what keeps an actor from its end.
func (a *Actor) stuck() string {
	what := "an exit hook or what it hosts has"
	if handlers := running(a.life.Table(), true); len(handlers) > 0 {
		what = "handlers that do not look at their ctx have: " + strings.Join(handlers, ", ")
	}
	all := goroutinesOf(a.id)
	if authors := slices.DeleteFunc(slices.Clone(all), goroutines.ours); len(authors) > 0 {
		all = authors
	}
	return fmt.Sprintf("it has not ended %v after it was told to; %s not\n%s", a.grace, what, stacks(all))
}

// running are the endpoints of the dialogs of an end of a link that have not ended: of all, or of those that its peer
// has opened.
func running(t *dialog.Table, callees bool) (endpoints []string) {
	open, _ := t.List(math.MaxInt)
	for _, d := range open {
		if d.Role == dialog.RoleCallee || d.Role == dialog.RoleOpener && !callees {
			endpoints = append(endpoints, d.Endpoint)
		}
	}
	slices.Sort(endpoints)
	return endpoints
}

// left says what is wrong behind the actor's end: goroutines that have outlived it, and what has
// failed in its hooks.
func (a *Actor) left(ended bool) (problems []string) {
	if ended {
		disown(a.id)
		if left := leftOf(a.id); len(left) > 0 {
			problems = append(problems, "goroutines that its code has started are left when it has ended; "+
				"start them with the context's Go, or end them in a hook of sdk.OnExit:\n"+stacks(left))
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, err := range a.failed {
		problems = append(problems, err.Error())
	}
	return problems
}

func stacks(all []goroutines) string {
	var b strings.Builder
	for _, g := range all {
		fmt.Fprintln(&b, g)
	}
	return b.String()
}
