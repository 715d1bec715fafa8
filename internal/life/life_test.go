package life

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/lab/pipe"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/report"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// R2: N17: a host that is stopped cannot answer the goodbye of a plugin that ends by itself, and
// does not hold it: its exit hooks, and its end, come afterwards.
func TestR2_N17_AFrozenHostDoesNotHoldItsPlugin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, _ := pipe.New() // nobody reads or writes at its other end
		l := New(Config{})
		l.table = dialog.NewTable(link.New(here, link.Config{Self: actor.ID{Name: "here"}, Dialled: true}), dialog.Config{Base: t.Context()})
		l.closeLink(nil)
		if l.table.Link().Err() == nil {
			t.Error("the link has ended in order")
		}
		l.table.Lose(fault.ErrActorClosing)
		l.table.Close()
	})
}

// N17: a host that does not take the last events in time still hears the goodbye.
func TestN17_EventsThatNobodyTakesDoNotCostTheGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe.New()
		host := dialog.NewTable(link.New(a, link.Config{Self: actor.NewID("host")}), dialog.Config{
			Base: t.Context(), Runtime: func(*wire.Start) (dialog.Task, error) {
				return func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
					if err := d.Started(nil); err != nil {
						return nil, err
					}
					<-ctx.Done()
					return nil, context.Cause(ctx)
				}, nil
			},
		})
		l := New(Config{})
		l.table = dialog.NewTable(link.New(b, link.Config{Self: actor.NewID("here"), Dialled: true}), dialog.Config{Base: t.Context()})
		telling, end := context.WithCancel(t.Context())
		l.endTelling = end
		l.hosted = directory.NewMemory("", func() {
			l.telling.Go(func() { _ = report.Send(telling, l.table, l.hosted) }) // it is what does not end in time
		})
		l.hosted.Join("leaf", nil).Publish(directory.Event{Actor: actor.NewID("leaf"), To: directory.Gone})
		l.hosted.Finish()
		synctest.Wait()
		begun := time.Now()
		l.closeLink(nil)
		if err := l.table.Link().Err(); err != nil {
			t.Errorf("N17: the link has ended with %v; want in order", err)
		}
		if took := time.Since(begun); took > 2*lastEventsTimeout {
			t.Errorf("N17: the goodbye came after %v; want %v", took, lastEventsTimeout)
		}
		<-host.Link().Done()
		for _, table := range []*dialog.Table{l.table, host} {
			table.Lose(fault.ErrActorClosing)
			table.Close()
		}
		l.telling.Close()
	})
}

// Limits that the actor could not keep are refused at the boot, before anything is begun, and for
// good: another start would be refused as well.
func TestBootRefusesLimitsThatCannotBeKept(t *testing.T) {
	const want = "; expected 0, for the default, or more of each, and at most 4096 dialogs"
	for found, cfg := range map[string]Config{
		"MaxMessage -1, MaxDialogs 0 and MaxArguments 0":   {MaxMessage: -1},
		"MaxMessage 0, MaxDialogs -1 and MaxArguments 0":   {MaxDialogs: -1},
		"MaxMessage 0, MaxDialogs 4097 and MaxArguments 0": {MaxDialogs: link.DefaultMaxDialogs + 1},
		"MaxMessage 0, MaxDialogs 0 and MaxArguments -5":   {MaxArguments: -5},
	} {
		_, err := New(cfg).Boot(t.Context(), bootRequest(), func(context.Context) (link.Transport, error) {
			return nil, errors.New("the link was asked for")
		})
		if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), found+want) {
			t.Errorf("%s: %v", found, err)
		}
	}
}

func bootRequest() *wire.BootRequest {
	return &wire.BootRequest{Self: wire.FromID(actor.NewID("parser")), Parent: wire.FromID(actor.NewID("host")), Broker: 1}
}

// What a Config may leave out is left out.
func TestBootOfAConfigWithoutAnything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { bootAndEnd(t, func(*Life) {}) })
}

