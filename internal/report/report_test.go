package report_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/report"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// ends are a host and an actor that hosts others, with a link between them.
type ends struct {
	above, below *directory.Memory // registries
	member       directory.Membership
	host, child  *dialog.Table
	sent         chan error // what Send has returned
}

// join links two ends, and begins to tell the host what the actor's registry has.
func join(t *testing.T) *ends {
	e := &ends{above: directory.NewMemory(nil), below: directory.NewMemory(nil), sent: make(chan error, 1)}
	e.member = e.above.Join("mid", nil)
	e.member.Publish(directory.Event{Actor: actor.NewID("mid"), Epoch: 1, To: directory.Ready})
	a, b := link.Pipe()
	e.host = dialog.NewTable(link.New(a, link.Config{Self: actor.NewID("host")}), dialog.Config{
		Base: t.Context(), Runtime: func(*wire.Start) (dialog.Task, error) {
			return func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
				return nil, report.Receive(ctx, d, e.member)
			}, nil
		},
	})
	e.child = dialog.NewTable(link.New(b, link.Config{Self: actor.NewID("mid"), Dialled: true}), dialog.Config{Base: t.Context()})
	go func() { e.sent <- report.Send(t.Context(), e.child, e.below) }()
	return e
}

// part ends the link, as a death does.
func (e *ends) part(why error) {
	e.child.Link().Abort(errors.New("dead"))
	for _, t := range []*dialog.Table{e.host, e.child} {
		<-t.Link().Done()
		t.Lose(why)
		t.Close()
	}
}

// last is the last event of an actor that the host has.
func (e *ends) last(t *testing.T, path string) directory.Event {
	t.Helper()
	found := e.above.Entries(path)
	if len(found) != 1 {
		t.Fatalf("%s is there %d times", path, len(found))
	}
	return found[0].Last
}

// What is told of an actor comes whole, as far as it is not too large; what is too large comes as
// much as fits, and never keeps the event itself from being told.
func TestO01_WhatIsTooLargeIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := join(t)
		leaf := e.below.Join("leaf", nil)
		small := &fault.ActorDied{ID: actor.NewID("leaf"), ExitCode: 7}
		leaf.Publish(directory.Event{
			Actor: actor.NewID("leaf"), To: directory.Ready, Reason: "as it was", Err: small,
			Endpoints: []directory.Endpoint{{Name: "count", Kind: "func"}},
		})
		synctest.Wait()
		got := e.last(t, "mid/leaf")
		if died, ok := errors.AsType[*fault.ActorDied](got.Err); !ok || died.ExitCode != 7 || got.Reason != "as it was" || len(got.Endpoints) != 1 {
			t.Errorf("O01: %+v, %v", got, got.Err)
		}
		var many []directory.Endpoint
		for n := range 10_000 {
			many = append(many, directory.Endpoint{Name: fmt.Sprint("endpoint ", n), Kind: "context"})
		}
		large := errors.New(strings.Repeat("large ", 1<<16))
		beginning := large.Error()[:60]
		leaf.Publish(directory.Event{
			Actor: actor.NewID("leaf"), To: directory.Unhealthy, Reason: large.Error(), Stuck: large.Error(), Err: large, Endpoints: many,
		})
		synctest.Wait()
		got = e.last(t, "mid/leaf")
		if got.To != directory.Unhealthy || !strings.HasPrefix(got.Reason, beginning) || !strings.Contains(got.Err.Error(), beginning) || len(got.Endpoints) < 50 {
			t.Errorf("O01: %d bytes of reason, %v, %d endpoints", len(got.Reason), got.Err, len(got.Endpoints))
		}
		e.below.Finish()
		if err := <-e.sent; err != nil {
			t.Error(err)
		}
		e.part(errors.New("it is over"))
	})
}

// However the stream ends, what was there is told gone: with the death that has ended the link, or
// with the plain fact that nothing more is told.
func TestO01_TheEndOfTheStreamClosesWhatWasThere(t *testing.T) {
	death := &fault.ActorDied{ID: actor.NewID("mid"), Signal: "killed"}
	for name, c := range map[string]struct {
		end    func(e *ends)
		reason string
		died   bool
	}{
		"a death":       {func(e *ends) { e.part(death) }, "its host is lost: ", true},
		"in good order": {func(e *ends) { e.below.Finish() }, "its host tells no more of it", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := join(t)
				leaf := e.below.Join("leaf", nil)
				leaf.Publish(directory.Event{Actor: actor.NewID("leaf"), To: directory.Ready})
				synctest.Wait()
				c.end(e)
				synctest.Wait()
				var told directory.Event
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				for event := range e.above.Events(ctx) {
					if event.Path == "mid/leaf" {
						told = event
					}
				}
				died, ok := errors.AsType[*fault.ActorDied](told.Err)
				if told.To != directory.Gone || told.Cause != directory.Lost || !strings.HasPrefix(told.Reason, c.reason) || ok != c.died || ok && died.Signal != "killed" {
					t.Errorf("O01: the end is told as %+v, %v", told, told.Err)
				}
				<-e.sent
				e.part(death)
			})
		})
	}
}

// A flood is taken at a pace. Whoever floods loses the oldest, and is not cut off.
func TestO01_AFloodIsTakenAtAPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := join(t)
		leaf := e.below.Join("leaf", nil)
		id := actor.NewID("leaf")
		leaf.Publish(directory.Event{Actor: id, To: directory.Ready})
		synctest.Wait()
		const flood = 20_000
		for n := range flood {
			leaf.Publish(directory.Event{Actor: id, To: directory.Ready, Reason: fmt.Sprint(n)})
		}
		synctest.Wait() // no time passes
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var last directory.Event
		for event := range e.above.Watch(ctx) {
			last = event
		}
		if last.Reason == fmt.Sprint(flood-1) {
			t.Error("O01: all of a flood was taken at once")
		}
		e.below.Finish()
		if err := <-e.sent; err != nil { // in its time
			t.Error(err)
		}
		missed, came := 0, uint64(0)
		for event := range e.above.Events(ctx) {
			missed += event.Missed
			came = max(came, event.Seq)
		}
		if missed == 0 || came != flood+1 {
			t.Errorf("O01: %d events were told as lost, and the last one that came was number %d; want some, and %d", missed, came, flood+1)
		}
		e.part(errors.New("it is over"))
	})
}
