package host_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// lockVar names the directory of the locking plugin's files.
const (
	lockVar = "HOST_TEST_LOCKS"
	nameVar = "HOST_TEST_NAME"
	gateVar = "HOST_TEST_GATE" // a file without which the endpoint gated fails
)

var (
	wellness = contract.Func[none, none]("wellness") // fails once sicken was called
	sicken   = contract.Func[none, none]("sicken")
	gated    = contract.Func[none, none]("gated")
	cutLink  = contract.Func[none, none]("cut_link")
)

func init() {
	freezeLeaf = func(pid int) error { return syscall.Kill(pid, syscall.SIGSTOP) }
	roles["locking"] = func() {
		if err := lockGeneration(os.Getenv(lockVar), os.Getenv(nameVar)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(9)
		}
		sdk.Serve(goodEndpoints()...)
	}
	roles["checked"] = func() {
		var unwell atomic.Bool
		sdk.Serve(append(goodEndpoints(),
			wellness.Handle(func(context.Context, none) (n none, err error) {
				if unwell.Load() {
					err = errors.New("I feel unwell")
				}
				return n, err
			}),
			sicken.Handle(func(context.Context, none) (n none, err error) {
				unwell.Store(true)
				return n, nil
			}),
			gated.Handle(func(context.Context, none) (n none, err error) {
				_, err = os.Stat(os.Getenv(gateVar))
				return n, err
			}))...)
	}
	roles["cutting"] = func() {
		sdk.Serve(cutLink.Handle(func(context.Context, none) (none, error) {
			shutSockets()
			select {} // the actor does not end before its tasks
		}))
	}
}

// shutSockets breaks every connection that this process has.
func shutSockets() {
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, path := range fds {
		if fd, err := strconv.Atoi(filepath.Base(path)); err == nil {
			_ = syscall.Shutdown(fd, syscall.SHUT_RDWR) // most are not sockets
		}
	}
}

