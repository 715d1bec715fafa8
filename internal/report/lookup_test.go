package report_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/lab/pipe"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/report"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// level is an actor of a chain in which each hosts the next one.
type level struct {
	ctx         context.Context // of its handlers
	own         *directory.Memory
	id          actor.ID
	member      directory.Membership // in its host's registry; nil at the root
	host, child *dialog.Table        // the ends of its link; nil at the root
	sent        chan error
}

// chain makes a root, and actors "a", "a/b" and so on below it.
func chain(t *testing.T, names ...string) []*level {
	own := directory.NewMemory("", nil)
	levels := []*level{{own: own, ctx: directory.With(t.Context(), own), id: actor.NewID("root")}}
	for _, name := range names {
		above := levels[len(levels)-1]
		l := &level{id: actor.NewID(name), member: above.own.Join(name, nobody), sent: make(chan error, 1)}
		l.member.Publish(directory.Event{Actor: l.id, Epoch: 1, To: directory.Ready, Time: time.Now()})
		l.own = directory.NewMemory(l.member.Path(), nil)
		a, b := pipe.New()
		l.host = dialog.NewTable(link.New(a, link.Config{Self: above.id}), dialog.Config{
			Base: t.Context(), Runtime: func(start *wire.Start) (dialog.Task, error) {
				if answer := report.Answers(start, directory.From(above.ctx)); answer != nil {
					return answer, nil
				}
				return func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
					return nil, report.Receive(ctx, d, l.member)
				}, nil
			},
		})
		l.child = dialog.NewTable(link.New(b, link.Config{Self: l.id, Dialled: true}), dialog.Config{Base: t.Context()})
		l.ctx = directory.With(t.Context(), report.Tree{Memory: l.own, Host: endpoint.To(l.child), To: l.elsewhere})
		go func() { l.sent <- report.Send(t.Context(), l.child, l.own) }()
		levels = append(levels, l)
	}
	return levels
}

// end ends the links, the lowest first. Before that nothing may be left on them but the events.
func end(t *testing.T, levels []*level) {
	t.Helper()
	synctest.Wait()
	for _, l := range slices.Backward(levels[1:]) {
		if open := l.host.Len(); open != 1 {
			t.Errorf("D02: %d dialogs are open on the link of %s; want that of the events", open, l.own.Path())
		}
		l.own.Finish()
		if err := <-l.sent; err != nil {
			t.Error(err)
		}
		part(l.host, l.child, errors.New("it is over"))
	}
	levels[0].own.Finish()
}

// up makes an actor ready in a level's registry.
func (l *level) up(name string) (directory.Membership, actor.ID) {
	m, id := l.own.Join(name, nobody), actor.NewID(name)
	m.Publish(directory.Event{Time: time.Now(), Actor: id, Epoch: 1, To: directory.Ready, Endpoints: []directory.Endpoint{{Name: "count", Kind: "func"}}})
	return m, id
}

// elsewhere is a portal to an actor that the level does not host.
func (*level) elsewhere(path string, _ actor.ID) endpoint.Reach {
	return func(context.Context) (t dialog.Target, err error) {
		return t, fmt.Errorf("%w: %s", directory.ErrNotReachable, path)
	}
}

func nobody(directory.Entry) contract.Portal {
	return endpoint.Reach(func(context.Context) (dialog.Target, error) { return dialog.Target{}, errAsked })
}

// errAsked is what a portal to an actor fails with in its own host.
var errAsked = errors.New("the actor was asked")

// A lookup that finds nobody costs no list of the tree: however many there are, little is sent for its error, whose text is
// that of the root. What an actor hosts itself it says itself.
func TestD02_WhoIsMissingCostsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		levels := chain(t, "a", "b")
		for i := range 300 {
			levels[0].up(fmt.Sprintf("worker-%d", i))
		}
		low := levels[2]
		low.own.Join("late", nobody).Publish(directory.Event{Actor: actor.NewID("late"), To: directory.Waiting})
		synctest.Wait()
		_, at := directory.Find(levels[0].ctx, "worker-3x")
		before := low.child.Link().Stats().BytesIn
		_, err := directory.Find(low.ctx, "worker-3x")
		if !errors.Is(err, directory.ErrNotFound) || err.Error() != at.Error() || !strings.Contains(err.Error(), `did you mean "worker-3`) {
			t.Errorf("D02: %v; want %v", err, at)
		}
		if size := low.child.Link().Stats().BytesIn - before; size > 2<<10 {
			t.Errorf("D02: %d bytes have come", size)
		}
		if _, err := directory.Find(low.ctx, "late"); err == nil || !strings.HasSuffix(err.Error(), `none named "late" is ready; a/b/late is waiting`) {
			t.Errorf("D02: %v", err)
		}
		end(t, levels)
	})
}

