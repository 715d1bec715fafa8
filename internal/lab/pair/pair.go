// Package pair runs an actor inside the process of its caller, linked through memory,
// for tests and examples of what needs no process: endpoints, contexts and flows.
package pair

import (
	"errors"
	"fmt"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/lab/pipe"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/tracing"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Portal leads to an actor inside this process. It is used as a host's or a plugin's.
type Portal struct {
	endpoint.Reach
	Callee  actor.ID // the actor that serves
	Dialogs *dialog.Table
	served  *dialog.Table
}

// Start links a caller with an actor that serves handlers. Close ends both. No handler runs in place:
// the time of a synctest bubble, where a test may be, stands still while one waits for a mutex.
func Start(handlers ...contract.Handler) (*Portal, error) {
	a, b := pipe.New()
	return join(a, b, 0, nil, handlers...)
}

// Join is Start over the two ends of another transport, where fast handlers run in place, as a plugin's do.
func Join(a, b link.Transport, handlers ...contract.Handler) (*Portal, error) {
	return join(a, b, dialog.DefaultTrials, nil, handlers...)
}

// Traced is Join for two actors whose spans are put into a source: those of the callee at the path "callee".
func Traced(s telemetry.Source, a, b link.Transport, handlers ...contract.Handler) (*Portal, error) {
	return join(a, b, dialog.DefaultTrials, func(at string) tracing.Sink { return tracing.To(s, at) }, handlers...)
}

func join(a, b link.Transport, trials int, spans func(at string) tracing.Sink, handlers ...contract.Handler) (*Portal, error) {
	callee := actor.NewID("callee")
	exposed, err := endpoint.Expose(callee, handlers...)
	if err != nil {
		return nil, err
	}
	var of, at tracing.Sink
	if spans != nil {
		of, at = spans(""), spans("callee")
	}
	p := &Portal{
		Callee:  callee,
		Dialogs: dialog.NewTable(link.New(a, link.Config{Self: actor.NewID("caller")}), dialog.Config{Spans: of}),
		served:  dialog.NewTable(link.New(b, link.Config{Self: callee, Dialled: true}), dialog.Config{Accept: exposed.Accept, Trials: trials, Spans: at}),
	}
	p.Reach = endpoint.To(p.Dialogs)
	<-p.Dialogs.Link().Greeted()
	<-p.served.Link().Greeted()
	return p, nil
}

// Close ends the link and waits for both actors. It is an error if a dialog is left.
func (p *Portal) Close() error {
	p.served.Link().Close(nil)
	var left []error
	for _, table := range []*dialog.Table{p.served, p.Dialogs} {
		<-table.Link().Done()
		table.Lose(errors.New("the link was closed"))
		table.Close()
		if n := table.Len(); n != 0 {
			left = append(left, fmt.Errorf("%d dialogs are left at %s", n, table.Self()))
		}
	}
	return errors.Join(left...)
}

// Serve is Start for as long as a test runs, which fails if a dialog is left at its end.
func Serve(t testing.TB, handlers ...contract.Handler) *Portal {
	t.Helper()
	p, err := Start(handlers...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("C15: %v", err)
		}
	})
	return p
}

// MustStart is Start for examples, which have no test to fail: it panics, and so does end.
func MustStart(handlers ...contract.Handler) (p *Portal, end func()) {
	p, err := Start(handlers...)
	if err != nil {
		panic(err)
	}
	return p, func() {
		if err := p.Close(); err != nil {
			panic(err)
		}
	}
}
