package dialog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

func TestP01_EmptyAndNilAreValues(t *testing.T) {
	values := map[string][]byte{"nil": nil, "empty": {}, "zero": {0}, "text": []byte("hello"), "large": bytes.Repeat([]byte{7}, 300<<10)}
	p := newPair(t, tasks{"task": func(_ context.Context, d *dialog.Dialog) ([]byte, error) { return values[string(d.Args())], nil }})
	for _, table := range []*dialog.Table{p.parent, p.child} {
		for name, want := range values {
			got, err := call(t.Context(), table, name)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: got %d bytes, %v; want %d bytes", name, len(got), err, len(want))
			}
		}
	}
}

func TestP04_CallNeedsNoStreamRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served := started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			stream(t, d)
			return waits(ctx, d)
		})
		served["echo"] = func(_ context.Context, d *dialog.Dialog) ([]byte, error) { return d.Args(), nil }
		p := newPair(t, served, func(s *setup) { s.window = dialog.Window{Messages: 1, Bytes: 1} })
		large := bytes.Repeat([]byte{1}, 1<<20)
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			s := stream(t, d)
			synctest.Wait() // the callee's end is open
			blocked := beside(func() error { return errors.Join(s.Send(ctx, large), s.Send(ctx, large)) })
			if blocked.over() {
				t.Error("the second message found room")
			}
			for range 200 {
				got, err := p.parent.Call(ctx, &dialog.Request{Endpoint: "echo", Kind: dialog.Func, Args: large[:4<<10]})
				if err != nil || len(got) != 4<<10 {
					t.Fatalf("a call beside a stream without room: %d bytes, %v", len(got), err)
				}
			}
			_ = d.Cancel(ctx, "enough")
			return errors.Join(blocked.wait(), ctx.Err())
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestP07_CallsInFlightEndWithTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		causes := make(chan error, 100)
		p := newPair(t, tasks{"task": func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return nil, ctx.Err()
		}})
		var calls []*attempt
		for range cap(causes) {
			calls = append(calls, beside(func() error { _, err := call(t.Context(), p.parent, ""); return err }))
		}
		synctest.Wait()
		began, died := time.Now(), &fault.ActorDied{ID: p.child.Self(), ExitCode: 3}
		p.parent.Lose(died)
		for _, c := range calls {
			same(t, "a call in flight", c.wait(), died)
		}
		_, err := call(t.Context(), p.parent, "")
		same(t, "a later call", err, died)
		p.parent.Link().Abort(died)
		for range calls {
			if _, ok := errors.AsType[*fault.LinkLost](<-causes); !ok {
				t.Error("a callee's ctx does not say that the link was lost")
			}
		}
		within(t, began, 0)
	})
}

func TestP09_CallersDeadlineAndMetadataReachTheCallee(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, tasks{"task": func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) != 3*time.Second {
				t.Errorf("the callee's deadline is in %v, want 3s", time.Until(deadline))
			}
			if got := d.Request().Metadata["tenant"]; got != "blue" {
				t.Errorf("metadata %q", got)
			}
			d.Go(func(ctx context.Context) error {
				if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) != 3*time.Second {
					t.Error("a task of the callee has not its deadline")
				}
				return nil
			})
			return waits(ctx, d)
		}})
		began := time.Now()
		ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
		defer stop()
		_, err := p.parent.Call(ctx, &dialog.Request{
			Endpoint: "task", Kind: dialog.Func, Metadata: map[string]string{"tenant": "blue"},
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		within(t, began, 3*time.Second)
	})
}

func panicsHere(string) { panic("the roof is on fire") }

func TestP10_PanicBecomesAnErrorAndTheActorLivesOn(t *testing.T) {
	p := newPair(t, tasks{"task": func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
		switch string(d.Args()) {
		case "handler":
			panicsHere("")
		case "task":
			d.Go(func(context.Context) error { panicsHere(""); return nil })
		case "runtime":
			var m map[string]int
			m["x"] = 1 //nolint:govet,staticcheck // the panic is the test
		}
		return []byte("alive"), nil
	}})
	for _, where := range []string{"handler", "task"} {
		_, err := call(t.Context(), p.parent, where)
		r := remote(t, err)
		if pe, ok := errors.AsType[*fault.PanicError](err); !ok || pe.Value != "the roof is on fire" {
			t.Errorf("%s: %v has not the panic's value", where, err)
		}
		if !strings.Contains(r.Stack, "panicsHere") || !r.Origin.Is(p.child.Self()) {
			t.Errorf("%s: from %v, with the stack %q", where, r.Origin, r.Stack)
		}
		if !strings.Contains(fmt.Sprintf("%+v", err), "panicsHere") {
			t.Errorf("%s: %%+v has no stack", where)
		}
	}
	if _, err := call(t.Context(), p.parent, "runtime"); remote(t, err).Stack == "" {
		t.Error("a runtime error without its stack")
	}
	if got, err := call(t.Context(), p.parent, "live"); string(got) != "alive" {
		t.Fatalf("after the panics: %q, %v", got, err)
	}
}