// The registry of an actor that has a host is one as that of the root is.
func TestD01_ATreeIsARegistry(t *testing.T) {
	trellistest.Registry(t, func(t *testing.T) directory.Registry {
		levels := chain(t, "a")
		a := levels[1]
		t.Cleanup(func() {
			a.own.Finish()
			<-a.sent // by when the test's ctx has ended
			part(a.host, a.child, errors.New("it is over"))
			levels[0].own.Finish()
		})
		return directory.From(a.ctx)
	})
}

// From every level the tree looks as it does from the root.
func TestD02_EveryActorFindsTheWholeTree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		levels := chain(t, "a", "b")
		for _, l := range levels {
			time.Sleep(time.Second)
			l.up("parser")
		}
		time.Sleep(time.Second)
		m, id := levels[1].up("parser") // the latest
		m.Publish(directory.Event{Time: time.Now(), Actor: id, Epoch: 1, To: directory.Unhealthy, Err: &fault.ActorDied{ExitCode: 7}})
		synctest.Wait()
		time.Sleep(time.Second)
		levels[2].up("walker")
		synctest.Wait()
		want, err := directory.Query(levels[0].ctx, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range levels {
			l.sees(t, want)
		}
		end(t, levels)
	})
}

// sees checks that the tree of a level has the entries that the root has.
func (l *level) sees(t *testing.T, want []directory.Entry) {
	t.Helper()
	here := l.own.Path()
	if got := directory.Here(l.ctx); got != here {
		t.Errorf("D01: %q is told that it is %q", here, got)
	}
	got, err := directory.Query(l.ctx, "")
	if err != nil || len(got) != len(want) {
		t.Fatalf("D02: %q sees %d entries, %v; want %d", here, len(got), err, len(want))
	}
	for i, e := range got {
		w := want[i]
		if e.Path != w.Path || !e.Actor.Is(w.Actor) || e.Epoch != w.Epoch || e.State != w.State || !e.Since.Equal(w.Since) || !slices.Equal(e.Endpoints, w.Endpoints) {
			t.Errorf("D02: %q sees %+v; want %+v", here, e, w)
		}
		died, ok := errors.AsType[*fault.ActorDied](e.Last.Err)
		if ok != (e.State == directory.Unhealthy) || ok && died.ExitCode != 7 {
			t.Errorf("D02: %q sees %s with %v", here, e.Path, e.Last.Err)
		}
	}
	p, err := directory.Find(l.ctx, "parser")
	if err != nil || p.Entry.Path != "a/parser#2" {
		t.Errorf("D02: %q finds %+v, %v; want the latest", here, p, err)
	}
	all, err := directory.FindAll(l.ctx, "parser")
	if err != nil || len(all) != 4 {
		t.Errorf("D02: %q finds %d parsers, %v; want 4", here, len(all), err)
	}
	p, err = directory.WaitFor(l.ctx, "a/b/walker")
	if err != nil || p.Entry.Actor.Name != "walker" {
		t.Errorf("D02: %q finds %+v, %v", here, p, err)
	}
	for _, p := range all {
		want := directory.ErrNotReachable
		if l.own.Has(p.Entry.Path) {
			want = errAsked
		}
		if _, err := p.Table(l.ctx); !errors.Is(err, want) {
			t.Errorf("D02: %q calls %s: %v; want %v", here, p.Entry.Path, err, want)
		}
	}
	_, err = directory.Find(l.ctx, "parsr")
	if text := fmt.Sprint(err); !errors.Is(err, directory.ErrNotFound) || !strings.Contains(text, `did you mean "parser"?`) || !strings.Contains(text, "a/b/walker") {
		t.Errorf("D02: %q is told %v", here, err)
	}
}

// What an actor hosts it finds at once, though its host has not heard of it.
func TestD02_WhatOneHostsIsFoundAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		levels := chain(t, "a", "b")
		for n := range 100 {
			m, id := levels[2].up("leaf")
			p, err := directory.Find(levels[2].ctx, "leaf")
			if err != nil || !p.Entry.Actor.Is(id) {
				t.Fatalf("D02: round %d finds %+v, %v; want %v", n, p, err, id)
			}
			m.Publish(directory.Event{Actor: id, Epoch: 1, To: directory.Gone})
			if p, err := directory.Find(levels[2].ctx, "leaf"); !errors.Is(err, directory.ErrNotFound) {
				t.Fatalf("D03: round %d finds %+v, %v, which is gone", n, p, err)
			}
		}
		end(t, levels)
	})
}

