package host

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/internal/dialog"
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

// unwell is why a child is ended that fails its health checks, or has a stuck task.
type unwell struct {
	cause   Cause
	reason  string
	failure error
	answers bool // it can be asked to end
}

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
		p := probe{endpoint: i.spec.Health.Endpoint, portal: tableOf{i.table}}
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

// onChecked tells the supervisor what a check has found, and reports whether it was
// the last one.
func (i *incarnation) onChecked(v checkResult, failed int) bool {
	threshold := i.spec.Health.Failures
	if threshold <= 0 {
		threshold = DefaultHealthFailures
	}
	if isClosed(i.ending) {
		return true // what it found is the ending
	}
	if v.broken && i.within(i.ending, 2*deathBound) {
		return true // the same: a process that ends cannot be asked shortly before that is known
	}
	i.child.n.update(func() { i.child.onHealth(v) })
	if failed < threshold {
		return false
	}
	last := v.err.Error()
	i.unwell <- unwell{Sick, last, &fault.ActorUnhealthy{ID: i.id, Checks: failed, Last: last}, v.answers}
	return true
}

// onHealth takes in what a health check has found.
func (c *child) onHealth(v checkResult) {
	row := c.row()
	if row == nil || row.phase != up || c.state == Stopping { // its end came in between
		return
	}
	switch {
	case v.err != nil:
		c.record(Event{To: Unhealthy, Reason: v.err.Error(), Err: v.err})
	case c.state == Unhealthy:
		c.record(Event{To: Ready, Reason: "healthy again"})
	}
	if row.healthy != (v.err == nil) {
		c.n.carryOut(c.n.plan.isHealthy(c.id, v.err == nil), nil)
	}
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

// tableOf is a portal to one process and not to its successors.
type tableOf struct{ table *dialog.Table }

// Table gives the process's table.
func (t tableOf) Table(context.Context) (*dialog.Table, error) { return t.table, nil }
