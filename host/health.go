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
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Defaults of a Spec's health checks.
const (
	DefaultHealthInterval = 2 * time.Second
	DefaultHealthTimeout  = time.Second
	DefaultHealthFailures = 3
)

// pluginService is what go-plugin registers with its health service.
const pluginService = "plugin"

// checkResult is what one check has found.
type checkResult struct {
	err     error // nil: healthy
	answers bool
	broken  bool // there was no way to ask
}

// watchHealth checks the child until it ends or has failed too often in a row. The
// worker ends soon after the child is being ended.
func (i *incarnation) watchHealth() *task.Worker {
	return task.Start(func() {
		if i.spec.Health.Off {
			return
		}
		ticker := time.NewTicker(orDefault(time.Duration(i.spec.Health.Interval), DefaultHealthInterval))
		defer ticker.Stop()
		p := probe{endpoint: i.spec.Health.Endpoint, portal: endpoint.To(i.table)}
		defer p.wait()
		for failed := 0; ; {
			v := i.check(&p)
			if failed++; v.err == nil {
				failed = 0
			}
			if i.onChecked(v, failed) {
				return
			}
			select {
			case <-ticker.C:
			case <-i.ending:
				return
			}
		}
	})
}

// onChecked hands the supervisor what a check has found, and reports whether it was
// the last one.
func (i *incarnation) onChecked(v checkResult, failed int) bool {
	threshold := i.spec.Health.Failures
	if threshold <= 0 {
		threshold = DefaultHealthFailures
	}
	if isClosed(i.ending) {
		return true // what it found is the ending
	}
	if v.broken && closedWithin(i.ending, 2*deathBound) {
		return true // the same: a process that ends cannot be asked shortly before that is known
	}
	reason := ""
	if v.err != nil {
		reason = v.err.Error()
	}
	i.owner.checked(reason, v.err)
	if failed < threshold {
		return false
	}
	i.unwell <- i.onUnhealthy(end{cause: Sick, reason: reason, failure: &fault.ActorUnhealthy{ID: i.id, Checks: failed, Last: reason}}, v.answers)
	return true
}

// check asks go-plugin's health service, on the main connection and so apart from
// the link, and then the plugin's own endpoint if there is one.
func (i *incarnation) check(p *probe) checkResult {
	bound := orDefault(time.Duration(i.spec.Health.Timeout), DefaultHealthTimeout)
	ctx, stop := i.answerBound(bound)
	defer stop()
	answer, err := i.client.health.Check(ctx, &healthpb.HealthCheckRequest{Service: pluginService})
	switch {
	case ctx.Err() != nil:
		return checkResult{err: context.Cause(ctx)}
	case i.foreign() && unknownService(err):
		return checkResult{answers: true} // it answers, and that is all one can ask of it
	case err != nil:
		return checkResult{err: fmt.Errorf("the health service failed: %s", status.Convert(err).Message()), broken: true}
	case answer.Status != healthpb.HealthCheckResponse_SERVING:
		return checkResult{err: fmt.Errorf("the health service says %s", answer.Status), answers: true}
	case i.spec.Health.Endpoint == "":
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

// probe calls a plugin's own endpoint. A call does not end before its callee does,
// so one that hangs is left alone and waited for again by the next check.
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
	asking, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
	_, err := contract.FuncByHand(p.endpoint).Call(asking, p.portal, []byte("{}"))
	return err
}

// wait returns when no call goes on. The end of the link ends them all.
func (p *probe) wait() {
	if p.calling != nil {
		p.calling.Wait()
	}
}

// mostPatience is how many times its bound a health check may take on a machine that
// does not let the child run.
const mostAnswerBounds = 10

// answerBound bounds the answer to a health check by the time in which the child could have
// given it. Slow is not dead: what the child waits for a processor does not count, nor
// does what this process itself comes late. It owns a goroutine, until stop.
func (i *incarnation) answerBound(bound time.Duration) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	worker := task.Start(func() {
		if waited, ok := answerBoundOver(ctx, bound, i.proc.Load().Starved); ok {
			cancel(fmt.Errorf("no answer within %v", waited))
		}
	})
	return ctx, func() {
		cancel(nil)
		worker.Wait()
	}
}

// answerBoundOver returns when the bound is over, and reports false if ctx ended before. starved is how
// long the child has waited for a processor so far. Most answers come at once, so that
// it is not asked before half of the bound is over.
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

// pausesFor waits, and says how late it comes back; it reports false if ctx ended before.
func pausesFor(ctx context.Context, d time.Duration) (late time.Duration, ok bool) {
	due := time.Now().Add(d)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return time.Since(due), true
	case <-ctx.Done():
		return 0, false
	}
}

// onStuckTask tells of a task of the child that was told to end and has not in time.
func (i *incarnation) onStuckTask(s dialog.StuckTask) {
	i.owner.note(Event{Stuck: s.Endpoint, Reason: fmt.Sprintf("its task of %q was told to end and goes on", s.Endpoint)})
	select {
	case i.stuck <- struct{}{}:
	default: // the watch looks again in any case
	}
}

// watchStuck ends the child, if its spec says so, when a task of it has been stuck for
// its grace: what does not end by consent ends by force. The worker ends when the child
// is being ended.
func (i *incarnation) watchStuck() *task.Worker {
	return task.Start(func() {
		if i.spec.Stuck != config.RestartWhenStuck {
			return
		}
		grace := graceOf(i.spec)
		for {
			var due <-chan time.Time
			if stuck := i.table.Stuck(); len(stuck) > 0 {
				oldest := stuck[0]
				since := time.Since(oldest.Since)
				if since >= grace {
					failure := &fault.ActorStuck{ID: i.id, Endpoint: oldest.Endpoint, For: since.Round(time.Millisecond)}
					i.unwell <- i.onUnhealthy(end{cause: Stuck, reason: fmt.Sprintf("its task of %q goes on", oldest.Endpoint), failure: failure}, true)
					return
				}
				due = time.After(grace - since)
			}
			select {
			case <-due:
			case <-i.stuck:
			case <-i.ending:
				return
			}
		}
	})
}