// A loop that watches from below is told what one at the root is told, and its end leaves nothing.
func TestD07_EveryActorWatchesTheWholeTree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		levels := chain(t, "a", "b")
		levels[1].up("early")
		told := make([][]string, len(levels))
		done := make(chan struct{})
		for i, l := range levels {
			go func() {
				for e, err := range directory.Watch(l.ctx, "parser") {
					told[i] = append(told[i], fmt.Sprintf("%s %s %d %v", e.Path, e.To, e.Epoch, err))
					if e.To == directory.Gone {
						break
					}
				}
				done <- struct{}{}
			}()
		}
		synctest.Wait()
		m, id := levels[1].up("parser")
		synctest.Wait()
		levels[2].up("walker")
		again := actor.NewID("parser")
		for _, e := range []directory.Event{
			{Actor: id, Epoch: 1, To: directory.Reaped, Cause: directory.Crashed},
			{Actor: again, Epoch: 2, To: directory.Starting},
			{Actor: again, Epoch: 2, To: directory.Ready},
			{Actor: again, Epoch: 2, To: directory.Gone},
		} {
			m.Publish(e)
		}
		for range levels {
			<-done
		}
		want := "a/parser ready 1 <nil>, a/parser ready 2 <nil>, a/parser gone 2 <nil>"
		for i, l := range levels {
			if got := strings.Join(told[i], ", "); got != want {
				t.Errorf("D07: %q is told\n%s\nwant\n%s", l.own.Path(), got, want)
			}
		}
		ctx, cancel := context.WithCancelCause(levels[2].ctx)
		over := make(chan error)
		go func() { _, err := directory.WaitFor(ctx, "nobody"); over <- err }()
		synctest.Wait()
		why := errors.New("not worth it")
		cancel(why)
		if err := <-over; !errors.Is(err, why) {
			t.Errorf("D02: %v; want the cause of ctx", err)
		}
		end(t, levels)
	})
}

// A loop that is slow loses events, on whichever link that is, and is told what has become of all.
func TestD07_ASlowLoopBelowMissesNoEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		levels := chain(t, "a", "b")
		busy, id := levels[0].up("busy")
		there := map[string]bool{}
		ctx, cancel := context.WithCancel(levels[2].ctx)
		lagged := 0
		for e, err := range directory.Watch(ctx, "") {
			if lag, ok := errors.AsType[*fault.Lagged](err); ok {
				lagged += lag.Missed
				continue
			}
			there[e.Path] = e.To != directory.Gone
			if e.Path == "busy" && e.To != directory.Gone {
				for n := range 3000 {
					m, other := levels[0].up(fmt.Sprint("x", n))
					m.Publish(directory.Event{Actor: other, Epoch: 1, To: directory.Gone})
				}
				busy.Publish(directory.Event{Actor: id, Epoch: 1, To: directory.Gone})
				levels[0].up("last")
			}
			if e.Path == "last" {
				break
			}
		}
		cancel()
		maps.DeleteFunc(there, func(_ string, is bool) bool { return !is })
		if got, want := slices.Sorted(maps.Keys(there)), []string{"a", "a/b", "last"}; !slices.Equal(got, want) || lagged == 0 {
			t.Errorf("D07: %v are there, and %d events were lost; want %v, and some", got, lagged, want)
		}
		end(t, levels)
	})
}

// What is asked in a way that cannot be read is an error of that call, and the end of a host is one
// of the loops over its tree.
func TestD02_WhatCannotBeAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		levels := chain(t, "a")
		a := levels[1]
		if _, err := a.child.CallRuntime(t.Context(), wire.Query, []byte("no")); err == nil {
			t.Error("D02: what is not a question has an answer")
		}
		over := make(chan error)
		go func() { _, err := directory.WaitFor(a.ctx, "nobody"); over <- err }()
		synctest.Wait()
		death := &fault.ActorDied{ID: levels[0].id, Signal: "killed"}
		part(a.host, a.child, death)
		if err := <-over; !errors.As(err, &death) {
			t.Errorf("D02: %v; want that the host is lost", err)
		}
		if _, err := directory.Query(a.ctx, ""); !errors.As(err, &death) {
			t.Errorf("D02: %v; want that the host is lost", err)
		}
		<-a.sent
	})
}

// More loops than a host serves at once for an actor wait for others to end, and hold up no query.
func TestD02_OnlySoManyLoopsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		levels := chain(t, "a")
		ctx, cancel := context.WithCancel(levels[1].ctx)
		const loops = 1100
		over, began := make(chan struct{}), make(chan struct{}, loops)
		for range loops {
			go func() {
				first := true
				for range directory.Watch(ctx, "a") {
					if first {
						began <- struct{}{}
					}
					first = false
				}
				over <- struct{}{}
			}()
		}
		synctest.Wait()
		if n := len(began); n != 1024 {
			t.Errorf("D02: %d loops run at once; want 1024", n)
		}
		if _, err := directory.Find(levels[1].ctx, "a"); err != nil {
			t.Errorf("D02: %v", err)
		}
		cancel()
		for range loops {
			<-over
		}
		end(t, levels)
	})
}
