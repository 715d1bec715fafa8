package host_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/inspect"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// holdLock waits for a lock that somebody else has, until let go.
var (
	holdLock  = contract.Func[none, none]("hold")
	letLockGo = contract.Func[none, none]("let_go")
)

func init() {
	role("holding a lock", func() {
		var lock sync.Mutex
		lock.Lock()
		sdk.Plugin{Hosts: host.Subtree, Endpoints: []contract.Handler{
			holdLock.Handle(func(context.Context, none) (none, error) {
				lock.Lock()
				return none{}, nil
			}),
			letLockGo.Handle(func(context.Context, none) (none, error) {
				lock.Unlock()
				return none{}, nil
			}),
		}}.Serve()
	})
}

const password = "hunter2-is-not-told"

// hanging runs a tree that serves: three levels of actors, of which the lowest hangs in a lock, and one that is stopped
// and hosts another one. The body is run in a program that has joined it.
func hanging(t *testing.T, o host.Options, body func(ctx context.Context) error) {
	t.Helper()
	tempdir.Use(t)
	tree := func(names ...string) (s host.Spec) {
		for i, name := range slices.Backward(names) {
			above := spec(t, name, "holding a lock")
			above.Env["PASSWORD"], above.Health.Off, above.Callers = password, true, []string{"parent", "joined"}
			if i < len(names)-1 {
				above.Actors = []host.Spec{s}
			}
			s = above
		}
		return s
	}
	o.Serve = "default"
	err := host.OpenTree(t.Context(), o, []host.Spec{tree("upper", "lower", "leaf"), tree("frozen", "below")}, func(_ context.Context, n *host.Tree) error {
		frozen, err := n.Portal("frozen")
		if err != nil {
			return err
		}
		return join(t.Context(), "guest", func(ctx context.Context) error {
			leaf, err := directory.WaitFor(ctx, "leaf")
			if err == nil {
				_, err = directory.WaitFor(ctx, "below")
			}
			if err != nil {
				return err
			}
			calling := task.Start(func() {
				if _, err := holdLock.Call(ctx, leaf, none{}); err != nil {
					t.Error(err)
				}
			})
			if err := freeze(ctx, frozen.ID().PID); err != nil {
				return err
			}
			err = errors.Join(awaitContext(ctx, leaf.Entry.Path), body(ctx), syscall.Kill(frozen.ID().PID, syscall.SIGCONT))
			_, let := letLockGo.Call(ctx, leaf, none{})
			calling.Wait()
			return errors.Join(err, let)
		})
	})
	if err != nil {
		t.Error(err)
	}
}

// asking is the tree, as a program asks it that has joined.
func asking(ctx context.Context) inspect.Tree {
	return inspect.Tree{Registry: directory.From(ctx), Records: telemetry.From(ctx), Ask: give}
}

// awaitContext returns when a context into an actor is open.
func awaitContext(ctx context.Context, path string) error {
	for ctx.Err() == nil {
		a, err := asking(ctx).Actor(ctx, wire.OrderRequest{Path: path, Do: wire.OrderDescribe})
		if err != nil || a.Process != nil && len(a.Process.Contexts) > 0 {
			return err
		}
	}
	return context.Cause(ctx)
}

// closing is a writer that says when it is closed.
type closing struct {
	bytes.Buffer
	closed chan struct{}
}

func (c *closing) Close() error {
	close(c.closed)
	return nil
}