// lockGeneration locks a file for as long as this process lives, and fails if one
// of another generation is alive. The first process of each name is of the first
// generation, and so on.
func lockGeneration(dir, name string) error {
	table, err := os.OpenFile(filepath.Join(dir, "table"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = table.Close() }() // frees the table
	if err := syscall.Flock(int(table.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	mine, err := filepath.Glob(filepath.Join(dir, name+"-*"))
	if err != nil {
		return err
	}
	generation := strconv.Itoa(len(mine) + 1)
	others, err := filepath.Glob(filepath.Join(dir, "*-*"))
	if err != nil {
		return err
	}
	for _, path := range others {
		if !strings.HasSuffix(path, "-"+generation) && locked(path) {
			return fmt.Errorf("two generations are alive: %s-%s has met %s", name, generation, filepath.Base(path))
		}
	}
	fd, err := syscall.Open(filepath.Join(dir, name+"-"+generation), syscall.O_CREAT|syscall.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	return syscall.Flock(fd, syscall.LOCK_EX) // held to the end of the process
}

// locked reports whether some process holds a file.
func locked(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
}

// soon makes restarts quick enough to be waited for.
var soon = config.Backoff{Initial: config.Duration(time.Millisecond), Max: config.Duration(5 * time.Millisecond)}

// restarting is an actor that comes back.
func restarting(t testing.TB, name string, kind config.RestartKind) host.Spec {
	s := spec(t, name, "good")
	s.Restart, s.Backoff = kind, soon
	return s
}

// startAll starts actors in order.
func startAll(ctx context.Context, t testing.TB, n *host.Nursery, specs ...host.Spec) []*host.Portal {
	t.Helper()
	var portals []*host.Portal
	for _, s := range specs {
		p, err := n.Start(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		portals = append(portals, p)
	}
	return portals
}

// kill sends a signal to an actor's present process and returns who that was.
func kill(t testing.TB, p *host.Portal, signal syscall.Signal) actor.ID {
	t.Helper()
	id := p.ID()
	if err := syscall.Kill(id.PID, signal); err != nil {
		t.Fatal(err)
	}
	return id
}

// successor waits until another process than old answers.
func successor(ctx context.Context, t testing.TB, p *host.Portal, old actor.ID) actor.ID {
	t.Helper()
	for {
		id, err := whoami.Call(ctx, p, none{})
		switch {
		case err == nil && !id.Is(old):
			return id
		case err != nil && !errors.Is(err, fault.ErrActorLost) && !errors.Is(err, fault.ErrActorClosing) && !errors.Is(err, context.Canceled):
			t.Fatalf("while %s is restarted: %v", p.Name(), err)
		}
	}
}

// await waits for an event.
func await(ctx context.Context, t testing.TB, what string, match func(host.Event) bool) host.Event {
	t.Helper()
	for e, err := range host.Events(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if match(e) {
			return e
		}
	}
	t.Fatalf("no event: %s", what)
	return host.Event{}
}

func TestV01_OneForOneLeavesTheOthers(t *testing.T) {
	o := host.Options{Supervision: config.Supervision{Strategy: config.OneForOne}}
	_, err := open(t, o, func(ctx context.Context, n *host.Nursery) error {
		all := startAll(ctx, t, n, restarting(t, "a", config.Permanent), restarting(t, "b", config.Permanent), spec(t, "c", "good"))
		before := []actor.ID{all[0].ID(), all[2].ID()}
		successor(ctx, t, all[1], kill(t, all[1], syscall.SIGKILL))
		for i, p := range []*host.Portal{all[0], all[2]} {
			if id, err := whoami.Call(ctx, p, none{}); err != nil || !id.Is(before[i]) {
				t.Errorf("%s: %v, %v", p.Name(), id, err)
			}
		}
		kill(t, all[2], syscall.SIGKILL) // temporary: it stays away, the others live on
		<-all[2].Done()
		if _, err := whoami.Call(ctx, all[0], none{}); err != nil {
			t.Error(err)
		}
		n.Cancel()
		return nil
	})
	died, ok := errors.AsType[*fault.ActorDied](err)
	if !ok || died.ID.Name != "c" {
		t.Errorf("the failure that no restart answered is lost: %v", err)
	}
}

func TestV01_OneCancelsAllRestartsWhatMayBe(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		all := startAll(ctx, t, n, restarting(t, "a", config.Transient), spec(t, "b", "good"))
		b := all[1].ID()
		successor(ctx, t, all[0], kill(t, all[0], syscall.SIGKILL))
		if id, err := whoami.Call(ctx, all[1], none{}); err != nil || !id.Is(b) {
			t.Errorf("got %v, %v", id, err)
		}
		kill(t, all[1], syscall.SIGKILL)
		<-ctx.Done()
		return ctx.Err()
	})
	if died, ok := errors.AsType[*fault.ActorDied](err); !ok || died.ID.Name != "b" {
		t.Errorf("got %v", err)
	}
}

func TestV01_RestForOneRestartsThoseAfter(t *testing.T) {
	o := host.Options{Supervision: config.Supervision{Strategy: config.RestForOne}}
	_, err := open(t, o, func(ctx context.Context, n *host.Nursery) error {
		all := startAll(ctx, t, n, restarting(t, "a", config.Permanent), restarting(t, "b", config.Permanent), restarting(t, "c", config.Permanent))
		a, c := all[0].ID(), all[2].ID()
		successor(ctx, t, all[1], kill(t, all[1], syscall.SIGKILL))
		successor(ctx, t, all[2], c)
		if id, err := whoami.Call(ctx, all[0], none{}); err != nil || !id.Is(a) {
			t.Errorf("the one before: %v, %v", id, err)
		}
		n.Cancel()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestV02_TransientComesBackOnlyAfterAFailure(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p := startAll(ctx, t, n, restarting(t, "a", config.Transient))[0]
		old := kill(t, p, syscall.SIGKILL)
		next := successor(ctx, t, p, old)
		kill(t, p, syscall.SIGTERM) // it ends itself, and well
		<-p.Done()
		if id := p.ID(); !id.Is(next) {
			t.Errorf("%v came after %v", id, next)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestV02_PermanentComesBackAlways(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p := startAll(ctx, t, n, restarting(t, "a", config.Permanent))[0]
		next := successor(ctx, t, p, kill(t, p, syscall.SIGTERM))
		if _, err := crash.Call(ctx, p, 0); err == nil { // exit code 0, and no goodbye
			t.Error("the call into the crash gave no error")
		}
		successor(ctx, t, p, next)
		if err := p.Cancel(ctx); err != nil { // but not when somebody has ended it
			t.Error(err)
		}
		<-p.Done()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestV03_TooManyRestartsAreTheSupervisorsFailure(t *testing.T) {
	o := host.Options{Supervision: config.Supervision{Strategy: config.OneForOne, MaxRestarts: 2, Window: config.Duration(time.Hour)}}
	_, err := open(t, o, func(ctx context.Context, n *host.Nursery) error {
		all := startAll(ctx, t, n, restarting(t, "a", config.Permanent), restarting(t, "b", config.Permanent))
		id := all[0].ID()
		for range 2 {
			kill(t, all[0], syscall.SIGKILL)
			id = successor(ctx, t, all[0], id)
		}
		kill(t, all[1], syscall.SIGKILL) // the limit is for all together
		<-ctx.Done()
		return context.Cause(ctx)
	})
	limit, ok := errors.AsType[*fault.RestartLimit](err)
	if died, told := errors.AsType[*fault.ActorDied](err); !ok || limit.Actor != "b" || limit.Max != 2 || !told || died.ID.Name != "b" {
		t.Errorf("got %v", err)
	}
}

// TestV03_LimitGoesUpward: the supervisor in a plugin gives up, which is the
// plugin's own failure, which its supervisor answers with a restart.
func TestV03_LimitGoesUpward(t *testing.T) {
	top := spec(t, "top", "hosting")
	top.Restart, top.Backoff = config.Permanent, soon
	top.Supervision = config.Supervision{MaxRestarts: 1, Window: config.Duration(time.Hour)}
	top.Actors = []host.Spec{restarting(t, "leaf", config.Permanent)}
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p := startAll(ctx, t, n, top)[0]
		old := p.ID()
		for range 2 {
			_, err := below.Call(ctx, p, "crash")
			if err == nil {
				t.Error("the call into the crash gave no error")
			}
		}
		died := await(ctx, t, "top ended", func(e host.Event) bool { return e.To == host.Reaped && e.Actor.Is(old) })
		limit, ok := errors.AsType[*fault.RestartLimit](died.Err)
		if !ok || limit.Actor != "leaf" || !limit.Supervisor.Is(old) {
			t.Errorf("top ended with %v", died.Err)
		}
		successor(ctx, t, p, old)
		n.Cancel()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestV05_OneForAllWaitsForTheOldGeneration: each process holds a lock from its main
// function to its very end, and fails if it finds one of another generation.
func TestV05_OneForAllWaitsForTheOldGeneration(t *testing.T) {
	dir := t.TempDir()
	locking := func(name string) host.Spec {
		s := restarting(t, name, config.Permanent)
		s.Env[roleVar], s.Env[lockVar], s.Env[nameVar] = "locking", dir, name
		return s
	}
	o := host.Options{Supervision: config.Supervision{Strategy: config.OneForAll, MaxRestarts: 100}}
	log, err := open(t, o, func(ctx context.Context, n *host.Nursery) error {
		all := startAll(ctx, t, n, locking("a"), locking("b"), locking("c"))
		for round := range 4 {
			ids := []actor.ID{all[0].ID(), all[1].ID(), all[2].ID()}
			kill(t, all[round%3], syscall.SIGKILL)
			for i, p := range all {
				successor(ctx, t, p, ids[i])
			}
		}
		n.Cancel()
		return nil
	})
	if err != nil || strings.Contains(log.String(), "two generations") {
		t.Errorf("%v\n%s", err, log)
	}
	if files, err := filepath.Glob(dir + "/*-5"); err != nil || len(files) != 3 {
		t.Errorf("want a fifth generation of three, got %v, %v", files, err)
	}
}

func TestV06_PortalWaitsOrFailsWhileDown(t *testing.T) {
	o := host.Options{Supervision: config.Supervision{Strategy: config.OneForOne}}
	_, err := open(t, o, func(ctx context.Context, n *host.Nursery) error {
		slow := config.Backoff{Initial: config.Duration(time.Hour), Max: config.Duration(time.Hour)}
		waits, fails := restarting(t, "waits", config.Permanent), restarting(t, "fails", config.Permanent)
		waits.Backoff, fails.Backoff, fails.WhileDown = slow, slow, config.FailWhileDown
		all := startAll(ctx, t, n, waits, fails)
		for _, p := range all {
			called := hold(ctx, n, forever, p)
			old := kill(t, p, syscall.SIGKILL)
			died, ok := errors.AsType[*fault.ActorDied](<-called)
			if !ok || !died.ID.Is(old) {
				t.Errorf("the context of the old process failed with %v", died)
			}
			await(ctx, t, "the pause", func(e host.Event) bool { return e.To == host.Waiting && e.Pause > 0 && e.Actor.Is(old) })
		}
		if _, err := echo.Call(ctx, all[1], "x"); !errors.Is(err, fault.ErrActorDown) || !strings.Contains(err.Error(), `"fails" is waiting`) {
			t.Errorf("got %v", err)
		}
		short, cancel := context.WithCancelCause(ctx)
		n.Go(func() { cancel(errBody) })
		if _, err := echo.Call(short, all[0], "x"); !errors.Is(err, errBody) {
			t.Errorf("got %v", err)
		}
		if err := all[0].Cancel(ctx); err != nil { // while it is down
			t.Error(err)
		}
		if _, err := echo.Call(ctx, all[0], "x"); !errors.Is(err, fault.ErrActorLost) {
			t.Errorf("gone for good: %v", err)
		}
		n.Cancel()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// quickHealth fails a process after three checks of 50 ms.
var quickHealth = config.Health{Interval: config.Duration(20 * time.Millisecond), Timeout: config.Duration(50 * time.Millisecond)}

func TestV07_StoppedProcessIsReplaced(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s := restarting(t, "a", config.Permanent)
		s.Health, s.TermTimeout = quickHealth, config.Duration(10*time.Millisecond)
		p := startAll(ctx, t, n, s)[0]
		called := hold(ctx, n, forever, p)
		old := kill(t, p, syscall.SIGSTOP)
		sick, ok := errors.AsType[*fault.ActorUnhealthy](<-called)
		if !ok || !sick.ID.Is(old) || sick.Checks != 3 {
			t.Errorf("the call got %+v", sick)
		}
		successor(ctx, t, p, old)
		n.Cancel()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestV07_OwnEndpointAddsToTheChecks: a plugin that says itself that it is unwell
// is asked to end first, and then replaced.
func TestV07_OwnEndpointAddsToTheChecks(t *testing.T) {
	log, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s := restarting(t, "a", config.Permanent)
		s.Health, s.Env[roleVar] = quickHealth, "checked"
		s.Health.Endpoint = wellness.Name()
		p := startAll(ctx, t, n, s)[0]
		old := p.ID()
		if _, err := sicken.Call(ctx, p, none{}); err != nil {
			return err
		}
		successor(ctx, t, p, old)
		ended := await(ctx, t, "its end", func(e host.Event) bool { return e.To == host.Reaped && e.Actor.Is(old) })
		if ended.Cause != host.Sick || !strings.Contains(ended.Err.Error(), "I feel unwell") {
			t.Errorf("got %v: %v", ended, ended.Err)
		}
		n.Cancel()
		return nil
	})
	if err != nil || strings.Contains(log.String(), "teardown goes on") {
		t.Errorf("%v\n%s", err, log)
	}
}

func TestV09_HealthyBeforeDependentsStart(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	db, app := spec(t, "db", "checked"), spec(t, "app", "good")
	db.Health, db.Env[gateVar] = quickHealth, gate
	db.Health.Endpoint, db.Health.Failures = gated.Name(), 1000
	app.DependsOn = map[string]config.Condition{"db": config.Healthy}
	ctx := host.WithEvents(t.Context())
	var order []string
	err := host.OpenNursery(ctx, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		n.Go(func() {
			await(ctx, t, "db unhealthy", func(e host.Event) bool { return e.To == host.Unhealthy })
			order = append(order, "opened")
			if err := os.WriteFile(gate, nil, 0o600); err != nil {
				t.Error(err)
			}
		})
		return host.OpenTree(ctx, host.Options{}, []host.Spec{app, db}, func(context.Context, *host.Tree) error {
			order = append(order, "up")
			return nil
		})
	})
	if err != nil || !slices.Equal(order, []string{"opened", "up"}) {
		t.Errorf("%v, %v", order, err)
	}
}

// An actor whose checks are off keeps nobody waiting.
func TestV09_HealthyOfAnActorWithoutChecks(t *testing.T) {
	db, app := spec(t, "db", "good"), spec(t, "app", "good")
	db.Health.Off = true
	app.DependsOn = map[string]config.Condition{"db": config.Healthy}
	err := host.OpenTree(t.Context(), host.Options{}, []host.Spec{app, db}, func(context.Context, *host.Tree) error { return nil })
	if err != nil {
		t.Error(err)
	}
}

func TestV10_EventsTellAWholeLife(t *testing.T) {
	ctx := host.WithEvents(t.Context())
	err := host.OpenNursery(ctx, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p := startAll(ctx, t, n, restarting(t, "a", config.Permanent))[0]
		successor(ctx, t, p, kill(t, p, syscall.SIGKILL))
		if err := p.Cancel(ctx); err != nil {
			return err
		}
		<-p.Done()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	last := host.State("")
	for e := range host.Events(ctx) {
		if e.From != last || e.Time.IsZero() || e.Actor.Name != "a" && e.To != host.Waiting {
			t.Errorf("%+v after %s", e, last)
		}
		last = e.To
		got = append(got, strings.TrimSpace(string(e.To)+" "+string(e.Cause)))
		if e.To == host.Gone {
			break
		}
	}
	want := []string{
		"waiting", "starting", "ready", "stopping crashed", "reaped crashed", "waiting",
		"starting", "ready", "stopping requested", "reaped requested", "gone",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestP11_ReasonOfADisconnect: an end that was asked for is not a failure, one that
// was not is; the event says which it was.
func TestP11_ReasonOfADisconnect(t *testing.T) {
	o := host.Options{Supervision: config.Supervision{Strategy: config.OneForOne}}
	_, err := open(t, o, func(ctx context.Context, n *host.Nursery) error {
		cut := spec(t, "cut", "cutting")
		cut.TermTimeout = config.Duration(10 * time.Millisecond)
		all := startAll(ctx, t, n, spec(t, "asked", "good"), spec(t, "itself", "good"), spec(t, "killed", "good"), cut)
		if err := all[0].Cancel(ctx); err != nil {
			t.Error(err)
		}
		kill(t, all[1], syscall.SIGTERM)
		kill(t, all[2], syscall.SIGKILL)
		if _, err := cutLink.Call(ctx, all[3], none{}); !errors.Is(err, fault.ErrActorLost) {
			t.Errorf("the call that cuts its own link gave %v", err)
		}
		for i, want := range []host.Cause{host.Requested, host.Finished, host.Crashed, host.Transport} {
			<-all[i].Done()
			id := all[i].ID()
			e := await(ctx, t, "the end", func(e host.Event) bool { return e.To == host.Reaped && e.Actor.Is(id) })
			if e.Cause != want || (e.Err != nil) != (i >= 2) {
				t.Errorf("%s: %v, %v", all[i].Name(), e, e.Err)
			}
		}
		n.Cancel()
		return nil
	})
	group, ok := errors.AsType[*fault.Group](err)
	if !ok || len(group.Errs) != 2 {
		t.Errorf("want the two failures, got %v", err)
	}
}

// TestN11_StuckGrandchildIsKilledByItsParent: within the outer level's bounds, which
// are shorter than the inner level's own, so that the parent itself ends in order.
func TestN11_StuckGrandchildIsKilledByItsParent(t *testing.T) {
	top := spec(t, "top", "hosting")
	top.Grace = config.Duration(10 * time.Minute) // no machine is that slow; how a short one is shared out has tests of its own
	stopped := spec(t, "leaf", "good")
	stopped.CancelTimeout, stopped.Grace, stopped.TermTimeout = config.Duration(50*time.Millisecond), config.Duration(100*time.Millisecond), config.Duration(50*time.Millisecond)
	top.Actors = []host.Spec{stopped}
	var id actor.ID
	var leaf int
	ctx := host.WithEvents(t.Context())
	err := host.OpenNursery(ctx, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p := startAll(ctx, t, n, top)[0]
		id = p.ID()
		pid, err := below.Call(ctx, p, "stop")
		if err != nil {
			return err
		}
		leaf, err = strconv.Atoi(pid)
		n.Cancel()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for e := range host.Events(ctx) {
		if e.Actor.Is(id) && e.Step != "" {
			t.Errorf("top did not end in order: %v", e)
		}
		if e.To == host.Gone {
			break
		}
	}
	if err := syscall.Kill(leaf, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the leaf is still there: %v", err)
	}
}

var errEnough = errors.New("that is enough")

// A child that dies while it waits for its turn to be asked was not asked: its failure is
// one of the nursery's.
func TestN03_DeathBeforeItsTurnIsAFailure(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s := spec(t, "waits", "good")
		s.Grace = config.Duration(1000 * time.Hour)
		p, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		host.HoldTurns(n)
		n.Go(func() {
			<-ctx.Done()
			for range 10 { // it takes calls until it is asked
				if _, err := whoami.Call(context.WithoutCancel(ctx), p, none{}); err != nil {
					t.Errorf("while it waits: %v", err)
				}
			}
			kill(t, p, syscall.SIGKILL)
		})
		return errEnough
	})
	died, ok := errors.AsType[*fault.ActorDied](err)
	if !ok || died.ID.Name != "waits" || died.Signal != syscall.SIGKILL.String() {
		t.Errorf("the death was not returned: %v", err)
	}
	if !errors.Is(err, errEnough) {
		t.Errorf("nor what the body returned: %v", err)
	}
}
