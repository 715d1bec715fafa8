package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/inspect"
	"github.com/seed-2ba35074/trellis/internal/launch"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// history is what a child keeps of what has happened to it, for people who ask. Nursery.mu guards it.
type history struct {
	// last is the event that has told its present state.
	last directory.Event
	// failure is what the last process has failed with that has, and when.
	failure  error
	failedAt time.Time
	// nextAt is when its pause is over, or was.
	nextAt time.Time
	// check is what the last health check of the present process has found.
	check inspect.Health
}

// inspect is what is known of the child, and what its process says, for which it waits for inspect.Patience at most. Under
// the lock only what others change is copied: the story of a failure asks authors' errors, the sum of a program
// reads a file, and the process may hang.
func (c *child) inspect(ctx context.Context, do string) *inspect.Actor {
	var id actor.ID
	var h history
	var i *incarnation
	var spec Spec
	var program launch.Program
	up := false
	a := &inspect.Actor{Path: c.member.Path(), Joined: c.guest != nil, Contexts: []dialog.Info{}}
	c.n.look(func() {
		id, h, i, spec = c.self, c.history, c.current, c.spec
		if i != nil {
			program, up = i.program, i == c.lastUp && c.hasProcess()
		}
		a.State, a.Epoch = c.state, c.epoch
		if up {
			a.Up = c.upAt
		}
		a.Restarts = c.budget(time.Now())
	})
	a.Name, a.UUID, a.PID, a.Since, a.Reason = id.Name, id.UUID, id.PID, h.last.Time, cmp.Or(waits(program, a.State), h.last.Reason)
	if h.failure != nil {
		story := fmt.Sprintf("%+v", fault.Unpack(fault.Pack(h.failure, c.n.env.self)))
		a.Failure = &inspect.Failure{Time: h.failedAt, Story: inspect.Lines(story)}
	}
	if !spec.Health.Off {
		a.Health = &h.check
	}
	a.Host, a.Foreign = h.last.Host, spec.GoPlugin != nil
	if c.guest == nil {
		a.Program = programOf(ctx, spec, do)
	}
	// It waits for what it needs, or was never started.
	if i == nil {
		a.Silent = "it has no process"
		return a
	}
	if up && c.guest == nil && a.Program.Note == "" {
		if err := program.Current(); err != nil {
			a.Program.SHA256, a.Program.Note = "", err.Error()
		}
	}
	i.inspect(ctx, do, a, program.Process(), up)
	return a
}

// waits is why a program that is being started is not; "" if it does not wait for anybody.
func waits(p launch.Program, s directory.State) string {
	if r, is := p.(*remote); is && s == directory.Starting {
		return r.waitsFor("it waits for an agent: ")
	}
	return ""
}

// inspect adds what is known of the process. One that is not up has a pid and a state in the system at most. The
// question goes over the link, as control ahead of all data, so that a stream that nobody reads does not keep it back.
func (i *incarnation) inspect(ctx context.Context, do string, a *inspect.Actor, proc launch.Process, up bool) {
	if proc != nil && !isClosed(proc.Dead()) {
		v := proc.Vitals()
		a.System, a.Limits = v.State, uses(v, i.spec.Limits)
	}
	switch {
	case !up:
		a.Silent = "its process is not up, and cannot be asked"
		return
	case i.foreign():
		a.Silent = "it is a foreign program, and cannot be asked"
		return
	}
	a.Contexts, a.More = i.table.List(inspect.MostContexts)
	for _, e := range i.endpoints {
		told := inspect.Endpoint{Name: e.Name, Kind: dialog.KindName(e.Kind), Callers: e.Callers}
		if do == wire.OrderDescribe {
			told.Shape = e.Shape
		}
		a.Endpoints = append(a.Endpoints, told)
	}
	asking, cancel := context.WithTimeout(ctx, inspect.Patience)
	defer cancel()
	var answer []byte
	args, err := inspect.Encode(wire.OrderRequest{Do: do})
	if err == nil {
		answer, err = i.table.AskRuntime(asking, wire.Inspect, args)
	}
	if err == nil {
		a.Process, err = inspect.DecodeProcess(answer)
	}
	// The end of ctx is that of whoever asks, who may have had less time than the process has: that says nothing about it.
	switch a.Hangs = err != nil && asking.Err() != nil && ctx.Err() == nil; {
	case a.Hangs:
		a.Silent = fmt.Sprintf("it has not answered within %v", inspect.Patience)
	case err != nil:
		a.Process, a.Silent = nil, "it cannot be asked: "+fault.Line(err)
	}
}