// N19, O02: what all actors of a tree are doing is known, each after its host, while one hangs in a lock of its author's and another one
// is stopped: to a program that has joined, and to the program at the root. Neither learns what is in the environment.
func TestN19_ADumpHasWhatHangsInIt(t *testing.T) {
	writers := make(chan io.WriteCloser)
	hanging(t, host.Options{Dump: writers}, func(ctx context.Context) error {
		root := &closing{closed: make(chan struct{})}
		writers <- root // both wait for the frozen one, at once
		var joined bytes.Buffer
		if err := asking(ctx).Dump(ctx, &joined, ""); err != nil {
			return err
		}
		<-root.closed
		for who, text := range map[string]string{"joined": joined.String(), "root": root.String()} {
			wantInOrder(t, who, text, "\n== (root)  ", "\n   | goroutine ", "\n== frozen  ", "it has not answered within 2s; the system says of it: T (stopped)",
				"\n== frozen/below  ", "it is not asked, since frozen hangs, which hosts it", "\n== upper  ", "relayed to upper/lower/leaf",
				"\n== upper/lower  ", "relayed hold to upper/lower/leaf", "\n== upper/lower/leaf  ", "hold func for guest", "   | sync.(*Mutex).Lock(")
			if strings.Contains(text, password) {
				t.Errorf("O04: the %s dump has a value of the environment", who)
			}
		}
		var part bytes.Buffer
		if err := asking(ctx).Dump(ctx, &part, "lower"); err != nil {
			return err
		}
		if text := part.String(); strings.Contains(text, "== upper  ") || strings.Contains(text, "(root)") || !strings.Contains(text, "== upper/lower/leaf  ") {
			t.Errorf("the dump of lower and below is\n%s", text)
		}
		if err := asking(ctx).Dump(ctx, &part, "absent"); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("D02: a dump of an actor that is not there: %v", err)
		}
		return nil
	})
}

func wantInOrder(t *testing.T, who, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, part := range parts {
		_, after, found := strings.Cut(rest, part)
		if !found {
			head := slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return strings.HasPrefix(line, "   |") })
			t.Errorf("N19: the %s dump lacks %q where it should be:\n%s", who, part, strings.Join(head, "\n"))
			return
		}
		rest = after
	}
}

// V03, V07: a description says how an actor's process has failed before, what restarts it has left, when the next one comes, how
// it is, and which program it has.
func TestV03_ADescriptionSaysWhatComesNext(t *testing.T) {
	tempdir.Use(t)
	s := spec(t, "falls", "good")
	s.Restart, s.Health.Interval = config.Permanent, config.Duration(time.Millisecond)
	s.Limits.OpenFiles = 100
	err := host.OpenTree(t.Context(), serving(), []host.Spec{s}, func(_ context.Context, n *host.Tree) error {
		falls, err := n.Portal("falls")
		if err != nil {
			return err
		}
		return join(t.Context(), "guest", func(ctx context.Context) error {
			if err := syscall.Kill(falls.ID().PID, syscall.SIGKILL); err != nil {
				return err
			}
			for e, err := range directory.Watch(ctx, "falls") {
				if err != nil {
					return err
				}
				if e.Epoch == 2 && e.To == directory.Ready {
					break
				}
			}
			if _, err := give(ctx, wire.OrderRequest{Name: "falls", Do: wire.OrderAwaitHealth}); err != nil {
				return err
			}
			a, err := asking(ctx).Actor(ctx, wire.OrderRequest{Name: "falls", Do: wire.OrderDescribe})
			if err != nil {
				return err
			}
			sum, err := process.Sum(ctx, s.Command[0])
			if err != nil {
				return err
			}
			r, h := a.Restarts, a.Health
			switch {
			case r == nil || r.Kind != "permanent" || r.Max != 3 || r.Left > 2:
				t.Errorf("V03: restarts are %+v", r)
			case a.Failure == nil || !strings.Contains(strings.Join(a.Failure.Story, "\n"), "killed"):
				t.Errorf("N16: the failure is %+v", a.Failure)
			case h == nil || h.Time.IsZero() || h.Failed != "":
				t.Errorf("V07: the health is %+v", h)
			case a.Program.SHA256 != sum || a.State != directory.Ready || a.Epoch < 2 || a.Up.IsZero():
				t.Errorf("it is %+v, its program %+v", a, a.Program)
			case !slices.ContainsFunc(a.Limits, func(l inspect.Limit) bool { return l.Name == inspect.OpenFiles && l.Max == 100 && l.Used > 0 }):
				t.Errorf("its limits are %v", a.Limits)
			case a.Process == nil || a.Process.Stacks != "" || len(a.Log) == 0 || !slices.ContainsFunc(a.Endpoints, func(e inspect.Endpoint) bool { return e.Name == echo.Name() && e.Shape != "" }):
				t.Errorf("it is %+v", a)
			}
			return nil
		})
	})
	if err != nil {
		t.Error(err)
	}
}
