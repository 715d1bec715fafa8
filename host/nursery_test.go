package host_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

func TestN13_OneShotGivesItsResultAndIsReaped(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		shot := host.Run(n, spec(t, "shot", "good"), echo, "hello")
		for range 3 { // P02: as often as one likes
			if got, err := shot.Wait(ctx); got != "hello" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestN01_NurseryWaitsForOneShotsThatNobodyWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shots []*host.OneShot[string]
		_, err := here(t, host.Options{}, func(_ context.Context, n *host.Nursery) error {
			for range 3 {
				shots = append(shots, host.Run(n, plug("shot", "good"), echo, "x"))
			}
			return nil
		})
		for _, s := range shots {
			if got, werr := s.Wait(t.Context()); got != "x" || werr != nil {
				t.Errorf("after the nursery: %q, %v", got, werr)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestN01_OneShotFailureIsRaised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := here(t, host.Options{}, func(_ context.Context, n *host.Nursery) error {
			host.Run(n, plug("shot", "good"), fail, "reading")
			return nil
		})
		remote, ok := errors.AsType[*fault.RemoteError](err)
		if !ok || remote.Origin.Name != "shot" || !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestN01_NurseryLastsAsLongAsItsDaemons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bodyEnded := make(chan struct{})
		var p *host.Portal
		_, err := here(t, host.Options{}, func(ctx context.Context, n *host.Nursery) (err error) {
			defer close(bodyEnded)
			if p, err = n.Start(ctx, plug("daemon", "good")); err != nil {
				return err
			}
			n.Go(func() {
				<-bodyEnded
				if got, err := echo.Call(ctx, p, "still here"); got != "still here" || err != nil {
					t.Errorf("after the body: %q, %v", got, err)
				}
				if err := p.Cancel(ctx, "done"); err != nil {
					t.Error(err)
				}
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestP02_EveryoneGetsTheOneShotsResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			endpoint contract.FuncEndpoint[string, string]
			value    string
			fails    bool
		}{{echo, "", false}, {echo, "value", false}, {fail, "", true}} {
			var shot *host.OneShot[string]
			var group task.Group
			errs := make(chan error, 6)
			_, nurseryErr := here(t, host.Options{}, func(_ context.Context, n *host.Nursery) error {
				shot = host.Run(n, plug("shot", "good"), c.endpoint, c.value)
				for range 5 {
					group.Go(func() {
						got, err := shot.Wait(t.Context())
						if got != c.value {
							t.Errorf("got %q, want %q", got, c.value)
						}
						errs <- err
					})
				}
				return nil
			})
			group.Close()
			_, err := shot.Wait(t.Context())                  // also when the nursery is gone
			if (err != nil) != c.fails || err != nurseryErr { //nolint:errorlint // one failure, one object
				t.Errorf("got %v, the nursery %v", err, nurseryErr)
			}
			for range 5 {
				if e := <-errs; e != err { //nolint:errorlint // the very same
					t.Errorf("one got %v, another %v", err, e)
				}
			}
		}
	})
}

func TestP12_ManyCancelsAreManyAcks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 8
		log, err := here(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
			acked := 0
			for range many {
				p, err := n.Start(ctx, plug("good", "good"))
				if err != nil {
					return err
				}
				hold(ctx, n, forever, p)
				if err := p.Cancel(ctx, "done"); err == nil {
					acked++
				}
			}
			if acked != many {
				t.Errorf("%d acks of %d", acked, many)
			}
			return nil
		})
		if err != nil || strings.Contains(log.String(), "teardown goes on") {
			t.Errorf("%v\n%s", err, log)
		}
	})
}

func TestE06_FailureOfTheChildsOwnRuntimeArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		top := plug("top", "hosting")
		top.Actors = []host.Spec{plug("leaf", "good")}
		_, err := here(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
			p, err := n.Start(ctx, top)
			if err != nil {
				return err
			}
			if _, err := below.Call(ctx, p, "crash"); err == nil {
				t.Error("the call gave no error")
			}
			<-ctx.Done() // top's own nursery has failed, and with it top
			return ctx.Err()
		})
		remote, ok := errors.AsType[*fault.RemoteError](err)
		died, told := errors.AsType[*fault.ActorDied](err)
		if !ok || remote.Origin.Name != "top" || !told || died.ID.Name != "leaf" || died.ExitCode != 5 {
			t.Errorf("got %+v", err)
		}
	})
}

func TestN02_BodyFailureIsReturnedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *host.Portal
		_, err := here(t, host.Options{}, func(ctx context.Context, n *host.Nursery) (err error) {
			if p, err = n.Start(ctx, plug("daemon", "good")); err != nil {
				return err
			}
			return errBody
		})
		if err != errBody { //nolint:errorlint // the very same
			t.Fatalf("got %v", err)
		}
		<-p.Done()
	})
}

func TestN02_PanicGoesOnAfterTheReaping(t *testing.T) {
	var p *host.Portal
	defer func() {
		if r, ok := recover().(*fault.PanicError); !ok || r.Value != "oh" {
			t.Errorf("recovered %v", r)
		}
		<-p.Done()
		if len(childrenLeft(t)) > 0 {
			t.Error("processes are left")
		}
	}()
	_ = host.OpenNursery(t.Context(), host.Options{}, func(ctx context.Context, n *host.Nursery) (err error) {
		if p, err = n.Start(ctx, spec(t, "daemon", "good")); err != nil {
			return err
		}
		panic("oh")
	})
}

func TestN03_FailureCancelsSiblingsAndTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		_, err := here(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
			p, err := n.Start(ctx, plug("sibling", "good"))
			if err != nil {
				return err
			}
			hold(ctx, n, forever, p)
			host.Run(n, plug("shot", "good"), fail, "first")
			<-ctx.Done()
			cause = context.Cause(ctx)
			return ctx.Err()
		})
		remote, ok := errors.AsType[*fault.RemoteError](err)
		if !ok || remote.Origin.Name != "shot" {
			t.Fatalf("got %v", err)
		}
		if cause != err { //nolint:errorlint // the very same
			t.Errorf("the ctx's cause is %v", cause)
		}
	})
}

func TestN03_TwoIndependentFailuresAreBothReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := here(t, host.Options{Supervision: config.Supervision{Strategy: config.OneForOne}}, func(ctx context.Context, n *host.Nursery) error {
			for _, name := range []string{"a", "b", "c"} {
				host.Run(n, plug(name, "good"), fail, name)
			}
			shot := host.Run(n, plug("fine", "good"), echo, "fine")
			if got, err := shot.Wait(ctx); got != "fine" || err != nil {
				t.Errorf("one that did not fail: %q, %v", got, err)
			}
			return nil
		})
		group, ok := errors.AsType[*fault.Group](err)
		if !ok || len(group.Errs) != 3 {
			t.Fatalf("got %v", err)
		}
	})
}

func TestN03_ManyFailuresAreThatManyErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 10
		_, err := here(t, host.Options{Supervision: config.Supervision{Strategy: config.OneForOne}}, func(_ context.Context, n *host.Nursery) error {
			for i := range many {
				host.Run(n, plug(fmt.Sprintf("shot-%d", i), "good"), fail, "x")
			}
			return nil
		})
		group, ok := errors.AsType[*fault.Group](err)
		if !ok || len(group.Errs) != many {
			t.Fatalf("got %v", err)
		}
		for _, e := range group.Errs {
			if _, ok := e.(*fault.RemoteError); !ok || fault.IsCancel(e) { //nolint:errorlint // each one itself
				t.Errorf("%T %v", e, e)
			}
		}
	})
}

func TestN05_DoneComesAfterTheLastChild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept *host.Nursery
		var p *host.Portal
		_, err := here(t, host.Options{}, func(ctx context.Context, n *host.Nursery) (err error) {
			kept = n
			if p, err = n.Start(ctx, plug("daemon", "good")); err != nil {
				return err
			}
			n.Go(func() {
				<-n.Done()
				select {
				case <-p.Done():
				default:
					t.Error("Done before the child was reaped")
				}
			})
			select {
			case <-n.Done():
				t.Error("Done while the body runs")
			default:
			}
			return p.Cancel(ctx, "done")
		})
		if err != nil {
			t.Fatal(err)
		}
		<-kept.Done()
	})
}

func TestN04_StartInAClosedNurseryCreatesNoProcess(t *testing.T) {
	var kept *host.Nursery
	_, err := open(t, host.Options{}, func(_ context.Context, n *host.Nursery) error {
		kept = n
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kept.Start(t.Context(), spec(t, "late", "good")); !errors.Is(err, fault.ErrNurseryClosed) {
		t.Errorf("start: %v", err)
	}
	if _, err := host.Run(kept, spec(t, "late", "good"), echo, "x").Wait(t.Context()); !errors.Is(err, fault.ErrNurseryClosed) {
		t.Errorf("run: %v", err)
	}
	if len(childrenLeft(t)) > 0 {
		t.Error("a process was created")
	}
}

func TestN14_PluginsHostPlugins(t *testing.T) {
	parallel(t)
	top := spec(t, "top", "hosting")
	middle := spec(t, "leaf", "hosting") // a leaf for top, a host for its own leaf
	middle.Actors = []host.Spec{spec(t, "leaf", "good")}
	top.Actors = []host.Spec{middle}
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p, err := n.Start(ctx, top)
		if err != nil {
			return err
		}
		if got, err := below.Call(ctx, p, "hello"); got != "hello" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		_, err = below.Call(ctx, p, "fail")
		remote, ok := errors.AsType[*fault.RemoteError](err)
		if !ok || remote.Origin.Name != "leaf" || names(remote.Relays) != "top" || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("E04: %+v", err)
		}
		return p.Cancel(ctx, "done")
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestN14_ChildrenForAPluginThatHostsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		top := plug("top", "good")
		top.Actors = []host.Spec{plug("leaf", "good")}
		_, err := here(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
			_, err := n.Start(ctx, top)
			return err
		})
		start, ok := errors.AsType[*host.StartError](err)
		if !ok || start.Stage != "boot" || !strings.Contains(err.Error(), "does not host any") {
			t.Fatalf("got %v", err)
		}
	})
}

func names(ids []actor.ID) string {
	var out []string
	for _, id := range ids {
		out = append(out, id.Name)
	}
	return strings.Join(out, ",")
}

func TestParentServesItsChildren(t *testing.T) {
	up := upper.Handle(func(_ context.Context, s string) (string, error) { return strings.ToUpper(s), nil })
	_, err := open(t, host.Options{Endpoints: []contract.Handler{up}}, func(ctx context.Context, n *host.Nursery) error {
		p, err := n.Start(ctx, spec(t, "child", "good"))
		if err != nil {
			return err
		}
		if got, err := parent.Call(ctx, p, "loud"); got != "LOUD" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		return p.Cancel(ctx, "done")
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestN02_DeadlineWithACauseIsTheCause: a body that answers the end of its ctx with
// ctx.Err() says nothing of its own.
func TestN02_DeadlineWithACauseIsTheCause(t *testing.T) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errBody)
	defer cancel()
	err := host.OpenNursery(ctx, host.Options{}, func(ctx context.Context, _ *host.Nursery) error {
		<-ctx.Done()
		return ctx.Err()
	})
	if err != errBody { //nolint:errorlint // the very same
		t.Errorf("got %v", err)
	}
}
