package dialog_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// A program is a tree of tasks over a chain of actors: each task is a context in
// the next actor, opened by the one above it.
type program struct {
	what     string // ends, waits, fails, panics, cancels
	late     bool   // it does that after its children have started
	sleeps   bool   // it hibernates where it would wait, and so does whoever opens it
	messages int    // that it sends up first
	children []*program
	id       int
	at       int // the actor that it runs in, in a tree
}

// The things that a task can do.
const (
	doesEnd    = "ends"
	doesWait   = "waits for its ctx" // only in programs in which something fails
	doesFail   = "fails"
	doesPanic  = "panics"
	doesCancel = "cancels its first child" // and ends
)

const depth = 3

func programs(level int) *rapid.Generator[*program] {
	return rapid.Custom(func(r *rapid.T) *program {
		p := &program{
			what: rapid.SampledFrom([]string{doesEnd, doesEnd, doesWait, doesFail, doesPanic, doesCancel}).Draw(r, "what"),
			late: rapid.Bool().Draw(r, "late"), sleeps: rapid.Bool().Draw(r, "sleeps"), messages: rapid.IntRange(0, dialog.DefaultMessages).Draw(r, "messages"), // M07: not more
		}
		if level > 0 {
			p.children = rapid.SliceOfN(programs(level-1), 0, 3).Draw(r, "children")
		}
		return p
	})
}

// number gives every task an id, and turns what could wait for ever into an end.
func (p *program) number(all *[]*program, failing bool) {
	p.id = len(*all)
	*all = append(*all, p)
	if p.what == doesWait && !failing || p.what == doesCancel && len(p.children) == 0 {
		p.what = doesEnd
	}
	for _, c := range p.children {
		c.number(all, failing)
	}
}

func (p *program) fails() bool { return p.what == doesFail || p.what == doesPanic }

// anyFails reports whether a failure is sure to be seen by p's opener: one of a
// task that nobody cancels.
func (p *program) anyFails() bool {
	if p.fails() {
		return true
	}
	for i, c := range p.children {
		if c.anyFails() && (p.what != doesCancel || i != 0) {
			return true
		}
	}
	return false
}

// programError is a task's own failure, known to both ends.
type programError struct {
	Task int `json:"task"`
}

func (e *programError) Error() string { return fmt.Sprintf("task %d failed", e.Task) }

func init() { fault.Type[programError]("dialog_test.program") }

// chain is actors in a row, each linked to the next.
type chain struct {
	all   []*program
	links []*pair
	reach func(from int, p *program) dialog.Target // leads from an actor to that of a task
}

// run is one task. at is the actor that it runs in.
func (c *chain) run(ctx context.Context, d *dialog.Dialog, at int) ([]byte, error) {
	id, err := strconv.Atoi(string(d.Args()))
	if err != nil {
		return nil, err
	}
	p := c.all[id]
	if err := d.Started(nil); err != nil {
		return nil, err
	}
	s, err := d.OpenStream(dialog.StreamOptions{})
	if err != nil {
		return nil, err
	}
	for range p.messages {
		if err := s.Send(ctx, []byte("m")); err != nil {
			return nil, err
		}
	}
	if !p.late && p.fails() {
		return nil, p.fail()
	}
	for i, child := range p.children {
		d.Go(func(ctx context.Context) error {
			return c.open(ctx, at, child, p.what == doesCancel && i == 0)
		})
	}
	switch {
	case p.fails():
		return nil, p.fail()
	case p.what == doesWait && p.sleeps:
		return p.sleep(ctx, d)
	case p.what == doesWait:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return []byte("done"), nil
}

// sleep hibernates until ctx has ended.
func (p *program) sleep(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, d.Hibernate(p.sleep)
}

func (p *program) fail() error {
	if p.what == doesPanic {
		panic(fmt.Sprintf("task %d", p.id))
	}
	return &programError{p.id}
}

// open runs a child, for the actor at, and receives all that it sends.
func (c *chain) open(ctx context.Context, at int, p *program, cancels bool) error {
	r := dialog.Request{Endpoint: "task", Kind: dialog.Context, Args: []byte(strconv.Itoa(p.id))}
	got := 0
	begin := func(ctx context.Context, d *dialog.Dialog) (s *dialog.Stream, err error) {
		if s, err = d.OpenStream(dialog.StreamOptions{}); err == nil && cancels {
			err = d.Cancel(ctx, "not needed")
			return nil, err
		}
		return s, err
	}
	received := func(err error) error {
		if err = ignoreEOF(err); err == nil && got != p.messages {
			return fmt.Errorf("M02: %d messages of %d", got, p.messages)
		}
		return err
	}
	if !p.sleeps {
		return openRequest(ctx, c.reach(at, p), &r, func(ctx context.Context, d *dialog.Dialog) error {
			s, err := begin(ctx, d)
			if s == nil {
				return err
			}
			for err == nil {
				if _, err = s.Recv(ctx); err == nil {
					got++
				}
			}
			return received(err)
		})
	}
	return openRequestIn(ctx, c.reach(at, p), &r, func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
		s, err := begin(ctx, d)
		if s == nil {
			return nil, err
		}
		var next dialog.Task
		next = func(ctx context.Context, d *dialog.Dialog) ([]byte, error) { // one message at a time
			if _, err := s.Recv(ctx); err != nil {
				return nil, received(err)
			}
			got++
			return nil, d.Hibernate(next)
		}
		return nil, d.Hibernate(next)
	})
}

