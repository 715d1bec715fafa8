// Package contract declares typed endpoints: once, in a package that a plugin and
// its callers share. The declaration types both ends.
//
//	var Count = contract.Func[Request, Result]("count")       // one call, one answer
//	var Lines = contract.Source[Query, Line]("lines")         // a one-way stream
//	var Train = contract.Context[Job, Ready, Command, Progress, Model]("train")
//
// A plugin serves Count.Handle(f); a caller says Count.Call(ctx, portal, request).
//
// A payload is protobuf when its type is a proto.Message, else CBOR, which honours
// json struct tags. Both ends compare a fingerprint of all types when a dialog
// begins; a field marked omitempty or omitzero is left out of it, so that optional
// fields may be added or removed without breaking older programs.
package contract

import (
	"context"

	"github.com/seed-2ba35074/trellis/shared/dialog"
	"github.com/seed-2ba35074/trellis/shared/wire"
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
}

// request begins a dialog with encoded arguments.
func (s *signature) request(ctx context.Context, args *wire.Buffer, window dialog.Window) dialog.Request {
	return traced(ctx, dialog.Request{
		Endpoint: s.name, Kind: s.kind, Fingerprint: s.fingerprint, Codec: s.codec,
		Args: args.Bytes(), Owner: args, Metadata: MetadataFrom(ctx), Window: window,
	})
}

// Metadata is what a caller sends along with every dialog that it opens: small
// texts for the callee's ctx, such as a tenant or a request id.
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
