package contract

import (
	"context"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// Portal is a handle for calling into another actor. The portals of packages host
// and sdk are the ones that programs use.
type Portal interface {
	// Table gives the dialogs of the link to that actor, as it is now.
	Table(ctx context.Context) (*dialog.Table, error)
}

// signature is what both ends must agree on, and how payloads are coded.
type signature struct {
	name        string
	kind        dialog.Kind
	shape       string
	fingerprint uint64 // 0: the types are not known, JSON for calls by hand
	codec       string
	unfit       error // why it can be neither called nor served; nil if it can
}

// call runs the endpoint with encoded arguments, which are given away.
func (s *signature) call(ctx context.Context, p Portal, args *wire.Buffer) ([]byte, error) {
	table, err := p.Table(ctx)
	if err != nil {
		return nil, err
	}
	var r dialog.Request
	s.address(ctx, &r, args)
	answer, err := table.Call(ctx, &r)
	if err != nil {
		return nil, explain(s, table.Peer(), err)
	}
	return answer, nil
}

// scope opens the endpoint with encoded arguments, which are given away.
func (s *signature) scope(ctx context.Context, p Portal, args *wire.Buffer, o *ContextOptions, body func(ctx context.Context, d *dialog.Dialog) error) error {
	table, err := p.Table(ctx)
	if err != nil {
		return err
	}
	var r dialog.Request
	s.address(ctx, &r, args)
	r.Window, r.Reads = o.Window, o.reads()
	return explain(s, table.Peer(), table.Scope(ctx, &r, body))
}

// address fills in a request, which lies in the caller's frame: a scope's stack is
// there for as long as the scope.
func (s *signature) address(ctx context.Context, r *dialog.Request, args *wire.Buffer) {
	r.Endpoint, r.Kind, r.Fingerprint, r.Codec = s.name, s.kind, s.fingerprint, s.codec
	r.Args, r.Owner = args.Bytes(), args
	r.Metadata = MetadataFrom(ctx)
	traced(ctx, r)
}

// Metadata is what a caller sends along with every dialog that it opens: small
// texts for the callee's ctx, such as a tenant or a request id. A call with more than
// 4,096 of them, or 1 MiB in all, or with text that is not valid UTF-8, is refused.
type Metadata map[string]string

type metadataKey struct{}

// WithMetadata returns a ctx whose dialogs carry m.
func WithMetadata(ctx context.Context, m Metadata) context.Context {
	return context.WithValue(ctx, metadataKey{}, m)
}

// MetadataFrom returns what WithMetadata put into ctx; in a handler, what its
// caller sent. Calls made with a handler's ctx pass it on.
func MetadataFrom(ctx context.Context) Metadata {
	m, _ := ctx.Value(metadataKey{}).(Metadata)
	return m
}

// arrive gives a handler's ctx what came with the Start.
func arrive(ctx context.Context, start *wire.Start) context.Context {
	ctx = withSpan(ctx, start)
	if len(start.Metadata) == 0 {
		return ctx
	}
	return WithMetadata(ctx, start.Metadata)
}
