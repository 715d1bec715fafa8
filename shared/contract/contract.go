package contract

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/seed-2ba35074/trellis/internal/callers"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// Portal is what one holds to call into another actor. A host has a *host.Portal for each
// of its children, which goes on working when the child restarts; a plugin has sdk.Parent for
// its host. It may be used from any goroutine.
//
// It is sealed: programs hold portals and pass them on, and only this module makes them.
type Portal interface{ portal }

// portal is what an endpoint.Reach has; nobody else can name what it returns.
type portal interface {
	Table(ctx context.Context) (dialog.Target, error)
}

// Handler is an endpoint with the code that serves it, as an endpoint's Handle method makes
// it. A plugin serves it with sdk.Serve, a host with host.Options.Endpoints; one Handler
// may be served by any number of hosts at the same time. The zero Handler is refused there.
type Handler struct{ served }

type served = endpoint.Served

// Name is the name under which callers find the endpoint.
func (h Handler) Name() string { return h.served.Name }

// Concurrent is the same Handler for an endpoint of which at most n run at once for each
// caller, an actor with a link to this one. Others wait to begin, and can be cancelled meanwhile.
// A task counts until its answer is on its way, so a caller that asks for many large answers and
// does not read them costs n of them. Tasks that wait for others of the same endpoint and caller
// may wait for ever; bound only what ends without them. An n below 1 is refused where the
// Handler is served.
func (h Handler) Concurrent(n int) Handler {
	if h.Most = n; n < 1 {
		h.Err = fmt.Errorf("endpoint %q: Concurrent(%d) would let none run; it must be 1 or more", h.Name(), n)
	}
	return h
}

// Callers is the same Handler for an endpoint that only these may call: "parent", the hosts
// above the actor; "children", all that it hosts; "siblings", all beside it and below these;
// "tree", every actor; "joined", programs that have joined; or paths of actors, and names of
// those that the actor or one of its hosts hosts. Without it, and if the config of the actor
// has no callers either, they are parent, children and siblings; if both have some, both must
// admit a caller. The hosts of an actor may always call it. Others get [fault.ErrNotAllowed].
// A word that is none of these is refused where the Handler is served.
func (h Handler) Callers(who ...string) Handler {
	h.served.Callers = append(callers.Rule{}, who...)
	if err := h.served.Callers.Validate(); err != nil {
		h.Err = fmt.Errorf("endpoint %q: Callers: %w", h.Name(), err)
	}
	return h
}

// signature is what both ends must agree on, and how payloads are coded. It does not change.
type signature struct {
	name        string
	kind        dialog.Kind
	shape       string
	fingerprint uint64 // 0: the types are not known, JSON for calls by hand
	codec       string
	unfit       error // why it can be neither called nor served; nil if it can
	open        bool  // a part has an interface somewhere: what is behind it is seen with a value
}

// handler serves the endpoint with run, whose ctx has what the caller sent along.
func (s *signature) handler(run dialog.Task) Handler {
	return Handler{served{
		Name: s.name, Kind: s.kind, Shape: s.shape, Fingerprint: s.fingerprint, Err: s.unfit,
		Run: func(ctx context.Context, d *dialog.Dialog) ([]byte, error) { return run(arrive(ctx, d), d) },
	}}
}

// request fills r with a call of the endpoint with encoded arguments, which are given away,
// and gives the table that it goes through. The request lies once, in the caller's frame.
func (s *signature) request(ctx context.Context, p Portal, args *wire.Buffer, r *dialog.Request) (t dialog.Target, err error) {
	if t, err = p.Table(ctx); err != nil {
		return t, err
	}
	r.Endpoint, r.Kind, r.Fingerprint, r.Codec = s.name, s.kind, s.fingerprint, s.codec
	r.Args, r.Owner, r.Metadata = args.Bytes(), args, MetadataFrom(ctx)
	return t, nil
}

// scope opens the endpoint and runs body in the scope of its dialog. It goes on with another callee
// if one has not begun: then body has not run either, since a dialog that is refused has
// nothing in it.
func scope[Args any](ctx context.Context, s *signature, p Portal, args Args, o *ContextOptions, body func(ctx context.Context, d *dialog.Dialog) error) error {
	for {
		d, told, err := begin(ctx, s, p, args, o)
		if err != nil {
			return err
		}
		if p = nil; told == nil {
			err = d.Scope(body)
		} else {
			p, err = counted(d, told, body)
		}
		if p == nil {
			return explain(s, d, err)
		}
	}
}

// counted is the scope of a dialog whose portal wants to be told of its end, so that others pay
// nothing for that. next is as for over.
func counted(d *dialog.Dialog, told ending, body func(ctx context.Context, d *dialog.Dialog) error) (next Portal, err error) {
	returned := false
	defer func() {
		if !returned { // body has panicked, or called runtime.Goexit
			told(nil)
		}
	}()
	err = d.Scope(body)
	returned = true
	return over(told, d.Refused(), err), err
}

// ending is what is told when a dialog is over: see dialog.Target.
type ending = func(unbegun error) (next func(context.Context) (dialog.Target, error))

// over tells that a dialog is over; told is nil for a portal that leads to one actor only. It
// gives the portal to another callee if this one has not begun.
func over(told ending, unbegun bool, err error) Portal {
	if told == nil {
		return nil
	}
	if !unbegun {
		err = nil
	}
	if next := told(err); next != nil {
		return endpoint.Reach(next)
	}
	return nil
}

// begin is the part of scope whose stack is not needed while the scope waits: a goroutine
// that waits with more than some 1.2 KiB in use keeps 8 KiB of stack instead of 4.
func begin[Args any](ctx context.Context, s *signature, p Portal, args Args, o *ContextOptions) (*dialog.Dialog, ending, error) {
	for {
		payload, err := encode(s, s.codec, arguments, args)
		if err != nil {
			return nil, nil, err
		}
		var r dialog.Request
		t, err := s.request(ctx, p, payload, &r)
		if err != nil {
			return nil, nil, err
		}
		r.Window, r.Reads = dialog.Window(o.Window), o.reads()
		d, err := t.Open(ctx, &r)
		if err == nil {
			return d, t.Over, nil
		}
		if p = over(t.Over, true, err); p == nil {
			return nil, nil, explain(s, t, err)
		}
	}
}

// FuncByHand is a [Func] by its name, for callers that do not have its Go types: payloads
// are JSON. The callee checks whether they fit, and results have its fields in their order.
func FuncByHand(name string) FuncEndpoint[json.RawMessage, json.RawMessage] {
	return FuncEndpoint[json.RawMessage, json.RawMessage]{byHand(name, dialog.Func)}
}

// SourceByHand is a [Source] by its name, with JSON. See [FuncByHand].
func SourceByHand(name string) SourceEndpoint[json.RawMessage, json.RawMessage] {
	return SourceEndpoint[json.RawMessage, json.RawMessage]{byHand(name, dialog.Source), &ContextOptions{}}
}

// ContextByHand is a [Context] by its name, with JSON. See [FuncByHand].
func ContextByHand(name string) ContextEndpoint[json.RawMessage, json.RawMessage, json.RawMessage, json.RawMessage, json.RawMessage] {
	return ContextEndpoint[json.RawMessage, json.RawMessage, json.RawMessage, json.RawMessage, json.RawMessage]{byHand(name, dialog.Context), &ContextOptions{}}
}

func byHand(name string, kind dialog.Kind) *signature {
	return &signature{name: name, kind: kind, codec: "json"}
}
