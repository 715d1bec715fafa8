package host

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/lab/pipe"
	"github.com/seed-2ba35074/trellis/internal/launch"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/route"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// What two may do at the same moment, in the order in which it once went wrong.

// unborn is a program that has no process.
type unborn struct{ launch.Program }

func (unborn) Process() launch.Process    { return nil }
func (unborn) Stop(context.Context) error { return errors.New("there is none") }
func (unborn) Release()                   {}

// replaced is the owner of an incarnation whose spare is not used.
type replaced struct {
	owner
	i      *incarnation
	before launch.Program
	t      *testing.T
}

func (r *replaced) discarded(_ error, replace func()) {
	if r.i.program != r.before {
		r.t.Error("V01: the process of an actor is another one before its owner knows, whose lock others hold that look at it")
	}
	if replace(); r.i.program == r.before || r.i.warm {
		r.t.Error("V01: the spare is still used")
	}
}

// V01: a spare is replaced in the change in which that is told: others look at the process of an actor at any time.
func TestV01_ASpareIsReplacedInOneChange(t *testing.T) {
	env := &environment{
		base: t.Context(), log: slog.New(slog.DiscardHandler), lines: slog.New(slog.DiscardHandler), registry: directory.NewMemory("", nil), router: &route.Router{},
		launch: func(launch.Order) launch.Program { return &unborn{} },
	}
	o := &replaced{t: t}
	o.i = newIncarnation(o, newExecution(env, Spec{Name: "a"}, actor.NewID("a")), true, nil, nil)
	o.before = o.i.program
	o.i.discard(t.Context(), errors.New("it is not fit"))
	o.i.release()
}

// respecified is a failure whose text takes its time: the tree is changed meanwhile.
type respecified struct{ change func() }

func (r *respecified) Error() string {
	r.change()
	return "it has failed"
}

// O04: what is told of an actor is of one moment, also while its settings are changed.
func TestO04_AnActorIsDescribedWhileItsSettingsChange(t *testing.T) {
	n := &Nursery{ctx: t.Context(), env: &environment{self: actor.NewID("host")}}
	c := &child{n: n, member: directory.NewMemory("", nil).Join("a", nil), spec: Spec{Name: "a", Command: []string{"/before"}}}
	c.history.failure = &respecified{func() {
		n.update(func() {
			c.respecify(Spec{Name: "a", Command: []string{"/after"}, GoPlugin: &config.GoPlugin{}, Health: config.Health{Off: true}}, nil)
		})
	}}
	if a := c.inspect(t.Context(), ""); a.Program.Path != "/before" || a.Foreign || a.Health == nil {
		t.Errorf("%+v, %+v", a, a.Program)
	}
}

// D22: a start that was refused, and is given up before another agent was asked, has no process that would be waited for; and one
// that is given up first asks nobody else.
func TestD22_RefusedAndGivenUp(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	begun := func() *remote {
		r := newRemote(&environment{base: t.Context(), machines: newMachines(nil)}, Spec{Name: "worker"}, actor.NewID("worker"), nil)
		r.opened = true
		return r
	}
	r := begun()
	if !r.again() || r.Process() != nil {
		t.Error("D22: nobody else is asked, or it has a process")
	}
	if err := r.Kill(over); err != nil {
		t.Errorf("D22: who kills it waits: %v", err)
	}
	r.Release()
	r = begun()
	if err := r.Kill(over); !errors.Is(err, context.Canceled) {
		t.Errorf("D22: %v", err)
	}
	if r.again() {
		t.Error("D22: another agent is asked for what was given up")
	}
	r.over(nil)
	<-r.Done()
	r.Release()
}

// brief is a program that says HELLO and goodbye before its boot is answered, and has ended then.
type brief struct {
	launch.Program
	take func(link.Transport) <-chan struct{}
	done chan struct{}
}

func (b *brief) Process() launch.Process { return over{done: b.done} }

