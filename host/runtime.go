package host

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/report"
	"github.com/seed-2ba35074/trellis/internal/route"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// runtime serves what actors call in their hosts: one stream of the events of what the actor
// hosts and one of what those say, and what they ask about the tree. It runs on the link's reader.
func (i *incarnation) runtime(start *wire.Start) (dialog.Task, error) {
	answer := report.Answers(start, i.env.registry)
	if answer == nil {
		answer = i.special(start)
	}
	switch {
	case answer != nil:
		return answer, nil
	case start.Endpoint == wire.Events && start.Kind == dialog.Context:
		return i.once(start, &i.telling, func(ctx context.Context, d *dialog.Dialog) error { return report.Receive(ctx, d, i.hosted) })
	case start.Endpoint == wire.Records && start.Kind == dialog.Context:
		return i.once(start, &i.speaking, func(ctx context.Context, d *dialog.Dialog) error {
			return report.ReceiveRecords(ctx, d, i.hosted.Path(), i.env.records)
		})
	}
	return nil, &fault.NotExposed{Actor: i.env.self, Endpoint: start.Endpoint, Kind: dialog.KindName(start.Kind)}
}

// special is what only a program that has joined may ask, or one on another machine; nil for anything else.
func (i *incarnation) special(start *wire.Start) dialog.Task {
	function := start.Kind == dialog.Func
	switch p := i.program.(type) {
	case *remote:
		if function && start.Endpoint == wire.Renew {
			return p.renew
		}
	case *guest:
		switch {
		case function && start.Endpoint == wire.Order:
			return p.order
		case function && start.Endpoint == wire.ReadMetrics:
			return route.ShowMetrics(measureTree(i.env.router))
		}
		return report.AnswerRecords(start, i.env.records)
	}
	return nil
}

// once is a task that runs once in the life of the link.
func (i *incarnation) once(start *wire.Start, begun *atomic.Bool, receive func(ctx context.Context, d *dialog.Dialog) error) (dialog.Task, error) {
	if begun.Swap(true) {
		return nil, fmt.Errorf("%w: it is told %s of this actor already", fault.ErrOverloaded, start.Endpoint)
	}
	return func(ctx context.Context, d *dialog.Dialog) ([]byte, error) { return nil, receive(ctx, d) }, nil
}
