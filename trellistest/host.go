package trellistest

import (
	"context"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
	"github.com/seed-2ba35074/trellis/internal/launch"
	"github.com/seed-2ba35074/trellis/internal/logs"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// Stage is how far the start of an actor has come. A failure at a stage is what host.StartError
// says of it, with one exception: to a host, the link is a part of the boot.
type Stage string

// The stages, in their order.
const (
	StageProgram   Stage = "program"   // there is no process yet
	StageHandshake Stage = "handshake" // there is one
	StageBoot      Stage = "boot"      // it has been told who it is
	StageLink      Stage = "link"      // it is about to open its link; next it is ready
)

// Slow makes a [Plugin.Starting] that takes d at one stage of each start.
func Slow(at Stage, d time.Duration) func(ctx context.Context, stage Stage) error {
	return func(ctx context.Context, stage Stage) error {
		if stage != at {
			return nil
		}
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Programs are plugins that stand for the programs of hosts: where a spec names a program,
// its actor runs inside the process of the test. All else of the host is real. It belongs to
// the test that it was made for. All methods may be called from any goroutine, but those that
// fail the test only from the test's own.
type Programs struct {
	t       testing.TB
	plugins map[string]*Plugin
	ctx     context.Context
	events  follower
	look    chan struct{} // cap 1: full while somebody settles

	mu        sync.Mutex // guards the rest
	starts    []*Process // all that hosts have asked for, in this order
	processes int        // those of them that were executed
}

// NewPrograms makes plugins the programs of all hosts below [Programs.Context]. The Name of
// each is that of its program: the last element of a command's or a package's path.
func NewPrograms(t testing.TB, plugins ...Plugin) *Programs {
	t.Helper()
	p := &Programs{t: t, plugins: map[string]*Plugin{}, look: make(chan struct{}, 1)}
	for _, plugin := range plugins {
		if plugin.Name == "" || p.plugins[plugin.Name] != nil {
			t.Fatalf("trellistest: expected plugins with the names of different programs, got %q; set Plugin.Name", plugin.Name)
		}
		p.plugins[plugin.Name] = &plugin
	}
	p.ctx = host.WithEvents(launch.With(t.Context(), p.launcher(nil)))
	p.events.begin(p.ctx)
	t.Cleanup(func() {
		t.Helper()
		p.end()
	})
	return p
}

// Context is the ctx for hosts whose programs these are: for host.OpenNursery, host.OpenTree,
// host.Build, or a function of your own that calls them. Give its nurseries to end before the
// test does, as everywhere.
func (p *Programs) Context() context.Context { return p.ctx }

// Process is the present process of an actor, or its last one; of replicas, of the one that
// was started last. A spare is only meant if there is nothing else. Without any, the test fails.
func (p *Programs) Process(actor string) *Process {
	p.t.Helper()
	all := p.Processes(actor)
	if len(all) == 0 {
		p.t.Fatalf("trellistest: no process of an actor %q was ever started", actor)
	}
	for _, one := range slices.Backward(all) {
		if one.isBooted() {
			return one
		}
	}
	return all[len(all)-1]
}

// Processes are all processes of an actor so far, in the order of their starts, its spares
// included.
func (p *Programs) Processes(actor string) (all []*Process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.starts {
		if one.order.ID.Name == actor && (program{one}).Process() != nil {
			all = append(all, one)
		}
	}
	return all
}

// launcher makes the processes of a host, which is an actor in a process itself, or nil for
// the root.
func (p *Programs) launcher(parent *Process) launch.Launcher {
	return func(o launch.Order) launch.Program {
		c := newConnection()
		one := &Process{
			programs: p, plugin: p.named(o.Command[0]), order: o, parent: parent, id: o.ID, Faults: Faults{c},
			log: logs.NewQueue(mostLines, o.Log, func(n int) { o.Log(process.Line{Dropped: n}) }),
		}
		one.outer, one.inner = c.ends()
		one.alive, one.die = context.WithCancel(context.Background())
		one.exit.Code = -1
		p.mu.Lock()
		defer p.mu.Unlock()
		p.starts = append(p.starts, one)
		return program{one}
	}
}

// settle returns when what comes at this very moment of a bubble has come. Only one goroutine
// of a bubble may wait for that. The others wait for their turn in a channel, since a bubble
// does not settle while one of its goroutines waits for a lock.
func (p *Programs) settle() {
	if !inBubble() {
		return
	}
	p.look <- struct{}{}
	defer func() { <-p.look }()
	synctest.Wait()
}

// named is the plugin that stands for a program; nil if there is none.
func (p *Programs) named(program string) *Plugin {
	if exact := p.plugins[program]; exact != nil {
		return exact
	}
	return p.plugins[filepath.Base(program)]
}

func (p *Programs) names() string {
	if len(p.plugins) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(p.plugins)), ", ")
}

// lastPID is the highest pid that Linux can give. Those of processes that are none lie above it,
// so that a signal that the code under test sends to one of them meets nobody.
const lastPID = 1 << 22

// pid is that of the next process.
func (p *Programs) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.processes++
	return lastPID + p.processes
}