// budget is what restarts the child has left. It is called under the lock.
//
// Two limits count: the restarts of all children within the window, and those of this one without a stable run in between.
// Whichever leaves less is told. The table drops old restarts only when it decides on another one, so
// that they are counted here as they are now.
func (c *child) budget(now time.Time) *inspect.Restarts {
	if c.kind == config.Temporary {
		return nil
	}
	s := &c.n.plan
	within := 0
	for _, r := range s.restarts {
		if now.Sub(r.at) <= time.Duration(s.Window) {
			within++
		}
	}
	r := &inspect.Restarts{Kind: string(c.kind), Max: s.MaxRestarts, Left: max(0, s.MaxRestarts-max(within, c.unstable)), Window: time.Duration(s.Window)}
	if c.paused {
		r.Next = c.history.nextAt
	}
	return r
}

// programOf is what a spec executes, with its sum in a description: of a dump, which may be of many actors, it would be the
// slowest part.
func programOf(ctx context.Context, spec Spec, do string) *inspect.Program {
	p := &inspect.Program{Path: spec.Command[0], Arguments: len(spec.Command) - 1, Dir: spec.Dir, Env: slices.Sorted(maps.Keys(spec.Env))}
	if spec.On != nil {
		p.SHA256 = spec.SHA256 // its file is on another machine
		return p
	}
	path, err := lookPath(p.Path)
	if err == nil {
		p.Path = path
	}
	if err == nil && do == wire.OrderDescribe {
		p.SHA256, err = process.Sum(ctx, path)
	}
	if err != nil {
		p.Note = err.Error()
	}
	return p
}

// uses are what of its limits a process uses, and of what has none only what people look for. What the system does not
// tell, such as how large its largest file is, is left out unless there is a limit.
func uses(v process.Vitals, l config.Limits) []inspect.Limit {
	all := []inspect.Limit{
		{Name: inspect.Memory, Used: v.Memory, Max: int64(l.Memory)},
		{Name: inspect.CPU, Used: int64(v.CPU), Max: int64(l.CPU)},
		{Name: inspect.OpenFiles, Used: int64(v.Descriptors), Max: int64(l.OpenFiles)},
		{Name: inspect.Processes, Used: int64(v.Processes), Max: int64(l.Processes)},
		{Name: inspect.FileSize, Max: int64(l.FileSize)},
	}
	return slices.DeleteFunc(all, func(l inspect.Limit) bool { return l.Used == 0 && l.Max == 0 })
}

// inspect is what this process knows of itself: the host at the root of a tree has nobody above it that would. Of a plugin that
// hosts actors, this is what it tells those who ask it for itself.
func (e *environment) inspect(do string) *inspect.Actor {
	a := &inspect.Actor{
		Path: e.registry.Path(), Name: e.self.Name, UUID: e.self.UUID, PID: e.self.PID, State: directory.Ready, Epoch: 1,
		Contexts: []dialog.Info{}, Process: inspect.Self(do, e.router.Up),
	}
	v := process.VitalsOf(os.Getpid())
	a.System, a.Limits = v.State, uses(v, config.Limits{})
	return a
}

// dumps writes a dump to each writer that comes, one after the other, until all children are gone. Then it waits for a
// moment for the last one, as for a log: what a writer does is its author's.
//
// It goes on while the nursery ends, and until then its ctx does: what keeps a tree from its end is what a dump is most
// often wanted for. A writer that is never closed keeps the next ones waiting, and nobody else.
func (n *Nursery) dumps(to <-chan io.WriteCloser) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(n.ctx)) // the end of the nursery is when it is needed most
	tree := inspect.Tree{Registry: n.env.registry, Records: n.env.records, Ask: n.order}
	for {
		select {
		case w := <-to:
			writing := task.Start(func() {
				if err := errors.Join(tree.Dump(ctx, w, ""), w.Close()); err != nil {
					n.env.log.Warn("a dump could not be written", "error", err)
				}
			})
			select {
			case <-writing.Done():
				continue
			case <-n.idle:
				defer closedWithin(writing.Done(), lastLogs)
			}
		case <-n.idle:
		}
		cancel()
		return
	}
}
