package host

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/launch"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/tracing"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// pluginService is what go-plugin registers with its health service.
const pluginService = "plugin"

// checkResult is what one check has found.
// answers says that the process has answered, be it with a failure. One that answers is
// asked to end when its checks have failed; one that does not begins its teardown with
// SIGTERM.
type checkResult struct {
	err     error // nil: healthy
	answers bool
	broken  bool // there was no way to ask
}

// Two workers look after each process that is up, and neither waits for the other: one
// asks whether it is well, one whether its tasks end when they were told to. What either
// of them finds is only reported; the goroutine that owns the incarnation decides what to
// do.

// illness is why a process is ended that fails its health checks, or has a stuck task.
type illness struct {
	end
	answers bool // it can be asked to end
}

// watch looks after a process that is up: it checks its health, and whether its tasks end.
// It owns two workers, from start to wait, which end when the process is being ended. It
// belongs to the incarnation, whose goroutine calls start, closes ending and calls wait.
//
// Its fields are set before the workers begin, so that no lock guards them. found has room
// for one illness of each worker: neither ever waits for it to be read, which it may never
// be, as the process may be ended for another reason at the same time.
type watch struct {
	spec    Spec
	health  config.Health                      // the spec's, with its defaults
	checked func(reason string, failure error) // is told what each check has found
	note    func(e directory.Event)

	program launch.Program // this and the following two are set by start
	id      actor.ID
	table   *dialog.Table // nil for a foreign program

	stuck  chan struct{} // cap 1: another task is stuck
	found  chan illness  // cap 2: one of each worker
	ending chan struct{} // closed when the process is being ended, or has ended
	group  task.Group
}

func newWatch(spec Spec, checked func(reason string, failure error), note func(e directory.Event)) watch {
	return watch{
		spec: spec, health: spec.WithDefaults().Health, checked: checked, note: note,
		stuck: make(chan struct{}, 1), found: make(chan illness, 2), ending: make(chan struct{}),
	}
}

// start begins to look after a process that is up.
func (w *watch) start(program launch.Program, id actor.ID, table *dialog.Table) {
	w.program, w.id, w.table = program, id, table
	if !w.health.Off {
		w.group.Go(w.checkHealth)
	}
	if w.spec.Stuck == config.RestartWhenStuck {
		w.group.Go(w.awaitStuckTask)
	}
}

// wait returns when the workers have ended.
func (w *watch) wait() { w.group.Close() }

// checkHealth checks the process until it ends or has failed too often in a row. The first
// check is made at once, since actors that depend on the health of this one wait for it. A
// check that takes longer than the interval is followed by one other without a pause.
func (w *watch) checkHealth() {
	interval := time.Duration(w.health.Interval)
	due := inStep(time.Now(), interval)
	p := probe{endpoint: w.health.Endpoint, portal: endpoint.To(w.table)}
	defer p.wait()
	for failed := 0; ; {
		r := w.check(&p)
		if failed++; r.err == nil {
			failed = 0
		}
		if w.onChecked(r, failed) {
			return
		}
		if due = due.Add(interval); time.Until(due) < 0 {
			due = inStep(time.Now(), interval)
		}
		if closedWithin(w.ending, time.Until(due)) {
			return
		}
	}
}

// inStep is the last moment from which checks are counted, of twenty in each interval. So those of many children are
// made together: to wake an idle host for each of them takes more of a processor than a check. What is given still has
// now's monotonic clock: that of the wall may be set meanwhile.
func inStep(now time.Time, interval time.Duration) time.Time {
	return now.Add(-time.Duration(now.UnixNano()) % max(interval/20, 1))
}

// onChecked hands the supervisor what a check has found, and reports whether it was the
// last one. A check whose connection broke waits until the end of the process must have
// been noticed, twice deathBound at most, so that a crash is not first reported as a
// failed check.
func (w *watch) onChecked(r checkResult, failed int) bool {
	broken := r.broken || w.table != nil && isClosed(w.table.Link().Done()) // and what was asked over it has failed
	if isClosed(w.ending) || r.err != nil && broken && closedWithin(w.ending, 2*deathBound) {
		return true // what it found is the ending, which may be known a little later
	}
	reason := ""
	if r.err != nil {
		reason = r.err.Error()
	}
	w.checked(reason, r.err)
	if failed < w.health.Failures {
		return false
	}
	failure := &fault.ActorUnhealthy{ID: w.id, Checks: failed, Last: reason}
	w.found <- illness{end{cause: directory.Sick, reason: reason, failure: failure}, r.answers}
	return true
}

// check asks go-plugin's health service, on the main connection and so apart from the
// link, where large messages of the application's might delay it, and then the plugin's
// own endpoint if there is one. Both have to answer within one bound.
//
// The bound is looked at before the error: a call that it has ended fails as well, with a
// text that says less.
func (w *watch) check(p *probe) checkResult {
	ctx, stop := w.answerBound(time.Duration(w.health.Timeout))
	defer stop()
	answer, err := w.program.Check(ctx)
	switch {
	case ctx.Err() != nil:
		return checkResult{err: context.Cause(ctx)}
	case w.spec.GoPlugin != nil && unknownService(err):
		return checkResult{answers: true} // it answers, and that is all one can ask of it
	case err != nil:
		return checkResult{err: fmt.Errorf("the health service failed: %s", status.Convert(err).Message()), broken: true}
	case answer != healthpb.HealthCheckResponse_SERVING:
		return checkResult{err: fmt.Errorf("the health service says %s", answer), answers: true}
	case w.health.Endpoint == "":
		return checkResult{answers: true}
	}
	return p.call(ctx)
}

// unknownService reports whether a program has no health service, or one that does not
// know of go-plugin.
func unknownService(err error) bool {
	code := status.Code(err)
	return code == codes.Unimplemented || code == codes.NotFound
}

