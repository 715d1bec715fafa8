package host

import (
	"context"
	"maps"
	"os"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/launch"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/route"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// measureTree gives a function that reads the numbers of an actor, and of all
// below it.
func measureTree(r *route.Router) func(context.Context) ([]telemetry.Metrics, error) {
	return func(ctx context.Context) ([]telemetry.Metrics, error) {
		all, err := r.Tree(ctx)
		if err == nil {
			all[0].Process = telemetry.Process(process.LoadOf(os.Getpid()))
		}
		return all, err
	}
}

// What a host says of its children is read in three steps, so that no lock is held while anybody is
// asked: what the table knows, under the lock (child.measure); what the system knows of the process;
// and what the actor itself has answered, while all others were asked as well (measured.numbers).

// measured is a child whose numbers are being read.
type measured struct {
	telemetry.Metrics
	process launch.Process // nil if there is none
	table   *dialog.Table  // nil if there is nobody to ask
	asker   *route.Inquirer
	inquiry *route.Inquiry
}

// measure is a [route.Measure]. All children are asked at once.
func (n *Nursery) measure(ctx context.Context, own *telemetry.Metrics, within time.Duration) (all []telemetry.Metrics) {
	var children []measured
	n.look(func() {
		children = make([]measured, 0, len(n.children))
		for _, c := range n.children {
			children = append(children, c.measure())
		}
	})
	ctx, stop := context.WithTimeout(ctx, within)
	defer stop()
	var looking task.Group // at all processes at once: one on another machine may take its time
	for i := range children {
		m := &children[i]
		if m.table != nil {
			m.inquiry = m.asker.Ask(m.table, within*3/4) // it has others to ask, and its answer takes time
			route.Count(own, m.table)
		}
		if m.process != nil {
			looking.Go(func() { m.Process = telemetry.Process(m.process.Load()) })
		}
	}
	looking.Close()
	all = make([]telemetry.Metrics, 0, len(children))
	for i := range children {
		all = append(all, children[i].numbers(ctx)...)
	}
	return all
}

// measure is what the child's host knows of it. It is called under the lock.
func (c *child) measure() (m measured) {
	m.Actor, m.Deaths, m.Last = treepath.Last(c.member.Path()), maps.Clone(c.deaths), telemetry.Spent(c.used)
	switch {
	case c.spec.Health.Off:
		m.Health = route.HealthOff
	case c.healthy:
		m.Health = route.HealthOK
	case c.state == directory.Unhealthy:
		m.Health = route.HealthFailed
	}
	if !c.hasProcess() {
		m.Silent = "it has no process"
		return m
	}
	m.process = c.current.program.Process()
	switch {
	case c.current.foreign():
		m.Silent = "its program knows nothing of Trellis"
	case c.current != c.lastUp:
		m.Silent = "it is not up yet"
	default:
		m.table, m.asker = c.current.table, &c.current.asker
	}
	return m
}

// numbers gives those of the child, and of all below it.
func (m *measured) numbers(ctx context.Context) []telemetry.Metrics {
	if m.inquiry == nil {
		return []telemetry.Metrics{m.Metrics}
	}
	all, err := m.inquiry.Await(ctx)
	if err != nil {
		m.Silent = fault.Line(err)
		return []telemetry.Metrics{m.Metrics}
	}
	m.Activity, m.Endpoints = all[0].Activity, all[0].Endpoints
	answer := []telemetry.Metrics{m.Metrics}
	for _, below := range all[1:] {
		below.Actor = treepath.Join(m.Actor, below.Actor)
		answer = append(answer, below)
	}
	return answer
}
