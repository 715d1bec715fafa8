package phases_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// stage is an actor in one of its phases.
type stage struct {
	t      testing.TB
	ctx    context.Context
	n      *host.Nursery
	role   string
	hurry  chan struct{}
	portal *host.Portal

	l   *linked // a context instead of an actor
	cut func()
}

// probe is one function of a table, called on a stage; what it gives is in words.
type probe func(ctx context.Context, s *stage) string

var (
	errOver   = errors.New("the ctx of the call is over")
	errEnd    = errors.New("the nursery is to end")
	errFailed = errors.New("the task has failed")
)

func init() { fault.Sentinel("phases_test.failed", errFailed) }

// words names what a function has given.
func words(err error) string {
	for _, known := range []struct {
		err  error
		text string
	}{
		{errOver, "ctx"}, {errFailed, "the failure"}, {io.EOF, "EOF"}, {fault.ErrStreamClosed, "ErrStreamClosed"},
		{fault.ErrStartedTwice, "ErrStartedTwice"}, {fault.ErrActorTooSlow, "ErrActorTooSlow"}, {fault.ErrNurseryClosed, "ErrNurseryClosed"},
		{fault.ErrActorDown, "ErrActorDown"}, {fault.ErrActorLost, "ErrActorLost"}, {fault.ErrActorClosing, "ErrActorClosing"},
		{errEnd, "the cause"},
	} {
		if errors.Is(err, known.err) {
			return known.text
		}
	}
	_, cancelled := fault.Cancelled(err)
	switch {
	case err == nil:
		return "a value"
	case cancelled:
		return "ContextCancelled"
	case status.Code(err) == codes.Canceled:
		return "ctx"
	}
	return err.Error()
}

var actorProbes = map[string]probe{
	"FuncEndpoint.Call": func(ctx context.Context, s *stage) string {
		_, err := echo.Call(ctx, s.portal, none{})
		return words(err)
	},
	"Portal.Conn": func(ctx context.Context, s *stage) string { _, err := s.portal.Conn(ctx); return words(err) },
	"Portal.Broker": func(ctx context.Context, s *stage) string {
		_, err := s.portal.Broker(ctx)
		return words(err)
	},
	"Portal.Dispense": func(ctx context.Context, s *stage) string {
		_, err := s.portal.Dispense(ctx, nothing{})
		return words(err)
	},
	"Portal.Services":  func(ctx context.Context, s *stage) string { return check(ctx, s.portal.Services()) },
	"Portal.ID":        func(_ context.Context, s *stage) string { return named(s.portal.ID().Name) },
	"Portal.State":     func(_ context.Context, s *stage) string { return string(s.portal.State()) },
	"Portal.Endpoints": func(_ context.Context, s *stage) string { return named(s.portal.Endpoints()[0]) },
	"Portal.Done":      func(ctx context.Context, s *stage) string { return closed(ctx, s.portal.Done()) },
	"Portal.Cancel":    func(ctx context.Context, s *stage) string { return ended(s.portal.Cancel(ctx, "done")) },
}

var foreignProbes = map[string]probe{
	"Portal.Services": func(ctx context.Context, s *stage) string { return check(ctx, s.portal.Services()) },
	"Portal.Services, a stream": func(ctx context.Context, s *stage) string {
		_, err := s.portal.Services().NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, "/phases.Test/Stream")
		return words(err)
	},
	"Portal.Conn":   func(ctx context.Context, s *stage) string { _, err := s.portal.Conn(ctx); return words(err) },
	"Portal.Broker": func(ctx context.Context, s *stage) string { _, err := s.portal.Broker(ctx); return words(err) },
	"Portal.Dispense": func(ctx context.Context, s *stage) string {
		_, err := s.portal.Dispense(ctx, nothing{})
		return words(err)
	},
	"Portal.Version": func(ctx context.Context, s *stage) string { _, err := s.portal.Version(ctx); return words(err) },
	"Portal.ID":      func(_ context.Context, s *stage) string { return named(s.portal.ID().Name) },
	"Portal.State":   func(_ context.Context, s *stage) string { return string(s.portal.State()) },
	"Portal.Done":    func(ctx context.Context, s *stage) string { return closed(ctx, s.portal.Done()) },
	"Portal.Cancel":  func(ctx context.Context, s *stage) string { return ended(s.portal.Cancel(ctx, "done")) },
}

// check makes a unary call to a service of the plugin's own.
func check(ctx context.Context, conn grpc.ClientConnInterface) string {
	return words(conn.Invoke(ctx, askMethod, new(emptypb.Empty), new(emptypb.Empty)))
}

func named(name string) string {
	if name == "" {
		return "nothing"
	}
	return "a value"
}

func closed(ctx context.Context, c <-chan struct{}) string {
	select {
	case <-c:
		return "closed"
	default:
	}
	select {
	case <-c:
		return "closed"
	case <-ctx.Done():
		return words(context.Cause(ctx))
	}
}

func ended(err error) string {
	if err == nil {
		return "nil"
	}
	return words(err)
}

