package dialog_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// strange is an author's context: every method of it does something before it answers.
// A ctx that derives from it calls them when it is made, and again when it is cancelled.
type strange struct {
	context.Context

	look atomic.Pointer[func()]
}

// does has every method of the ctx do that from now on.
func (c *strange) does(look func()) { c.look.Store(&look) }

func (c *strange) answer() {
	if look := c.look.Load(); look != nil {
		(*look)()
	}
}

func (c *strange) Deadline() (time.Time, bool) { c.answer(); return c.Context.Deadline() }
func (c *strange) Done() <-chan struct{}       { c.answer(); return c.Context.Done() }
func (c *strange) Err() error                  { c.answer(); return c.Context.Err() }
func (c *strange) Value(key any) any           { c.answer(); return c.Context.Value(key) }

func (c *strange) AfterFunc(f func()) (stop func() bool) {
	c.answer()
	undo := context.AfterFunc(c.Context, f)
	return func() bool { c.answer(); return undo() }
}

// N19: the methods of a ctx that an author has made may not return. The dialogs that
// derive from it are told to end all the same, and nobody else waits.
func TestN19_AContextThatNeverAnswersHoldsUpNobody(t *testing.T) {
	type played struct {
		*pair
		ctx     *strange
		blocked chan struct{}
	}
	// block lets every method of the ctx stand still from now on.
	block := func(p *played) { p.ctx.does(func() { <-p.blocked }) }
	for name, end := range map[string]func(p *played, d *dialog.Dialog){
		"the callee fails": func(p *played, _ *dialog.Dialog) { p.child.CancelTasks(errBoom) },
		"Break":            func(_ *played, d *dialog.Dialog) { d.Break(errBoom) },
		"the link is lost": func(p *played, _ *dialog.Dialog) { p.parent.Link().Abort(errBoom) },
		"a task fails":     func(_ *played, d *dialog.Dialog) { d.Go(func(context.Context) error { return errBoom }) },
	} {
		t.Run(name, func(t *testing.T) {
			p := &played{blocked: make(chan struct{}), ctx: &strange{Context: t.Context()}}
			p.pair = newPair(t, tasks{
				"task": started(waits)["task"],
				"well": func(context.Context, *dialog.Dialog) ([]byte, error) { return []byte("well"), nil },
			}, patient)
			told := make(chan error, 1)
			scope := beside(func() error {
				return open(p.ctx, p.parent, func(ctx context.Context, d *dialog.Dialog) error {
					block(p)
					end(p, d)
					<-ctx.Done()
					_, err := d.Wait(t.Context())
					told <- err
					return ctx.Err()
				})
			})
			if err := <-told; err == nil {
				t.Error("Wait has no failure")
			}
			if name != "the link is lost" {
				if v, err := p.parent.Call(t.Context(), &dialog.Request{Endpoint: "well", Kind: dialog.Func}); err != nil || string(v) != "well" {
					t.Errorf("the call beside it: %q, %v", v, err)
				}
			}
			close(p.blocked)
			if err := scope.wait(); err == nil {
				t.Error("the scope has no failure")
			}
		})
	}
}

// The same for what a table's own tasks derive from, also those that hibernate.
func TestN19_ABaseThatNeverAnswersHoldsUpNobody(t *testing.T) {
	for name, task := range map[string]dialog.Task{
		"a task that waits": waits,
		"a task that hibernates": func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
			return nil, hibernate(d, context.Cause)
		},
	} {
		t.Run(name, func(t *testing.T) {
			blocked := make(chan struct{})
			base := &strange{Context: t.Context()}
			p := newPair(t, tasks{
				"task": started(task)["task"],
				"well": func(context.Context, *dialog.Dialog) ([]byte, error) { return []byte("well"), nil },
			}, patient, func(s *setup) { s.base = base })
			began := make(chan struct{})
			scope := beside(func() error {
				return open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
					base.does(func() { <-blocked })
					close(began)
					return d.Cancel(ctx, "enough")
				})
			})
			<-began
			p.child.Rebase(context.Background()) // the next ones can begin
			if v, err := p.parent.Call(t.Context(), &dialog.Request{Endpoint: "well", Kind: dialog.Func}); err != nil || string(v) != "well" {
				t.Errorf("the call beside it: %q, %v", v, err)
			}
			close(blocked)
			if err := scope.wait(); err != nil {
				t.Errorf("the scope: %v", err)
			}
		})
	}
}

// The end of a task that has hibernated is told to what it has left behind, though its actor's base does not
// answer.
func TestN19_ABaseThatNeverAnswersHidesNoEndOfATaskThatHasHibernated(t *testing.T) {
	blocked, left := make(chan struct{}), make(chan (<-chan struct{}), 1)
	base := &strange{Context: t.Context()}
	p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
		left <- ctx.Done()
		return nil, hibernate(d, func(context.Context) error {
			base.does(func() { <-blocked })
			return nil
		})
	}), patient, func(s *setup) { s.base = base })
	if err := open(t.Context(), p.parent, func(context.Context, *dialog.Dialog) error { return nil }); err != nil {
		t.Error(err)
	}
	<-<-left
	close(blocked)
}

// A ctx may look at the very context that is cancelled because of it.
func TestN19_AContextMayLookAtItsDialog(t *testing.T) {
	p := newPair(t, started(waits), patient)
	outer := &strange{Context: t.Context()}
	err := open(outer, p.parent, func(ctx context.Context, d *dialog.Dialog) error {
		outer.does(func() { d.Cancelled(); _ = d.Remote(); _, _ = d.OpenStream(dialog.StreamOptions{}) })
		p.child.CancelTasks(errBoom)
		<-ctx.Done()
		return ctx.Err()
	})
	if remote, ok := errors.AsType[*fault.RemoteError](err); !ok || remote.Message != errBoom.Error() {
		t.Errorf("the scope: %v", err)
	}
}
