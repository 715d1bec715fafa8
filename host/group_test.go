package host_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// scaling runs a tree in memory whose "parser" has some replicas, and gives the events of its root.
func scaling(t *testing.T, parser host.Spec, start func(context.Context, trellistest.Stage) error,
	body func(ctx context.Context, tree *host.Tree, p *trellistest.Programs) error,
) []directory.Event {
	t.Helper()
	var told []directory.Event
	synctest.Test(t, func(t *testing.T) {
		programs := trellistest.NewPrograms(t, trellistest.Plugin{Name: "good", Endpoints: goodEndpoints(), Starting: start})
		walker := plug("walker", "good")
		walker.DependsOn = map[string]config.Condition{parser.Name: config.Started}
		err := host.OpenTree(programs.Context(), host.Options{Log: slog.New(slog.DiscardHandler)}, []host.Spec{parser, walker},
			func(ctx context.Context, tree *host.Tree) error { return body(ctx, tree, programs) })
		if err != nil {
			t.Error(err)
		}
		told = programs.Events()
		wellTold(t, told)
	})
	return told
}

func parserSpec(replicas int) host.Spec {
	s := plug("parser", "good")
	s.Replicas, s.Restart = replicas, config.Transient
	s.Backoff.Initial, s.Backoff.Max = config.Duration(time.Hour), config.Duration(time.Hour)
	return s
}

// pathsOf are the paths of an actor's replicas, and each of them takes calls.
func pathsOf(ctx context.Context, t *testing.T, tree *host.Tree) (paths []string) {
	t.Helper()
	all, err := tree.Portals("parser")
	if err != nil {
		return []string{err.Error()}
	}
	for _, p := range all {
		if text, err := echo.Call(ctx, p, "a"); err != nil || text != "a" {
			t.Errorf("%s: %q, %v", p.Path(), text, err)
		}
		paths = append(paths, p.Path())
	}
	return paths
}

func wantPaths(ctx context.Context, t *testing.T, tree *host.Tree, want ...string) {
	t.Helper()
	if got := pathsOf(ctx, t, tree); !slices.Equal(got, want) {
		t.Errorf("the replicas are %v, want %v", got, want)
	}
}

// What Portals gives is what runs when Scale has returned; those with the highest numbers go, the lowest free number comes,
// and events say why.
func TestScale_UpAndDown(t *testing.T) {
	told := scaling(t, parserSpec(2), nil, func(ctx context.Context, tree *host.Tree, p *trellistest.Programs) error {
		scale := func(n int, want ...string) {
			t.Helper()
			if err := tree.Scale(ctx, "parser", n); err != nil {
				t.Error(err)
			}
			wantPaths(ctx, t, tree, want...)
			if entries, err := directory.Query(ctx, "parser"); n > 0 && (err != nil || len(entries) != n) {
				t.Errorf("the directory has %v, %v; want %d", entries, err, n)
			}
		}
		scale(2, "parser", "parser#2")
		scale(4, "parser", "parser#2", "parser#3", "parser#4")
		all, err := tree.Portals("parser")
		if err != nil {
			return err
		}
		if err := all[1].Cancel(ctx, "not this one"); err != nil {
			return err
		}
		<-all[1].Done()
		scale(4, "parser", "parser#2", "parser#3", "parser#4")
		scale(1, "parser")
		if _, err := echo.Call(ctx, all[3], "a"); !errors.Is(err, fault.ErrActorClosing) {
			t.Errorf("a call into a replica that there is no more: %v", err)
		}
		scale(0, `actor "parser" has no replicas at the moment; Scale starts some`)
		scale(1, "parser")
		if n := len(p.Processes("walker")); n != 1 {
			t.Errorf("%d processes of what needs the parser, want the first one only", n)
		}
		return nil
	})
	for _, want := range []struct {
		path   string
		to     directory.State
		reason string
	}{{"parser#4", directory.Waiting, "scaled to 4"}, {"parser#4", directory.Stopping, "scaled to 1"}, {"parser", directory.Stopping, "scaled to 0"}} {
		if !slices.ContainsFunc(told, func(e directory.Event) bool {
			return e.Path == want.path && e.To == want.to && strings.Contains(e.Reason, want.reason)
		}) {
			t.Errorf("no event says of %s that it is %s, %s", want.path, want.to, want.reason)
		}
	}
}

// The task of a replica that goes is told who wants that, and is waited for.
func TestScale_DownTellsTasks(t *testing.T) {
	scaling(t, parserSpec(2), nil, func(ctx context.Context, tree *host.Tree, _ *trellistest.Programs) error {
		all, err := tree.Portals("parser")
		if err != nil {
			return err
		}
		cut := make(chan error, 1)
		opened := make(chan struct{})
		go func() {
			_, err := forever.Open(ctx, all[1], none{}, func(ctx context.Context, _ *contract.Opener[none, none, none, none]) error {
				close(opened)
				<-ctx.Done()
				return context.Cause(ctx)
			})
			cut <- err
		}()
		<-opened
		if err := tree.Scale(ctx, "parser", 1); err != nil {
			return err
		}
		if err := <-cut; !fault.IsCancel(err) || !strings.Contains(err.Error(), "scaled to 1") {
			t.Errorf("the call ended with %v; want a cancellation that says who has scaled", err)
		}
		return nil
	})
}