func (b *brief) Boot(context.Context, *wire.BootRequest) (*wire.BootResponse, error) {
	here, there := pipe.New()
	ended := b.take(here)
	l := dialog.NewTable(link.New(there, link.Config{Self: actor.NewID("brief"), Dialled: true}), dialog.Config{Base: context.Background()})
	l.Link().Close(nil)
	<-ended
	l.Close()
	close(b.done)
	return &wire.BootResponse{}, nil
}

// over is a process that has ended well.
type over struct {
	launch.Process
	done chan struct{}
}

func (o over) Done() <-chan struct{}      { return o.done }
func (o over) Dead() <-chan struct{}      { return o.done }
func (o over) Exit() (process.Exit, bool) { return process.Exit{}, true }

// V10: an actor that was up and has ended in order since has not failed to start, whichever is seen first.
func TestV10_UpAndOver(t *testing.T) {
	for range 20 {
		b := &brief{done: make(chan struct{})}
		x := execution{env: &environment{base: t.Context(), self: actor.NewID("host"), log: slog.New(slog.DiscardHandler)}, spec: Spec{Name: "a"}, program: b}
		i := newIncarnation(&replaced{t: t}, x, false, directory.NewMemory("", nil).Join("a", nil), nil)
		b.take = i.take
		err := i.boot(t.Context(), &wire.BootRequest{})
		if err != nil || i.connection == nil {
			t.Errorf("V10: %v", err)
		}
		i.table.Close()
	}
}

// V07: a check of an actor's own endpoint fails, too, when the actor dies; it is not first told unhealthy then.
func TestV07_ACheckOverALinkThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := pipe.New()
		table := dialog.NewTable(link.New(here, link.Config{Self: actor.NewID("host")}), dialog.Config{Base: t.Context()})
		there.Abort()
		<-table.Link().Done()
		w := newWatch(Spec{}, func(reason string, _ error) { t.Errorf("V07: it is told unhealthy: %s", reason) }, nil)
		w.table = table
		dying := task.Start(func() {
			time.Sleep(deathBound)
			close(w.ending)
		})
		if !w.onChecked(checkResult{err: errors.New("the link is gone"), answers: true}, w.health.Failures) || len(w.found) > 0 {
			t.Error("V07: it is ended as one that is ill")
		}
		dying.Wait()
		table.Close()
	})
}

// D30, F02: who hurries is heard while the registry is asked for the tree again.
func TestD30_HurryWhileTheRegistryIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, hurry := fleet.NewMemory(), make(chan struct{})
		f := &Fleet{Registry: memory.Client(fleet.Settings{}), Tree: "x", Host: "a", OnRegistryLoss: config.KeepOnRegistryLoss}
		err := inRegistry(t.Context(), Options{Fleet: f, Hurry: hurry}, func(_ context.Context, o Options) error {
			memory.Cut("a:x", true)
			time.Sleep(time.Minute) // the membership is over, and is asked for again
			close(hurry)
			synctest.Wait()
			if !isClosed(o.Hurry) {
				t.Error("D30: the tree does not hurry")
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// F09: an actor that is scaled when it has just been removed, and with it what it needed, is not there any more.
func TestF09_ScaledWhenItWasRemoved(t *testing.T) {
	n := &Nursery{ctx: t.Context(), env: &environment{self: actor.NewID("host"), registry: directory.NewMemory("", nil)}, children: map[int]*child{}}
	stays := Spec{Name: "stays", Command: []string{"/program"}}
	removed := stays
	removed.Name, removed.DependsOn = "removed", map[string]config.Condition{"removed too": config.Healthy}
	n.groups = map[string]*group{"stays": {spec: stays}}
	if err := n.scale(t.Context(), &group{spec: removed}, 2, ""); err == nil || len(n.children) > 0 {
		t.Errorf("F09: %v, and %d processes are started", err, len(n.children))
	}
}