// probe calls a plugin's own endpoint. A call does not end before its callee does, so one
// that hangs is left alone and waited for again by the next check. There is never more
// than one call: an endpoint that hangs costs the plugin one task, however often it is
// checked.
//
// It belongs to the worker that checks, and is used by no other goroutine; err is written
// by the call's goroutine before calling is done. wait must be called at the end.
type probe struct {
	endpoint string
	portal   contract.Portal
	calling  *task.Worker
	err      error // of the last call
}

func (p *probe) call(ctx context.Context) checkResult {
	if p.calling == nil {
		p.calling = task.Start(func() { p.err = p.ask(ctx) })
	}
	select {
	case <-p.calling.Done():
		p.calling = nil
	case <-ctx.Done():
		return checkResult{err: fmt.Errorf("endpoint %q: %w", p.endpoint, context.Cause(ctx)), answers: true}
	}
	if p.err != nil {
		return checkResult{err: fmt.Errorf("endpoint %q: %w", p.endpoint, p.err), answers: true}
	}
	return checkResult{answers: true}
}

// ask calls the endpoint until ctx ends. The call has no deadline, with which it would
// not wait for a callee that hangs.
func (p *probe) ask(ctx context.Context) error {
	asking, cancel := context.WithCancelCause(tracing.Untraced(context.WithoutCancel(ctx)))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
	_, err := contract.FuncByHand(p.endpoint).Call(asking, p.portal, []byte("{}"))
	return err
}

// wait returns when no call goes on. It is called when the process is being ended: its
// tasks are told to end, and if they do not, the end of the link ends the call.
func (p *probe) wait() {
	if p.calling != nil {
		p.calling.Wait()
	}
}

// mostAnswerBounds is how many times its bound a health check may take on a machine that
// does not let the child run. Without it, a child that is starved for ever would never be
// found unhealthy, nor would one whose threads keep each other from running.
const mostAnswerBounds = 10

// answerBound bounds the answer to a health check by the time in which the child could have
// given it. Slow is not dead: what the child waits for a processor does not count, nor
// does what this process itself comes late. It owns a goroutine, until stop.
func (w *watch) answerBound(bound time.Duration) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	worker := task.Start(func() {
		if waited, ok := answerBoundOver(ctx, bound, w.program.Process().Starved); ok {
			cancel(fmt.Errorf("no answer within %v", waited))
		}
	})
	return ctx, func() {
		cancel(nil)
		worker.Wait()
	}
}

// answerBoundOver returns when the bound is over, and reports false if ctx ended before.
// starved is how long the child has waited for a processor so far, of which only
// differences are used. Most answers come at once, so that it is not asked before half of
// the bound is over: each time, it reads a file of /proc for each thread.
//
// Each round waits for what is left, and then adds back what did not count: by how much
// this process woke up too late, and for how long the child was starved meanwhile. The
// threads of the child are counted together, so that this may be more than has passed; a
// round never gives back more than it took. What is left shrinks with each round in which
// the child could run, and below a hundredth of the bound no further round is worth it.
func answerBoundOver(ctx context.Context, bound time.Duration, starved func() time.Duration) (waited time.Duration, ok bool) {
	begun := time.Now()
	if _, ok := pausesFor(ctx, bound/2); !ok {
		return 0, false
	}
	before := starved()
	for left := bound - bound/2; ; {
		late, ok := pausesFor(ctx, left)
		if !ok {
			return 0, false
		}
		now := starved()
		left = min(left, late+now-before)
		before, waited = now, time.Since(begun)
		if left < bound/100 || waited >= mostAnswerBounds*bound {
			return max(bound, waited.Round(bound)), true
		}
	}
}

// pausesFor waits for d, and says by how much it came back too late, which is a measure of
// how busy the machine is; it reports false if ctx ended before.
func pausesFor(ctx context.Context, d time.Duration) (late time.Duration, ok bool) {
	due := time.Now().Add(d)
	if closedWithin(ctx.Done(), d) {
		return 0, false
	}
	return time.Since(due), true
}

// onStuckTask reports a task of the child that was told to end and has not ended in time.
// The table of dialogs calls it, without its lock, on any goroutine, even before start and
// without a worker (stuck: warn); so it must not wait for one. stuck only wakes the
// worker, which then reads all stuck tasks from the table: one signal is enough for any
// number of them.
func (w *watch) onStuckTask(s dialog.StuckTask) {
	w.note(directory.Event{Stuck: s.Endpoint, Reason: fmt.Sprintf("its task of %q was told to end and goes on", s.Endpoint)})
	select {
	case w.stuck <- struct{}{}:
	default: // the worker looks again in any case
	}
}

// awaitStuckTask finds a task that has been stuck for the child's grace: what does not end
// by consent ends by force. A task that ends in the meantime leaves the table, so that the
// table is asked again when the grace of the oldest one is over. The actor still answers,
// and so it is asked to end first, which gives its other tasks the chance to end in order.
func (w *watch) awaitStuckTask() {
	grace := graceOf(w.spec)
	for {
		var due <-chan time.Time
		if stuck := w.table.Stuck(); len(stuck) > 0 {
			oldest := stuck[0]
			since := time.Since(oldest.Since)
			if since >= grace {
				failure := &fault.ActorStuck{ID: w.id, Endpoint: oldest.Endpoint, For: since.Round(time.Millisecond)}
				w.found <- illness{end{cause: directory.Stuck, reason: fmt.Sprintf("its task of %q goes on", oldest.Endpoint), failure: failure}, true}
				return
			}
			due = time.After(grace - since)
		}
		select {
		case <-due:
		case <-w.stuck:
		case <-w.ending:
			return
		}
	}
}
