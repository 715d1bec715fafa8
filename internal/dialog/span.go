package dialog

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"github.com/seed-2ba35074/trellis/internal/tracing"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// A span is told apart from all else that a dialog knows: nothing here changes what becomes of one,
// and a dialog without a span pays for no more than asking whether there is one. The counters of a
// stream are kept where its messages are counted for credit, under the dialog's lock.

// verbs are what spans call the opening of a dialog of each kind.
var verbs = [...]string{Func: "call ", Source: "stream ", Context: "open "}

// trace begins an opener's span, or hands on the one that its ctx is in, and puts it into the
// request. It calls a ctx that may be an author's.
func (d *Dialog) trace(r *Request) {
	if d.runtime() {
		return
	}
	r.within = trace.SpanContextFromContext(d.outer)
	d.span = d.table.cfg.Spans.Client(r.within)
}

// Traced is a ctx of a callee's task within its span, which the dialog's ctx has, or its opener's if nobody keeps that.
func (d *Dialog) Traced(ctx context.Context) context.Context {
	if d.span == nil && d.start.Span != 0 {
		return trace.ContextWithRemoteSpanContext(ctx, tracing.Read(d.start))
	}
	return ctx
}

// traced ends the span of this side, and hands it on. err is what an opener's dialog has ended
// with. It is called without a lock, as it calls methods of that; and when all else is done,
// so that nobody waits for it.
func (d *Dialog) traced(err error) {
	if d.span == nil {
		return
	}
	verb, service := "serve ", d.Self().Name
	if !d.callee {
		verb, service = verbs[d.kind], d.Peer().Name
		if err == nil && d.kind != Func && d.Cancelled() { // nobody has the dialog of a Func, to call Cancel
			err = context.Canceled
		}
	}
	told := fault.Pack(err, d.Self())
	d.mu.Lock()
	if d.callee {
		told = d.told
	}
	if told == nil && d.callee && d.cause != nil { // there was nobody to tell
		told = d.cause.pack(d.Self())
	}
	span := d.span.End(told)
	d.mu.Unlock()
	if span.Numbers != nil {
		span.Verb, span.Service, span.Method = verb, service, d.endpoint
		d.table.cfg.Spans(span)
	}
}