// One that is between two processes counts; it is over at once when it is too many.
func TestScale_WhileOneIsDown(t *testing.T) {
	scaling(t, parserSpec(2), nil, func(ctx context.Context, tree *host.Tree, p *trellistest.Programs) error {
		all, err := tree.Portals("parser")
		if err != nil {
			return err
		}
		for _, process := range p.Processes("parser") {
			if process.ID().Is(all[1].ID()) {
				process.Die(3)
			}
		}
		synctest.Wait()
		if state := all[1].State(); state != directory.Waiting {
			t.Fatalf("it is %s", state)
		}
		if err := tree.Scale(ctx, "parser", 2); err != nil {
			return err
		}
		if n := len(p.Processes("parser")); n != 2 {
			t.Errorf("%d processes were started, want 2: the one in its pause counts", n)
		}
		before := time.Now()
		if err := tree.Scale(ctx, "parser", 1); err != nil {
			return err
		}
		if waited := time.Since(before); waited > time.Minute {
			t.Errorf("it took %v to end one without a process", waited)
		}
		wantPaths(ctx, t, tree, "parser")
		return nil
	})
}

// What does not come up is the failure of the scaling alone, and is no replica then.
func TestScale_AStartThatFails(t *testing.T) {
	fails := make(chan bool, 1)
	fails <- false
	start := func(context.Context, trellistest.Stage) error {
		fail := <-fails
		fails <- fail
		if fail {
			return errors.New("no more paper")
		}
		return nil
	}
	scaling(t, parserSpec(1), start, func(ctx context.Context, tree *host.Tree, _ *trellistest.Programs) error {
		<-fails
		fails <- true
		err := tree.Scale(ctx, "parser", 3)
		if _, ok := errors.AsType[*host.StartError](err); !ok || !strings.Contains(err.Error(), "no more paper") {
			t.Errorf("%v; want a *host.StartError", err)
		}
		wantPaths(ctx, t, tree, "parser")
		<-fails
		fails <- false
		if err := tree.Scale(ctx, "parser", 2); err != nil {
			return err
		}
		wantPaths(ctx, t, tree, "parser", "parser#2")
		return nil
	})
}

// The end of ctx gives up what is not up; of several scalings at once the last one holds.
func TestScale_GivenUpAndOvertaken(t *testing.T) {
	scaling(t, parserSpec(1), trellistest.Slow(trellistest.StageBoot, time.Second), func(ctx context.Context, tree *host.Tree, _ *trellistest.Programs) error {
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		if err := tree.Scale(short, "parser", 3); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("scaled within a millisecond: %v", err)
		}
		wantPaths(ctx, t, tree, "parser")
		first := make(chan error, 1)
		go func() { first <- tree.Scale(ctx, "parser", 5) }()
		synctest.Wait()
		if err := tree.Scale(ctx, "parser", 2); err != nil {
			t.Error(err)
		}
		if err := <-first; err == nil || !strings.Contains(err.Error(), "scaled to 2") {
			t.Errorf("the one that was overtaken gives %v", err)
		}
		wantPaths(ctx, t, tree, "parser", "parser#2")
		return nil
	})
}

func TestScale_Refused(t *testing.T) {
	scaling(t, parserSpec(1), nil, func(ctx context.Context, tree *host.Tree, _ *trellistest.Programs) error {
		over, cancel := context.WithCancel(ctx)
		cancel()
		for _, c := range []struct {
			ctx  context.Context
			name string
			n    int
			want string
		}{
			{ctx, "parser", -1, `replicas of "parser": expected 0 or more, got -1`},
			{ctx, "parser", 1001, "actors.parser.replicas: expected a whole number from 1 to 1000, got 1001"},
			{ctx, "parsers", 2, `no actor "parsers" in this part of the tree; there are parser, walker`},
			{over, "parser", 2, "context canceled"},
		} {
			if err := tree.Scale(c.ctx, c.name, c.n); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s to %d: %v; want %q", c.name, c.n, err, c.want)
			}
		}
		wantPaths(ctx, t, tree, "parser")
		return nil
	})
	if err := host.FromContext(t.Context()).Scale(t.Context(), "parser", 2); err == nil {
		t.Error("a tree without actors was scaled")
	}
}

// While all ends, and after that, nothing is started any more.
func TestScale_WhileAllEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		programs := trellistest.NewPrograms(t, trellistest.Plugin{Name: "good", Endpoints: goodEndpoints()})
		ctx, cancel := context.WithCancelCause(programs.Context())
		var kept *host.Tree
		err := host.OpenTree(ctx, host.Options{Log: slog.New(slog.DiscardHandler)}, []host.Spec{parserSpec(1)}, func(_ context.Context, tree *host.Tree) error {
			kept = tree
			cancel(errThatIsAll)
			if err := tree.Scale(t.Context(), "parser", 2); !errors.Is(err, fault.ErrNurseryClosed) || !errors.Is(err, errThatIsAll) {
				t.Errorf("scaled while all ends: %v", err)
			}
			return nil
		})
		if !errors.Is(err, errThatIsAll) {
			t.Error(err)
		}
		if err := kept.Scale(t.Context(), "parser", 2); !errors.Is(err, fault.ErrNurseryClosed) {
			t.Errorf("scaled after the end: %v", err)
		}
	})
}

var errThatIsAll = errors.New("enough")