func TestCallReturnsWhenTheRemoteTaskHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cleaned := false
		p := newPair(t, tasks{"task": func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
			<-ctx.Done()
			time.Sleep(2 * time.Second)
			cleaned = true
			return nil, ctx.Err()
		}})
		ctx, cancel := context.WithCancelCause(t.Context())
		c := beside(func() error { _, err := call(ctx, p.parent, ""); return err })
		if c.over() {
			t.Fatal("the call is over before it was cancelled")
		}
		cancel(errBoom)
		same(t, "the call's error", c.wait(), errBoom)
		if !cleaned || c.took != 2*time.Second {
			t.Errorf("cleaned up: %t, after %v", cleaned, c.took)
		}
	})
}

// C12 and C22 for a call whose ctx ends: a value that was faster wins, and so does
// a failure of the callee's own.
func TestC22_CalleesOwnFailureBeatsTheEndOfTheCallersCtx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, tasks{"task": func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
			<-ctx.Done()
			return nil, errors.Join(errBoom, ctx.Err())
		}})
		ctx, cancel := context.WithCancel(t.Context())
		c := beside(func() error { _, err := call(ctx, p.parent, ""); return err })
		synctest.Wait()
		cancel()
		if err := c.wait(); !errors.Is(err, errBoom) {
			t.Errorf("got %v, want the callee's own failure", err)
		}
	})
}

func TestC20_ActorMayHaveAContextWithItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		self := actor.NewID("alone")
		served := started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			s := stream(t, d)
			for {
				m, err := s.Recv(ctx)
				if err == nil {
					err = s.Send(ctx, m)
				}
				if err != nil {
					return nil, err
				}
			}
		})
		served["fails"] = func(context.Context, *dialog.Dialog) ([]byte, error) { return nil, errBoom }
		p := newPair(t, served, func(s *setup) { s.names = [2]actor.ID{self, self} })
		var waited error
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			s := stream(t, d)
			if err := s.Send(ctx, []byte("ping")); err != nil {
				return err
			}
			if m, err := s.Recv(ctx); string(m) != "ping" {
				t.Errorf("echo: %q, %v", m, err)
			}
			if err := d.Cancel(ctx, "enough"); err != nil {
				t.Errorf("cancel: %v", err)
			}
			_, waited = d.Wait(ctx)
			return ctx.Err()
		})
		if err != nil {
			t.Errorf("C11: own cancel: %v", err)
		}
		if c, ok := fault.Cancelled(waited); !ok || !c.Canceller.Is(self) {
			t.Errorf("Wait: %v", waited)
		}
		_, err = p.parent.Call(t.Context(), &dialog.Request{Endpoint: "fails", Kind: dialog.Func})
		if r := remote(t, err); !errors.Is(err, errBoom) || !r.Origin.Is(self) || len(r.Relays) != 0 {
			t.Errorf("failure: %+v", err)
		}
	})
}

func TestC15_TenThousandContextsLeaveNothing(t *testing.T) {
	p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
		s, err := d.OpenStream(dialog.StreamOptions{})
		if err == nil { // else the cancel was there first
			_, err = s.Recv(ctx)
		}
		return nil, err
	}), patient)
	var group task.Group
	defer group.Close()
	for w := range 10 {
		group.Go(func() {
			for i := range 1000 {
				if err := oneContext(t.Context(), p, (w+i)%5); err != nil && !errors.Is(err, errBoom) && !errors.Is(err, context.Canceled) {
					t.Errorf("way %d: %v", (w+i)%5, err)
				}
			}
		})
	}
	group.Wait()
	for _, table := range []*dialog.Table{p.parent, p.child} {
		table.Wait()
		if table.Len() != 0 {
			t.Errorf("%s: %d dialogs", table.Self(), table.Len())
		}
	}
}

// oneContext ends a context in one of five ways.
func oneContext(ctx context.Context, p *pair, way int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return open(ctx, p.parent, func(inner context.Context, d *dialog.Dialog) error {
		s, err := d.OpenStream(dialog.StreamOptions{})
		if err != nil {
			return err
		}
		switch way {
		case 0:
			return s.Send(inner, []byte("x"))
		case 1:
			return d.Cancel(inner, "")
		case 2:
			return errBoom
		case 3:
			cancel()
			return inner.Err()
		}
		d.Go(func(ctx context.Context) error { _, err := s.Recv(ctx); return ignoreEOF(err) })
		return s.Send(inner, []byte("x"))
	})
}