// played is a probe that runs.
type played struct {
	name, got string
	want      string // when the phase is over
	running   *task.Worker
	cancel    context.CancelCauseFunc
}

func (s *stage) start(name string, p probe) *played {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(s.ctx))
	run := &played{name: name, cancel: cancel}
	run.running = task.Start(func() { run.got = p(ctx, s) })
	return run
}

// check fails the test unless the probe returns, and with what it should give.
func (s *stage) check(run *played, want string) {
	s.t.Helper()
	select {
	case <-run.running.Done():
		if !slices.Contains(strings.Split(want, " or "), run.got) {
			s.t.Errorf("%s gives %s, want %s", run.name, run.got, want)
		}
	case <-time.After(patience): // it is a hang that ends here, and nothing slow
		s.t.Fatalf("%s does not return, want %s", run.name, want)
	}
}

// begin calls everything that the table has in this phase but what ends it, and gives
// what waits for that.
func (s *stage) begin(tab table, phase string, probes map[string]probe, enders ...string) (held []*played) {
	s.t.Helper()
	col := slices.Index(tab.columns, phase)
	for _, r := range tab.rows {
		kind, want, waits := strings.Cut(r.cells[col], ", ")
		switch {
		case slices.Contains(enders, r.name) || kind == impossible:
			continue
		case !waits:
			s.check(s.start(r.name, probes[r.name]), kind)
			continue
		case kind == "waits":
			run := s.start(r.name, probes[r.name])
			run.cancel(errOver)
			s.check(run, "ctx")
		}
		run := s.start(r.name, probes[r.name])
		run.want = want
		held = append(held, run)
	}
	return held
}

// finish sees to it that what has waited returns.
func (s *stage) finish(held []*played) {
	s.t.Helper()
	for _, run := range held {
		s.check(run, run.want)
	}
}

// play calls everything that the table has in this phase. The function that ends the
// actor comes last; what waits must return by then.
func (s *stage) play(tab table, phase, last string, probes map[string]probe) {
	s.t.Helper()
	held := s.begin(tab, phase, probes, last)
	if phase == frozen && s.role == "actor" { // the call is in the actor's hands, and not before them
		s.awaitCalls(1)
	}
	want, then, waits := strings.Cut(tab.cell(last, phase), ", ")
	run := s.start(last, probes[last])
	if waits { // for the end of the process, which somebody has to hurry
		close(s.hurry)
		want = then
	}
	s.check(run, want)
	if !waits {
		close(s.hurry)
	}
	s.finish(held)
}

// awaitCalls returns when n dialogs are open.
func (s *stage) awaitCalls(n int) {
	t, err := s.portal.Table(s.ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	for t.Len() < n && s.ctx.Err() == nil {
		runtime.Gosched()
	}
}

// await returns when the actor of a name is in a state that it comes to after the process
// with the given pid has been reaped (0: at any time).
func (s *stage) await(name string, after int, state directory.State) {
	s.t.Helper()
	reaped := after == 0
	for e, err := range host.Events(s.ctx) {
		if err != nil {
			s.t.Fatal(err)
		}
		reaped = reaped || e.To == directory.Reaped && e.Actor.PID == after
		if reaped && e.Actor.Name == name && e.To == state {
			return
		}
	}
}

// up starts an actor or a foreign program.
func (s *stage) up(change func(*host.Spec)) {
	s.t.Helper()
	sp := spec(s.t, "p", s.role)
	sp.Restart = config.Permanent
	sp.CancelTimeout, sp.Grace, sp.TermTimeout = short, short, short
	sp.Backoff = config.Backoff{Initial: short, Max: short}
	change(&sp)
	var err error
	s.portal, err = s.n.Start(s.ctx, sp)
	if err != nil {
		s.t.Fatal(err)
	}
}

// patience is longer than anything takes that is not a hang.
const patience = time.Minute

const (
	short = config.Duration(20 * time.Millisecond)
	long  = config.Duration(time.Hour)
)

func (s *stage) pid() int {
	return s.portal.ID().PID
}

// kill ends the process, and returns when the actor is in a state after that.
func (s *stage) kill(then directory.State) {
	s.t.Helper()
	pid := s.pid()
	s.signal(syscall.SIGKILL)
	s.await("p", pid, then)
}

func (s *stage) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := syscall.Kill(s.pid(), sig); err != nil {
		s.t.Fatal(err)
	}
}

