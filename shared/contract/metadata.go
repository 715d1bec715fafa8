package contract

import (
	"context"

	"github.com/seed-2ba35074/trellis/internal/ctxvalue"
	"github.com/seed-2ba35074/trellis/internal/dialog"
)

// Metadata is what a caller sends along with every call: small texts for the callee's ctx,
// such as a tenant or a request id. A call with more than 4,096 of them, or 1 MiB in all, or
// with text that is not valid UTF-8, is refused.
type Metadata map[string]string

// WithMetadata returns a ctx whose calls, sources and contexts carry m, in the place of
// what ctx carried before. m is not copied: leave it as it is from then on.
func WithMetadata(ctx context.Context, m Metadata) context.Context {
	return ctxvalue.With(ctx, m)
}

// MetadataFrom returns what [WithMetadata] put into ctx; in a handler, what its caller
// sent. Calls made with a handler's ctx pass it on. It is nil if there is none.
func MetadataFrom(ctx context.Context) Metadata {
	return ctxvalue.Of[Metadata](ctx)
}

// arrive gives a handler's ctx what came with the call: metadata, and where it is in a trace.
func arrive(ctx context.Context, d *dialog.Dialog) context.Context {
	ctx = d.Traced(ctx)
	if m := d.Request().Metadata; len(m) > 0 {
		ctx = WithMetadata(ctx, m)
	}
	return ctx
}
