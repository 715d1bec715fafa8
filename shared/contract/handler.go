package contract

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Handler is an endpoint with the code that serves it, as an endpoint's Handle
// method makes it.
type Handler struct {
	sig *signature
	run dialog.Task
}

// Name is the endpoint's name.
func (h Handler) Name() string { return h.sig.name }

// Exposed is what an actor serves: handlers by name.
type Exposed struct {
	self     actor.ID
	handlers map[string]Handler
}

// Expose gathers handlers. Two of one name, an empty name, and names that the
// runtime keeps for itself are errors.
func Expose(self actor.ID, handlers ...Handler) (*Exposed, error) {
	e := &Exposed{self: self, handlers: map[string]Handler{}}
	for _, h := range handlers {
		if h.sig == nil {
			return nil, fmt.Errorf("a handler without an endpoint; make it with an endpoint's Handle method")
		}
		if h.sig.unfit != nil {
			return nil, h.sig.unfit
		}
		name := h.sig.name
		if name == "" || strings.HasPrefix(name, dialog.RuntimePrefix) {
			return nil, fmt.Errorf("endpoint name %q: it must not be empty nor begin with %q", name, dialog.RuntimePrefix)
		}
		if _, twice := e.handlers[name]; twice {
			return nil, fmt.Errorf("endpoint %q is served twice", name)
		}
		run := h.run
		h.run = func(ctx context.Context, d *dialog.Dialog) ([]byte, error) { return run(arrive(ctx, d.Request()), d) }
		e.handlers[name] = h
	}
	return e, nil
}

// Accept finds the task for a dialog that another actor opens.
func (e *Exposed) Accept(start *wire.Start) (dialog.Task, error) {
	h, ok := e.handlers[start.Endpoint]
	if !ok {
		return nil, &fault.NotExposed{
			Actor: e.self, Endpoint: start.Endpoint, Kind: dialog.KindName(start.Kind), Exposed: e.names(),
		}
	}
	if h.sig.kind != start.Kind {
		return nil, &fault.NotExposed{
			Actor: e.self, Endpoint: start.Endpoint,
			Kind: dialog.KindName(start.Kind), Actual: dialog.KindName(h.sig.kind),
		}
	}
	if start.Fingerprint != 0 && start.Fingerprint != h.sig.fingerprint {
		return nil, &fault.ContractError{
			Endpoint: start.Endpoint, What: mismatch, Want: h.sig.shape, Got: "another set of types",
		}
	}
	if _, err := wire.CodecByName(start.Codec); err != nil {
		return nil, err
	}
	return h.run, nil
}

// Endpoints describes what is served, by name.
func (e *Exposed) Endpoints() []*wire.Endpoint {
	out := make([]*wire.Endpoint, 0, len(e.handlers))
	for _, name := range e.names() {
		sig := e.handlers[name].sig
		out = append(out, &wire.Endpoint{Name: name, Kind: sig.kind, Shape: sig.shape})
	}
	return out
}

func (e *Exposed) names() []string {
	var names []string
	for name := range e.handlers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