// mend makes all processes hear what they are asked.
func (p *Programs) mend() {
	p.mu.Lock()
	all := slices.Clone(p.starts)
	p.mu.Unlock()
	for _, one := range all {
		one.mend()
	}
}

// end waits for the code of all processes. Their hosts have ended. What a process that ended
// well has left running is its author's mistake; the code of one that was killed had no chance
// to end it.
func (p *Programs) end() {
	p.t.Helper()
	p.events.end()
	p.mend()
	for _, one := range p.starts {
		if !within(task.Start(one.wait).Done(), patience) {
			p.t.Errorf("%s: it is dead, and its code goes on; a handler that ignores its ctx can wait for ProcessOf(ctx).Dead()\n%s",
				one.ID(), stacks(goroutinesOf(one.order.ID)))
			continue
		}
		disown(one.order.ID)
	}
	alive := allGoroutines()
	for _, one := range p.starts {
		bears := func(g goroutines) bool { return strings.Contains(g.labels, one.order.ID.UUID) }
		if exit, _ := (system{one}).Exit(); !exit.Success() || !slices.ContainsFunc(alive, bears) {
			continue
		}
		if left := leftOf(one.order.ID); len(left) > 0 {
			p.t.Errorf("%s: goroutines that its code has started are left when it has ended:\n%s", one.ID(), stacks(left))
		}
	}
}

// Tree is a tree that runs inside a test: a real host, and the processes that stand for its
// programs. It ends when its test does, and the test fails if the tree has failed by then and
// the test has not asked for it with [Tree.Wait] or [Tree.End].
type Tree struct {
	*Programs
	tree  *host.Tree    // set before up
	up    chan struct{} // all actors are ready
	close chan struct{} // closed when it is to end
	once  sync.Once
	ended chan struct{}
	err   error       // set before ended
	asked atomic.Bool // the test knows err
}

// Host opens a tree, as the command and host.OpenTree do, whose programs are plugins. It
// returns when all actors are ready, or when the tree has failed: [Tree.Wait] says how. In a
// bubble of testing/synctest all time in the tree is virtual: pauses, health checks, bounds.
func Host(t testing.TB, tree config.Tree, plugins ...Plugin) *Tree {
	t.Helper()
	return NewPrograms(t, plugins...).Open(host.Options{Name: tree.Name, Supervision: tree.Supervision}, tree.Actors)
}

// File is the tree of a config file, for [Host]. The plugin that stands for "package: ." has the name of the file's
// folder.
func File(t testing.TB, path string) config.Tree {
	t.Helper()
	tree, err := read.Load(path, read.Options{})
	if err != nil {
		t.Fatal(err)
	}
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	spellOut(tree.Actors, folder)
	return *tree
}

// spellOut gives packages that are called "." or ".." their names.
func spellOut(actors []config.Actor, folder string) {
	for i := range actors {
		if a := &actors[i]; a.Package == "." || a.Package == ".." {
			a.Package = filepath.Join(folder, a.Package)
		}
		spellOut(actors[i].Actors, folder)
	}
}

// Open is Host with options of the host. Without a Log, records go to the output of the test.
func (p *Programs) Open(o host.Options, actors []host.Spec) *Tree {
	p.t.Helper()
	tr := &Tree{Programs: p, tree: &host.Tree{}, up: make(chan struct{}), close: make(chan struct{}), ended: make(chan struct{})}
	if o.Log == nil {
		log := &testLog{t: p.t}
		p.t.Cleanup(log.end)
		o.Log = slog.New(slog.NewTextHandler(log, nil))
	}
	ctx := context.WithoutCancel(p.ctx) // the test's own end comes through End
	actors, err := host.Build(ctx, ".", actors, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	task.Start(func() {
		defer close(tr.ended)
		tr.err = host.OpenTree(ctx, o, actors, tr.body)
	})
	p.t.Cleanup(func() {
		p.t.Helper()
		p.mend()
		known := tr.asked.Load()
		if err := tr.End(); err != nil && !known {
			p.t.Errorf("the tree has failed: %v; a test that expects that asks for it with Wait or End", err)
		}
	})
	select {
	case <-tr.up:
	case <-tr.ended:
	}
	return tr
}

// body runs while the tree is up.
func (tr *Tree) body(ctx context.Context, t *host.Tree) error {
	tr.tree = t
	close(tr.up)
	select {
	case <-tr.close:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Portal leads to an actor by name; to the first one if it has replicas. Without it, the test
// fails.
func (tr *Tree) Portal(actor string) *host.Portal {
	tr.t.Helper()
	portal, err := tr.tree.Portal(actor)
	if err != nil {
		tr.t.Fatal(err)
	}
	return portal
}

// End ends the tree in order, and returns what host.OpenTree has returned.
func (tr *Tree) End() error {
	tr.once.Do(func() { close(tr.close) })
	return tr.Wait()
}

// Wait returns when the tree has ended by itself, because an actor has failed or was restarted
// too often, with what host.OpenTree has returned.
func (tr *Tree) Wait() error {
	<-tr.ended
	tr.asked.Store(true)
	return tr.err
}

// noLog: what the runtime of a plugin logs would be printed by its process.
func noLog() *slog.Logger { return nil }
