package report_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/lab/pipe"
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
	root, mid    actor.ID
	member       directory.Membership
	host, child  *dialog.Table
	sent         chan error // what Send has returned
}

// join links two ends, and begins to tell the host what the actor's registry has.
func join(t *testing.T) *ends {
	e := &ends{
		above: directory.NewMemory("", nil), below: directory.NewMemory("mid", nil), sent: make(chan error, 1),
		root: actor.NewID("host"), mid: actor.NewID("mid"),
	}
	e.member = e.above.Join("mid", nil)
	e.member.Publish(directory.Event{Actor: e.mid, Epoch: 1, To: directory.Ready})
	e.host, e.child = connect(t, e.root, e.mid, e.member)
	go func() { e.sent <- report.Send(t.Context(), e.child, e.below) }()
	return e
}

// connect links a host and an actor. The host takes what the actor tells.
func connect(t *testing.T, parent, self actor.ID, m directory.Membership) (host, child *dialog.Table) {
	a, b := pipe.New()
	host = dialog.NewTable(link.New(a, link.Config{Self: parent}), dialog.Config{
		Base: t.Context(), Runtime: func(*wire.Start) (dialog.Task, error) {
			return func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
				return nil, report.Receive(ctx, d, m)
			}, nil
		},
	})
	return host, dialog.NewTable(link.New(b, link.Config{Self: self, Dialled: true}), dialog.Config{Base: t.Context()})
}

// part ends the link, as a death does.
func (e *ends) part(why error) { part(e.host, e.child, why) }

func part(host, child *dialog.Table, why error) {
	child.Link().Abort(errors.New("dead"))
	for _, t := range []*dialog.Table{host, child} {
		<-t.Link().Done()
		t.Lose(why)
		t.Close()
	}
}

// last is the last event of an actor that the host has.
func (e *ends) last(t *testing.T, path string) directory.Event {
	t.Helper()
	found, err := e.above.Entries(t.Context(), path)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s is there %d times: %v", path, len(found), err)
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
		var last string
		for event := range e.above.Watch(ctx, "leaf") {
			last = cmp.Or(event.Reason, last)
		}
		if last == fmt.Sprint(flood-1) {
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

// told is a message of the stream as anybody can make one.
type told map[string]any

// leaf is a message about an actor below the one that tells it.
func leaf(path, field string, value any) told {
	e := told{"path": path, "actor": actor.NewID("leaf"), "epoch": 1, "to": "ready", "time": time.Now()}
	if field != "" {
		e[field] = value
	}
	return told{"event": e}
}

// O01: what an actor tells never keeps its host from telling of others, however it gets through the host
// and whatever limit it breaks there or further up.
func TestO01_ALiarBlindsNobody(t *testing.T) {
	long := strings.Repeat("x", 15<<10)
	deep := strings.TrimSuffix(strings.Repeat(strings.Repeat("a", 63)+"/", 64), "/")
	for name, lie := range map[string]func(e *ends, other actor.ID) []told{
		"the identity of its host":      func(e *ends, _ actor.ID) []told { return []told{leaf("leaf", "actor", e.mid)} },
		"the identity of the root":      func(e *ends, _ actor.ID) []told { return []told{leaf("leaf", "actor", e.root)} },
		"an identity known at the root": func(_ *ends, other actor.ID) []told { return []told{leaf("leaf", "actor", other)} },
		"a path that fits in its host":  func(*ends, actor.ID) []told { return []told{leaf(deep, "", nil)} },
		"a cause that there is not":     func(*ends, actor.ID) []told { return []told{leaf("leaf", "cause", long)} },
		"a long step":                   func(*ends, actor.ID) []told { return []told{leaf("leaf", "step", long)} },
		"a long name of an endpoint":    func(*ends, actor.ID) []told { return []told{leaf("leaf", "endpoints", []told{{"name": long}})} },
		"a long kind of an endpoint":    func(*ends, actor.ID) []told { return []told{leaf("leaf", "endpoints", []told{{"kind": long}})} },
		"a time before there were years": func(*ends, actor.ID) []told {
			return []told{leaf("leaf", "time", cbor.Tag{Number: 1, Content: -1 << 50})}
		},
		"as many actors as may be": func(*ends, actor.ID) (all []told) {
			for n := range 4096 {
				all = append(all, leaf(fmt.Sprintf("x#%d", n+2), "", nil))
			}
			return all
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := join(t)
				other, liar := actor.NewID("other"), actor.NewID("liar")
				e.above.Join("other", nil).Publish(directory.Event{Actor: other, To: directory.Ready})
				sibling, id := e.below.Join("sibling", nil), actor.NewID("sibling")
				sibling.Publish(directory.Event{Actor: id, To: directory.Ready})
				m := e.below.Join("liar", nil)
				m.Publish(directory.Event{Actor: liar, To: directory.Ready})
				host, child := connect(t, e.mid, liar, m)
				lies(t, child, lie(e, other))
				time.Sleep(time.Minute) // the pace at which they are taken
				sibling.Publish(directory.Event{Actor: id, To: directory.Unhealthy})
				synctest.Wait()
				if got := e.last(t, "mid/sibling"); got.To != directory.Unhealthy {
					t.Errorf("O01: the sibling is %s at the root; want unhealthy", got.To)
				}
				e.last(t, "mid")
				e.last(t, "mid/liar")
				e.last(t, "other")
				told, err := e.above.Entries(t.Context(), "mid/liar/leaf")
				if missed := missed(t, e.above); err != nil || missed == 0 && len(told) == 0 {
					t.Error("O01: the event was neither told nor counted as lost")
				}
				part(host, child, errors.New("it is over"))
				e.below.Finish()
				if err := <-e.sent; err != nil {
					t.Error(err)
				}
				e.part(errors.New("it is over"))
			})
		})
	}
}

// lies sends messages, as an actor does that has code of its own for that.
func lies(t *testing.T, child *dialog.Table, all []told) { liesAt(t, child, wire.Events, all) }

func liesAt(t *testing.T, child *dialog.Table, endpoint string, all []told) {
	d, err := child.Open(t.Context(), &dialog.Request{Endpoint: endpoint, Kind: dialog.Context, Codec: codecs.CBOR.Name()})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = d.Scope(func(ctx context.Context, d *dialog.Dialog) error { // it ends with the link
			stream, err := d.OpenStream(dialog.StreamOptions{})
			if err != nil {
				t.Error(err)
				return err
			}
			for _, m := range all {
				b := wire.NewBuffer(0)
				if err := errors.Join(codecs.CBOR.Marshal(b, m, nil), stream.SendBuffer(ctx, b)); err != nil {
					t.Error(err)
				}
			}
			<-ctx.Done()
			return nil
		})
	}()
}

// missed is how many events a registry has told as lost.
func missed(t *testing.T, r *directory.Memory) (n int) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for e := range r.Events(ctx) {
		n += e.Missed
	}
	return n
}