// What a random program of tasks over a chain of actors comes to is what a simple
// model says: without a failure all ends well; with one, the top gets a failure of a
// task that failed, from the actor in which it arose, and every task has ended.
func TestRandomProgramsFailAsTheModelSays(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		top := programs(depth-1).Draw(r, "program")
		c := &chain{}
		c.reach = func(from int, _ *program) dialog.Target { return c.links[from].parent.To(nil) }
		top.number(&c.all, top.anyFails())
		names := make([]actor.ID, depth+1)
		for i := range names {
			names[i] = actor.NewID(fmt.Sprintf("actor%d", i))
		}
		for i := range depth {
			c.links = append(c.links, newPairOf(names[i], names[i+1], func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
				return c.run(ctx, d, i+1)
			}))
		}
		err := c.open(context.Background(), 0, top, false)
		for _, p := range c.links {
			for _, table := range []*dialog.Table{p.parent, p.child} {
				table.Wait()
				if n := table.Len(); n != 0 {
					r.Errorf("C15: %d dialogs are left at %s", n, table.Self())
				}
			}
			p.close()
		}
		c.judge(r, top, err, names[0].Name)
	})
}

// judge compares the end of a program with the model. No failure arises in the actor that is called top, if any is.
func (c *chain) judge(r *rapid.T, p *program, err error, top string) {
	if !p.anyFails() {
		if err != nil && !c.cancelledFailure(p, err) {
			r.Errorf("nothing fails, and the top got %v", err)
		}
		return
	}
	remote, ok := errors.AsType[*fault.RemoteError](err)
	failed, typed := errors.AsType[*programError](err)
	_, panicked := errors.AsType[*fault.PanicError](err)
	switch {
	case !ok || fault.IsCancel(err):
		r.Errorf("the top got %v", err)
	case typed && !c.all[failed.Task].fails(), !typed && !panicked:
		r.Errorf("the top got %v, which is not a task's failure", err)
	case remote.Origin.Name == top:
		r.Errorf("E04: it arose in the top itself: %+v", err)
	}
}

// cancelledFailure reports whether err is the failure of a task that was cancelled:
// it may have failed before the cancel came.
func (c *chain) cancelledFailure(p *program, _ error) bool {
	for i, child := range p.children {
		if p.what == doesCancel && i == 0 && child.anyFails() || c.cancelledFailure(child, nil) {
			return true
		}
	}
	return false
}

// wide is a cancel bound for tests in real time.
const wide = time.Minute

// newPairOf links two actors outside any test's life.
func newPairOf(parent, child actor.ID, run dialog.Task) *pair {
	p := &pair{parentWarns: &warnings{}, childWarns: &warnings{}}
	s := setup{names: [2]actor.ID{parent, child}, patience: wide}
	s.link(p, tasks{"task": run})
	return p
}

// close ends the link in order.
func (p *pair) close() {
	p.child.Link().Close(nil)
	var group task.Group
	for _, table := range []*dialog.Table{p.child, p.parent} {
		group.Go(func() {
			<-table.Link().Done()
			table.Lose(errTestOver)
			table.Close()
		})
	}
	group.Close()
}