// freeze stops the process, and returns when all of its threads have stopped.
func (s *stage) freeze() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.pid()))
	if err != nil || len(threads) == 0 {
		s.t.Fatalf("no threads, %v", err)
	}
	for _, thread := range threads {
		for stat := []byte(nil); !bytes.Contains(stat, []byte(") T ")); runtime.Gosched() {
			if stat, err = os.ReadFile(thread); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// enter brings an actor into each phase. Events tell that it is there.
var enter = map[string]func(s *stage){
	pausing: func(s *stage) {
		s.up(func(sp *host.Spec) { sp.Backoff = config.Backoff{Initial: long, Max: long} })
		s.kill(directory.Waiting)
	},
	failingFast: func(s *stage) {
		s.up(func(sp *host.Spec) {
			sp.Backoff, sp.WhileDown = config.Backoff{Initial: long, Max: long}, config.FailWhileDown
		})
		s.kill(directory.Waiting)
	},
	starting: func(s *stage) {
		s.up(func(sp *host.Spec) { sp.Env[onceVar] = filepath.Join(s.t.TempDir(), "up") })
		s.kill(directory.Starting)
	},
	ready: func(s *stage) { s.up(func(sp *host.Spec) { sp.CancelTimeout, sp.Grace = long, long }) },
	unhealthy: func(s *stage) {
		s.up(func(sp *host.Spec) {
			sp.CancelTimeout, sp.Grace = long, long
			sp.Health = config.Health{Endpoint: unwell.Name(), Interval: short, Timeout: long, Failures: 1 << 30}
		})
		s.await("p", 0, directory.Unhealthy)
	},
	frozen: func(s *stage) {
		s.up(func(sp *host.Spec) {
			if s.role == "actor" {
				sp.Grace = long // until somebody hurries
			}
		})
		s.freeze()
	},
	stopping: func(s *stage) {
		if s.role == "foreign" {
			s.up(func(sp *host.Spec) { sp.Grace, sp.TermTimeout = long, long })
			s.freeze()
			s.n.Go(func() { _ = s.portal.Cancel(s.ctx, "done") }) // its row asks once more
			s.await("p", 0, directory.Stopping)
			return
		}
		s.up(func(sp *host.Spec) { sp.Grace = long })
		s.hold()
		_ = s.portal.Cancel(s.ctx, "done") // its row asks once more
	},
	gone: func(s *stage) {
		s.up(func(sp *host.Spec) { sp.CancelTimeout, sp.Grace = long, long })
		_ = s.portal.Cancel(s.ctx, "done")
		<-s.portal.Done()
	},
}

// hold runs a task in the actor that never ends.
func (s *stage) hold() {
	running := make(chan struct{})
	s.n.Go(func() {
		_, _ = stuck.Open(context.WithoutCancel(s.ctx), s.portal, none{}, func(ctx context.Context, _ *contract.Opener[none, none, none, none]) error {
			close(running)
			<-ctx.Done()
			return ctx.Err()
		}) // the actor's end ends it
	})
	<-running
}

// P14: every public function that waits returns in every phase of a child.
func TestP14_EachPhaseOfAnActor(t *testing.T) {
	for _, phase := range actorTable.columns {
		t.Run(phase, func(t *testing.T) {
			if phase == waitingForNeed {
				playWaiting(t)
				return
			}
			playPhase(t, "actor", phase, actorTable, "Portal.Cancel", actorProbes)
		})
	}
}

func TestP14_EachPhaseOfAForeignProgram(t *testing.T) {
	for _, phase := range foreignTable.columns {
		t.Run(phase, func(t *testing.T) { playPhase(t, "foreign", phase, foreignTable, "Portal.Cancel", foreignProbes) })
	}
}

func playPhase(t *testing.T, role, phase string, tab table, last string, probes map[string]probe) {
	s := &stage{t: t, role: role, hurry: make(chan struct{})}
	o := host.Options{Log: slog.New(slog.DiscardHandler), Hurry: s.hurry, Supervision: config.Supervision{Strategy: config.OneForOne}}
	err := host.OpenNursery(t.Context(), o, func(ctx context.Context, n *host.Nursery) error {
		s.ctx, s.n = ctx, n
		enter[phase](s)
		s.play(tab, phase, last, probes)
		n.Cancel()
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// playWaiting has two actors of a tree die: the one that is needed is in a pause that does
// not end, so that the other one's restart waits for it.
func playWaiting(t *testing.T) {
	s := &stage{t: t, role: "actor", hurry: make(chan struct{})}
	needed, p := spec(t, "needed", "actor"), spec(t, "p", "actor")
	needed.Restart, needed.Backoff = config.Permanent, config.Backoff{Initial: long, Max: long}
	p.Restart, p.Backoff, p.DependsOn = config.Permanent, config.Backoff{Initial: short, Max: short}, map[string]config.Condition{"needed": config.Started}
	o := host.Options{Log: slog.New(slog.DiscardHandler), Supervision: config.Supervision{Strategy: config.OneForOne}}
	err := host.OpenTree(t.Context(), o, []host.Spec{needed, p}, func(ctx context.Context, tree *host.Tree) (err error) {
		s.ctx = ctx
		if s.portal, err = tree.Portal("needed"); err != nil {
			return err
		}
		pid := s.pid()
		s.signal(syscall.SIGKILL)
		s.await("needed", pid, directory.Waiting)
		if s.portal, err = tree.Portal("p"); err != nil {
			return err
		}
		s.kill(directory.Waiting)
		s.play(actorTable, waitingForNeed, "Portal.Cancel", actorProbes)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