// bootAndEnd boots an actor, calls booted, and ends it.
func bootAndEnd(t *testing.T, booted func(l *Life)) {
	here, there := pipe.New()
	host := dialog.NewTable(link.New(here, link.Config{Self: actor.NewID("host")}), dialog.Config{Base: t.Context()})
	exited := false
	l := New(Config{Exit: func(error) { exited = true }})
	if _, err := l.Boot(t.Context(), bootRequest(), func(context.Context) (link.Transport, error) { return there, nil }); err != nil {
		t.Fatal(err)
	}
	booted(l)
	l.Stop(nil, nil)
	host.Link().Close(nil)
	l.Wait()
	<-host.Link().Done()
	host.Close()
	if !exited {
		t.Error("its end was not told")
	}
}

// D04: the parent may call as soon as the link is there, and what it calls may call back.
func TestD04_CalledWhileItBoots(t *testing.T) {
	here, there := pipe.New()
	answer := contract.Func[int, int]("answer")
	offered, err := endpoint.Expose(actor.NewID("host"), answer.Handle(func(_ context.Context, n int) (int, error) { return n + 1, nil }))
	if err != nil {
		t.Fatal(err)
	}
	host := dialog.NewTable(link.New(here, link.Config{Self: actor.NewID("host")}), dialog.Config{Base: t.Context(), Accept: offered.Accept})
	back := contract.Func[int, int]("back")
	l := New(Config{Exit: func(error) {}, Endpoints: []contract.Handler{
		back.Handle(func(ctx context.Context, n int) (int, error) { return answer.Call(ctx, Parent(ctx), n) }),
	}})
	called := task.Start(func() {
		if n, err := back.Call(t.Context(), endpoint.To(host), 1); n != 2 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
	if _, err := l.Boot(t.Context(), bootRequest(), func(context.Context) (link.Transport, error) { return there, nil }); err != nil {
		t.Fatal(err)
	}
	called.Wait()
	l.Stop(nil, nil)
	host.Link().Close(nil)
	l.Wait()
	<-host.Link().Done()
	host.Close()
}

// D04: an actor that is asked to end before it has its lease runs nothing, and says why.
func TestD04_StoppedBeforeItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := pipe.New()
		asked := make(chan struct{})
		host := dialog.NewTable(link.New(here, link.Config{Self: actor.NewID("host")}), dialog.Config{
			Base: t.Context(), Runtime: func(*wire.Start) (dialog.Task, error) {
				return func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
					close(asked)
					<-ctx.Done() // the actor is gone: no answer to its first request for a lease
					return nil, context.Cause(ctx)
				}, nil
			},
		})
		var failed error
		l := New(Config{Exit: func(err error) { failed = err }})
		want := errors.New("the host ends")
		stopped := task.Start(func() {
			<-asked
			l.Stop(want, nil)
		})
		r := bootRequest()
		r.Lease = int64(time.Second)
		if _, err := l.Boot(t.Context(), r, func(context.Context) (link.Transport, error) { return there, nil }); err != nil {
			t.Errorf("the boot: %v", err)
		}
		e := l.Run(time.Time{}, func(context.Context) error {
			t.Error("an actor without its lease has run something")
			return nil
		})
		if !errors.Is(e.Cause, want) || e.Body != nil {
			t.Errorf("it has ended with %+v; want the cause %v", e, want)
		}
		stopped.Wait()
		host.Link().Close(nil)
		l.Wait()
		<-host.Link().Done()
		host.Lose(fault.ErrActorClosing)
		host.Close()
		if failed != nil {
			t.Errorf("it has failed with %v", failed)
		}
	})
}

// A program that was told to end before its boot does not become an actor any more; and one that is
// an actor ends as one.
func TestForgoneOrBooted(t *testing.T) {
	l := New(Config{})
	if !l.Forgo() || l.Forgo() || !l.Self().Is(actor.ID{}) {
		t.Error("a program that was not booted could not be ended without its actor, once")
	}
	here, _ := pipe.New()
	_, err := l.Boot(t.Context(), bootRequest(), func(context.Context) (link.Transport, error) { return here, nil })
	if status.Code(err) != codes.Unavailable || l.Table() != nil {
		t.Errorf("the boot of a program that ends: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		bootAndEnd(t, func(l *Life) {
			if l.Forgo() {
				t.Error("an actor was forgone")
			}
		})
	})
}
