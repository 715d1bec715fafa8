// Package endpoint is what an actor serves: the code of each endpoint under its name, and
// the rule which dialogs that code takes. Package contract fills it in; hosts and plugins
// give it to the tables of their links.
package endpoint

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed-2ba35074/trellis/internal/callers"
	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Mismatch is the What of a [fault.ContractError] about two fingerprints that differ. Its
// Want is the callee's whole shape: only the opener, which has the other one, can say more.
const Mismatch = "types"

// Served is an endpoint with the code that serves it. It is a value that does not change once
// package contract has made it; Run may be called for many dialogs at the same time.
type Served struct {
	Name        string
	Kind        dialog.Kind
	Shape       string // of its types, one line for each part: docs/protocol, Fingerprints
	Fingerprint uint64 // of the shape
	Err         error  // why it cannot be served, such as by values that cannot be sent; nil if it can
	Run         dialog.Task
	Most        int // how many may run at once for one caller; 0: as many as it opens
	Callers     callers.Rule
}

// task is Run, when there is room for one more.
func (s *Served) task(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
	if err := d.Enter(s.Most); err != nil {
		return nil, err
	}
	return s.Run(ctx, d)
}

// Served is the endpoint itself: contract.Handler has it inside, out of programs' sight.
func (s Served) Served() Served { return s }

// Exposed is all that one actor serves. It does not change, and any number of tables may
// use it at the same time.
type Exposed struct {
	self   actor.ID
	served map[string]*Served
}

// Expose gathers handlers. Two of one name, an empty name, names that the runtime keeps for
// itself, and endpoints whose values cannot be sent are errors.
func Expose[H interface{ Served() Served }](self actor.ID, handlers ...H) (*Exposed, error) {
	e := &Exposed{self: self, served: map[string]*Served{}}
	for _, h := range handlers {
		s := h.Served()
		_, twice := e.served[s.Name]
		switch {
		case s.Run == nil:
			return nil, errors.New("a handler without an endpoint; make it with an endpoint's Handle method")
		case s.Err != nil:
			return nil, s.Err
		case s.Name == "" || strings.HasPrefix(s.Name, dialog.RuntimePrefix):
			return nil, fmt.Errorf("endpoint name %q: it must not be empty nor begin with %q", s.Name, dialog.RuntimePrefix)
		case twice:
			return nil, fmt.Errorf("endpoint %q is served twice", s.Name)
		}
		e.served[s.Name] = &s
	}
	return e, nil
}

// Accept finds the task for a dialog that another actor opens. It runs on the reader of
// that actor's link, and calls no code of an author.
func (e *Exposed) Accept(start *wire.Start) (dialog.Task, error) {
	s, ok := e.served[start.Endpoint]
	switch {
	case !ok:
		return nil, &fault.NotExposed{Actor: e.self, Endpoint: start.Endpoint, Kind: dialog.KindName(start.Kind), Exposed: e.names()}
	case s.Kind != start.Kind:
		return nil, &fault.NotExposed{
			Actor: e.self, Endpoint: start.Endpoint, Kind: dialog.KindName(start.Kind), Actual: dialog.KindName(s.Kind),
		}
	// 0 is an opener that does not know the types, such as a call made by hand.
	case start.Fingerprint != 0 && start.Fingerprint != s.Fingerprint:
		return nil, &fault.ContractError{Endpoint: start.Endpoint, What: Mismatch, Want: s.Shape, Got: "another set of types"}
	}
	if _, err := codecs.ByName(start.Codec); err != nil {
		return nil, err
	}
	if s.Most > 0 {
		return s.task, nil
	}
	return s.Run, nil
}

// Callers are who may call an endpoint, as its author says; nil: nobody has said it.
func (e *Exposed) Callers(endpoint string) callers.Rule {
	if s := e.served[endpoint]; s != nil {
		return s.Callers
	}
	return nil
}

// Endpoints describes what is served, in the order of the names. An actor answers its boot with
// it, and people and SDKs in other languages read the shapes.
func (e *Exposed) Endpoints() []*wire.Endpoint {
	out := make([]*wire.Endpoint, 0, len(e.served))
	for _, name := range e.names() {
		s := e.served[name]
		out = append(out, &wire.Endpoint{Name: name, Kind: s.Kind, Shape: s.Shape, Callers: s.Callers})
	}
	return out
}

func (e *Exposed) names() []string { return slices.Sorted(maps.Keys(e.served)) }
