package otlp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/report"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Run runs body, and sends what is logged in the nurseries that body opens with its ctx, the spans that they keep, and each Interval the
// numbers of the one that has begun last, to the collector of t.OTLP; with Receive, [Equip] gives foreign programs an endpoint meanwhile. Without an Endpoint and
// without Receive it only runs body. How much these nurseries keep is what t says, and not their Options.
//
// It returns what body does, and after what was logged until the end of the nurseries has been sent, which takes Flush
// at most. Before body is run it may return a *config.Error, or why there is no endpoint for foreign programs. A
// collector that is down, slow or not there is no error: what it misses is counted, in the log and in the
// records of the tree.
//
// In the body of a nursery, or of host.Join, what is logged until body returns is sent, and what is left of the past.
func Run(ctx context.Context, t config.Telemetry, body func(ctx context.Context) error) error {
	if err := t.Check(); err != nil {
		return err
	}
	if t = t.WithDefaults(); t.OTLP.Endpoint == "" && !t.OTLP.Receive {
		return body(ctx)
	}
	began := ctx
	ctx, end := report.InTree(ctx, t.Records, t.Spans)
	if t.OTLP.Endpoint != "" {
		e, err := startExport(context.WithoutCancel(ctx), t.OTLP)
		if err != nil {
			return err
		}
		defer e.finish(began, time.Duration(t.OTLP.Flush))
		tree := func(m report.Measure) { e.meter.tree.Store(&m) }
		if directory.From(began) != nil {
			tree(telemetry.Measure)
		}
		ctx = report.OnMeasure(ctx, tree)
	}
	defer end()
	if t.OTLP.Receive {
		r, err := listen(telemetry.From(ctx))
		if err != nil {
			return fmt.Errorf("an endpoint for foreign programs: %w", err)
		}
		defer r.close()
		ctx = context.WithValue(ctx, receiverKey{}, r)
	}
	return body(ctx)
}

// errFlushed is why a collector that is too slow is not waited for any more.
var errFlushed = errors.New("the tree has ended, and so has the time for what was left (telemetry.otlp.flush)")
