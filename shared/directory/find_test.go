package directory_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// tree is a registry with actors that do what the test says.
type tree struct {
	*directory.Memory
	ctx     context.Context
	members map[string]*one // by their paths
}

func newTree(t *testing.T) *tree {
	r := directory.NewMemory("", nil)
	return &tree{r, directory.With(t.Context(), r), map[string]*one{}}
}

func (r *tree) entries(t *testing.T, name string) []directory.Entry {
	t.Helper()
	found, err := r.Entries(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// one is an actor of a tree.
type one struct {
	directory.Membership
	id    actor.ID
	epoch int
}

// errTold is what a portal of these tests fails with: it has asked for the right actor.
var errTold = errors.New("the actor was asked")

func (r *tree) join(name string) *one {
	o := &one{id: actor.NewID(name)}
	o.Membership = r.Join(name, func(e directory.Entry) contract.Portal {
		return endpoint.Reach(func(context.Context) (t dialog.Target, err error) {
			if !e.Actor.IsZero() && !e.Actor.Is(o.id) {
				return t, directory.ErrStale
			}
			return t, errTold
		})
	})
	o.Publish(directory.Event{Actor: o.id, To: directory.Waiting})
	r.members[o.Path()] = o
	return o
}

// up makes the next process of an actor ready.
func (o *one) up() *one {
	o.epoch++
	o.id = actor.NewID(o.id.Name)
	o.Publish(directory.Event{Actor: o.id, Epoch: o.epoch, To: directory.Starting})
	o.Publish(directory.Event{Actor: o.id, Epoch: o.epoch, To: directory.Ready})
	return o
}

func (o *one) to(s directory.State, cause directory.Cause, err error) {
	o.Publish(directory.Event{Actor: o.id, Epoch: o.epoch, To: s, Cause: cause, Err: err})
}

func paths(entries []directory.Entry) (all []string) {
	for _, e := range entries {
		all = append(all, e.Path)
	}
	return all
}

func TestD02_FindGivesTheLatestAndAll(t *testing.T) {
	r := newTree(t)
	first := r.join("parser").up()
	r.join("parser").up()
	r.join("parser")
	r.join("census").up()
	first.up() // is the latest again
	p, err := directory.Find(r.ctx, "parser")
	if err != nil || p.Entry.Path != "parser" || p.Entry.Epoch != 2 {
		t.Errorf("%+v, %v; want the one that became ready last", p, err)
	}
	if p, err := directory.Find(r.ctx, "parser#2"); err != nil || p.Entry.Path != "parser#2" {
		t.Errorf("%+v, %v; want the one at the path", p, err)
	}
	all, err := directory.FindAll(r.ctx, "parser")
	if err != nil || len(all) != 2 || all[0].Entry.Path != "parser" || all[1].Entry.Path != "parser#2" {
		t.Errorf("%v, %v; want both that are ready", all, err)
	}
	entries, err := directory.Query(r.ctx, "parser")
	if want := []string{"parser", "parser#2", "parser#3"}; err != nil || !slices.Equal(paths(entries), want) {
		t.Errorf("%v, %v; want %v", paths(entries), err, want)
	}
	if _, err := p.Table(r.ctx); !errors.Is(err, errTold) {
		t.Errorf("a portal that was found does not ask its actor: %v", err)
	}
}

func TestD02_NotFoundSaysWhatIsThere(t *testing.T) {
	r := newTree(t)
	for name, want := range map[string]string{
		"parser": `actor not found: "parser"; there are none`,
	} {
		if _, err := directory.Find(r.ctx, name); !errors.Is(err, directory.ErrNotFound) || err.Error() != want {
			t.Errorf("%v; want %s", err, want)
		}
	}
	r.join("parser")
	r.join("walker").up()
	for name, want := range map[string]string{
		"parsr":  `actor not found: "parsr"; there are parser, walker; did you mean "parser"?`,
		"parser": `actor not found: none named "parser" is ready; parser is waiting`,
	} {
		_, err := directory.Find(r.ctx, name)
		if !errors.Is(err, directory.ErrNotFound) || err.Error() != want {
			t.Errorf("%v; want %s", err, want)
		}
	}
	if _, err := directory.Find(t.Context(), "parser"); err == nil || errors.Is(err, directory.ErrNotFound) {
		t.Errorf("a ctx without a tree gives %v", err)
	}
}

func TestD02_WaitForBlocksUntilOneIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTree(t)
		parser := r.join("parser")
		found := make(chan *directory.Portal, 1)
		go func() {
			p, err := directory.WaitFor(r.ctx, "parser")
			if err != nil {
				t.Error(err)
			}
			found <- p
		}()
		synctest.Wait()
		select {
		case <-found:
			t.Fatal("WaitFor has returned, and none is ready")
		default:
		}
		parser.up()
		if p := <-found; !p.Entry.Actor.Is(parser.id) {
			t.Errorf("%v; want %v", p.Entry.Actor, parser.id)
		}
		ctx, cancel := context.WithCancelCause(r.ctx)
		why := errors.New("not worth it")
		cancel(why)
		if _, err := directory.WaitFor(ctx, "walker"); !errors.Is(err, why) {
			t.Errorf("%v; want the cause of ctx", err)
		}
		r.Finish()
		if _, err := directory.WaitFor(r.ctx, "walker"); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("%v; want that it is not found, as the tree has ended", err)
		}
	})
}

// O01: a loop ends with its ctx, also if more happens each time that it has looked.
func TestO01_ALoopEndsWithItsCtxInAFlood(t *testing.T) {
	r := newTree(t)
	busy := r.join("busy").up()
	watch := func(ctx context.Context) iter.Seq2[directory.Event, error] { return r.Watch(ctx, "") }
	for name, loop := range map[string]func(context.Context) iter.Seq2[directory.Event, error]{"Watch": watch, "Events": r.Events} {
		ctx, cancel := context.WithCancel(r.ctx)
		defer cancel()
		after := 0
		for range loop(ctx) {
			if ctx.Err() == nil {
				for range 5000 { // some are lost
					busy.to(directory.Ready, "", nil)
				}
			}
			cancel()
			busy.to(directory.Ready, "", nil) // one more each time, so there is always a next one
			if after++; after > 10_000 {
				t.Errorf("O01: %s goes on after its ctx", name)
				break
			}
		}
	}
}

// looks counts how often somebody goes through all of a tree.
type looks struct {
	directory.Registry
	n int
}

func (l *looks) Entries(ctx context.Context, name string) ([]directory.Entry, error) {
	l.n++
	return l.Registry.Entries(ctx, name)
}

// Who waits looks through the tree only when one that it may have waited for has come up.
func TestD02_WaitForLooksOnlyAtWhatConcernsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTree(t)
		l := &looks{Registry: r}
		parser := r.join("parser")
		busy := r.join("busy").up()
		found := make(chan *directory.Portal)
		go func() {
			p, err := directory.WaitFor(directory.With(t.Context(), l), "parser")
			if err != nil {
				t.Error(err)
			}
			found <- p
		}()
		for range 100 {
			busy.to(directory.Ready, "", nil)
			synctest.Wait()
		}
		parser.up()
		if p := <-found; !p.Entry.Actor.Is(parser.id) {
			t.Errorf("%v; want %v", p.Entry.Actor, parser.id)
		}
		if l.n > 4 { // two for what is not found at first, and one when it is there
			t.Errorf("the tree was looked through %d times", l.n)
		}
	})
}

// The end of ctx ends who waits, also while others come up all the time.
func TestD02_WaitForEndsWithItsCtxInAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTree(t)
		busy := r.join("busy").up()
		ctx, cancel := context.WithTimeout(r.ctx, time.Second)
		defer cancel()
		over := make(chan struct{})
		go func() {
			defer close(over)
			for ctx.Err() == nil {
				busy.to(directory.Ready, "", nil)
				time.Sleep(time.Millisecond)
			}
		}()
		if _, err := directory.WaitFor(ctx, "parser"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v; want the end of ctx", err)
		}
		<-over
	})
}

// D03: a name leads to whichever process has it when a dialog begins.
func TestD03_ByNameLooksUpAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTree(t)
		parser := directory.ByName(r.ctx, "parser")
		asked := func() error { _, err := parser.Table(t.Context()); return err }
		if err := asked(); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("D03: none is there: %v", err)
		}
		one := r.join("parser").up()
		if err := asked(); !errors.Is(err, errTold) {
			t.Errorf("D03: one is ready: %v", err)
		}
		one.to(directory.Reaped, directory.Crashed, nil)
		waiting := make(chan error)
		go func() { waiting <- asked() }()
		synctest.Wait()
		select {
		case err := <-waiting:
			t.Fatalf("D03: it does not wait for the restart: %v", err)
		default:
		}
		one.up()
		if err := <-waiting; !errors.Is(err, errTold) {
			t.Errorf("D03: it was restarted: %v", err)
		}
		one.to(directory.Reaped, directory.Crashed, nil)
		go func() { waiting <- asked() }()
		synctest.Wait()
		one.to(directory.Gone, "", nil)
		if err := <-waiting; !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("D03: it is gone for good: %v", err)
		}
		r.join("parser")
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("not worth it")
		cancel(why)
		if _, err := parser.Table(ctx); !errors.Is(err, why) {
			t.Errorf("D03: %v; want the cause of the call's ctx", err)
		}
		if _, err := directory.ByName(t.Context(), "parser").Table(t.Context()); err == nil || errors.Is(err, directory.ErrNotFound) {
			t.Errorf("a ctx without a tree gives %v", err)
		}
	})
}

// fickle is a registry whose actors are gone between the look and the call.
type fickle struct {
	directory.Registry
	gone func(e directory.Entry)
}

func (f *fickle) Portal(e directory.Entry) contract.Portal {
	f.gone(e)
	return f.Registry.Portal(e)
}

// D02: who waits for a name finds a program that has joined when the actor of the tree that had the name is gone.
func TestD02_WaitForFindsWhatAnEndUncovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTree(t)
		actor, guest := r.join("parser"), r.join("parser")
		guest.Publish(directory.Event{Actor: guest.id, Epoch: 1, To: directory.Ready, Joined: true})
		found := make(chan *directory.Portal)
		go func() {
			p, err := directory.WaitFor(r.ctx, "parser")
			if err != nil {
				t.Error(err)
			}
			found <- p
		}()
		synctest.Wait()
		actor.to(directory.Gone, "", nil)
		if p := <-found; !p.Entry.Actor.Is(guest.id) {
			t.Errorf("D02: %+v; want the program", p.Entry)
		}
	})
}

// D02: the path of the first actor of a name is that name; with #1 it is no other one's. No name is not a name.
func TestD02_ThePathOfTheFirstOne(t *testing.T) {
	r := newTree(t)
	first, host := r.join("parser").up(), r.join("census").up()
	if err := host.Pass(directory.Event{Time: time.Now(), Path: "parser", Actor: actor.NewID("parser"), Epoch: 1, To: directory.Ready}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"parser": {"census/parser", "parser"}, "parser#1": {"parser"}, "census/parser": {"census/parser"}, "census/parser#1": {"census/parser"}, "census#1": {"census"}, "parser#2": nil,
	} {
		if got := paths(r.entries(t, name)); !slices.Equal(got, want) {
			t.Errorf("D02: %s is %v; want %v", name, got, want)
		}
	}
	if p, err := directory.Find(r.ctx, "parser#1"); err != nil || !p.Entry.Actor.Is(first.id) {
		t.Errorf("D02: %+v, %v", p, err)
	}
	if p, err := directory.Find(r.ctx, ""); !errors.Is(err, directory.ErrNotFound) || !strings.Contains(err.Error(), "expected a name") {
		t.Errorf("D02: no name gives %+v, %v", p, err)
	}
	for _, path := range []string{"/parser", "parser/", "parser/x", "", "/"} {
		_, err := r.Portal(directory.Entry{Path: path}).Table(t.Context())
		if found := strings.HasPrefix(path, "parser/"); found != errors.Is(err, errTold) || !found && !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("D03: %q leads to %v", path, err)
		}
	}
}

// D03: what a member says that is gone is not said of the one that has its path by then, and does not end what that hosts.
func TestD03_AMemberThatIsGoneSaysNothing(t *testing.T) {
	r := newTree(t)
	old := r.join("parser").up()
	old.to(directory.Gone, "", nil)
	r.join("parser").up()
	if err := r.members["parser"].Pass(directory.Event{Path: "leaf", Actor: actor.NewID("leaf"), Epoch: 1, To: directory.Ready}); err != nil {
		t.Fatal(err)
	}
	before := r.entries(t, "")
	old.to(directory.Reaped, directory.Crashed, nil)
	old.Publish(directory.Event{Missed: 1})
	old.Close("its host has died", nil)
	old.to(directory.Gone, "", nil)
	if err := old.Pass(directory.Event{Path: "other", Actor: actor.NewID("other"), To: directory.Ready}); err == nil {
		t.Error("D03: it tells of others")
	}
	after := r.entries(t, "")
	if !slices.EqualFunc(before, after, func(a, b directory.Entry) bool { return a.Path == b.Path && a.Actor.Is(b.Actor) && a.State == b.State }) {
		t.Errorf("D03: the tree was %v, and is %v", paths(before), paths(after))
	}
}

// D03: a process that ends between the look and the call is not what a name leads to.
func TestD03_ByNameLeadsToNoStaleProcess(t *testing.T) {
	r := newTree(t)
	r.join("parser").up()
	times := 0
	f := &fickle{r, func(directory.Entry) {
		if times++; times == 1 { // between the look and the call it ends, and another one comes
			for _, e := range r.entries(t, "parser") {
				r.members[e.Path].to(directory.Gone, "", nil)
			}
			r.join("parser").up()
		}
	}}
	if _, err := directory.ByName(directory.With(t.Context(), f), "parser").Table(t.Context()); !errors.Is(err, errTold) {
		t.Errorf("D03: %v; want that the new one was asked", err)
	}
	if times != 2 {
		t.Errorf("D03: it has looked %d times; want 2", times)
	}
}

// What happens is told once each, whatever else happens in between.
func TestD07_WatchTellsReadyRestartedGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTree(t)
		early := r.join("parser").up()
		var told []string
		watching := make(chan struct{})
		go func() {
			defer close(watching)
			for e, err := range directory.Watch(r.ctx, "parser") {
				if err != nil {
					t.Error(err)
				}
				what := string(e.To)
				if e.To == directory.Ready && e.Epoch > 1 {
					what = "restarted"
				}
				if e.To == directory.Gone {
					what += " (" + string(e.Cause) + ")"
				}
				told = append(told, e.Path+" "+what)
				if e.To == directory.Gone && e.Cause == directory.Crashed && !errors.Is(e.Err, errTold) {
					t.Errorf("the end says %v; want why", e.Err)
				}
			}
		}()
		synctest.Wait()
		early.to(directory.Unhealthy, "", nil)
		early.to(directory.Ready, "", nil)
		late := r.join("parser")
		r.join("walker").up()
		late.up()
		early.to(directory.Stopping, directory.Crashed, errTold)
		early.to(directory.Reaped, directory.Crashed, errTold)
		early.to(directory.Waiting, "", nil)
		early.up()
		late.to(directory.Reaped, directory.Crashed, errTold)
		late.to(directory.Gone, "", nil)
		early.to(directory.Reaped, directory.Requested, nil)
		early.to(directory.Gone, "", nil)
		r.join("parser").to(directory.Gone, "", nil)
		r.Finish()
		<-watching
		want := "parser ready, parser#2 ready, parser restarted, parser#2 gone (crashed), parser gone (requested), parser gone ()"
		if got := strings.Join(told, ", "); got != want {
			t.Errorf("D07: told\n%s\nwant\n%s", got, want)
		}
	})
}

// D04: whatever a program that has joined says of what it hosts, that is found by its path only where an actor of the
// tree has the name, also when events of it were lost.
func TestD04_WhatAGuestHostsTakesNoName(t *testing.T) {
	r := newTree(t)
	r.join("parser").up()
	guest := r.join("guest")
	guest.Publish(directory.Event{Actor: guest.id, Epoch: 1, To: directory.Ready, Joined: true})
	guest.Publish(directory.Event{Missed: 3})
	for _, name := range []string{"parser", "other"} {
		if err := guest.Pass(directory.Event{Path: name, Actor: actor.NewID(name), Epoch: 1, To: directory.Ready}); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"parser": "parser", "other": "guest/other", "guest/parser": "guest/parser", "guest": "guest"} {
		p, err := directory.Find(r.ctx, name)
		if err != nil || p.Entry.Path != want || p.Entry.Last.Joined != strings.HasPrefix(want, "guest") {
			t.Errorf("D04: %s: %+v, %v; want %s", name, p, err, want)
		}
	}
	r.members["parser"].to(directory.Waiting, "", nil)
	if p, err := directory.Find(r.ctx, "parser"); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("D04: while the actor is down, %+v is found, %v", p, err)
	}
}

// What a member says is bounded, and is of its own subtree.
func TestO01_AMemberSpeaksForItselfOnly(t *testing.T) {
	r := newTree(t)
	victim, liar := r.join("victim").up(), r.join("liar").up()
	leaf := actor.NewID("leaf")
	fine := directory.Event{Path: "leaf", Actor: leaf, Epoch: 1, To: directory.Ready}
	if err := liar.Pass(fine); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(e *directory.Event){
		"an empty path":                 func(e *directory.Event) { e.Path = "" },
		"a way out":                     func(e *directory.Event) { e.Path = "../victim" },
		"an absolute path":              func(e *directory.Event) { e.Path = "/victim" },
		"control characters":            func(e *directory.Event) { e.Path = "leaf\x1b[2J" },
		"a path without an end":         func(e *directory.Event) { e.Path = strings.Repeat("a/", 4000) + "a" },
		"no identity":                   func(e *directory.Event) { e.Actor.UUID = "" },
		"the identity of another one":   func(e *directory.Event) { e.Actor.UUID = victim.id.UUID },
		"its own identity":              func(e *directory.Event) { e.Actor.UUID = liar.id.UUID },
		"a state that there is not":     func(e *directory.Event) { e.To = "triumphant" },
		"an identity of its own leaf's": func(e *directory.Event) { e.Path = "other" },
	} {
		e := fine
		change(&e)
		if err := liar.Pass(e); err == nil {
			t.Errorf("O01: %s was passed on", what)
		}
	}
	e := fine
	e.Actor.Name, e.From, e.Seq = "victim", "triumphant", 7
	if err := liar.Pass(e); err != nil {
		t.Fatal(err)
	}
	for got, err := range r.Watch(r.ctx, "") {
		if err != nil || !strings.HasPrefix(got.Path, "liar/") {
			continue
		}
		if got.Path != "liar/leaf" || got.Actor.Name != "leaf" || got.From != directory.Ready {
			t.Errorf("O01: %+v was passed on as it was told", got)
		}
		break
	}
	for n := range 5000 {
		if err := liar.Pass(directory.Event{Path: "x", Actor: actor.NewID("x"), To: directory.Gone}); err != nil {
			t.Fatalf("%d: %v", n, err) // one that comes and goes does not count
		}
	}
	if found, err := directory.Query(r.ctx, "leaf"); err != nil || len(found) != 1 {
		t.Errorf("%v, %v; want the leaf only", found, err)
	}
	liar.Close("the liar is dead", errTold)
	if found, err := directory.Query(r.ctx, ""); err != nil || len(found) != 2 {
		t.Errorf("%v, %v; want both members, and nobody below them", found, err)
	}
}

// What a member says of one below it is cut, and what is kept shares no memory with what is not.
func TestO01_WhatAMemberSaysIsCut(t *testing.T) {
	r := newTree(t)
	host, long := r.join("host").up(), strings.Repeat("long ", 3000)
	many := make([]directory.Endpoint, 16_000)
	many[0] = directory.Endpoint{Name: long, Kind: "func"}
	many[1] = directory.Endpoint{Name: "fine", Kind: long}
	for name, when := range map[string]time.Time{"past": time.Unix(-1<<50, 0), "zero": {}, "future": time.Now().Add(time.Hour)} {
		begun := time.Now()
		err := host.Pass(directory.Event{Time: when, Path: name, Actor: actor.NewID(name), To: directory.Ready, Reason: long, Stuck: long, Step: long, Endpoints: many})
		if err != nil {
			t.Fatal(err)
		}
		got := r.entries(t, name)[0].Last
		if got.Time.Before(begun) || got.Time.After(time.Now()) {
			t.Errorf("O01: a time in the %s is told as %v", name, got.Time)
		}
		if len(got.Reason) > 1024 || len(got.Stuck) > 1024 || len(got.Step) > 32 || len(got.Endpoints) != 254 || cap(got.Endpoints) > 512 {
			t.Errorf("O01: %d, %d and %d bytes, %d endpoints in room for %d", len(got.Reason), len(got.Stuck), len(got.Step), len(got.Endpoints), cap(got.Endpoints))
		}
	}
}

func TestO01_AMemberHasOnlySoManyBelow(t *testing.T) {
	r := newTree(t)
	host := r.join("host").up()
	refused := 0
	for n := range 5000 {
		id := actor.NewID("x")
		path := "x"
		if n > 0 {
			path = "x#" + strconv.Itoa(n+1)
		}
		if host.Pass(directory.Event{Path: path, Actor: id, To: directory.Waiting}) != nil {
			refused++
		}
	}
	if refused != 5000-4096 {
		t.Errorf("O01: %d of 5000 actors were refused; want all beyond 4096", refused)
	}
}

// A follower that is slow loses the oldest, and is told how many.
func TestO01_ASlowFollowerIsToldHowMany(t *testing.T) {
	r := newTree(t)
	busy := r.join("busy").up()
	seen, lost, last := 0, 0, uint64(0)
	for e, err := range r.Watch(r.ctx, "") {
		if e.Path == "" && err == nil {
			continue // that was all that is there
		}
		if seen == 0 { // the loop stands still, and nobody waits for it
			for range 10_000 {
				busy.to(directory.Unhealthy, "", nil)
				busy.to(directory.Ready, "", nil)
			}
			r.Finish()
		}
		if lagged, ok := errors.AsType[*fault.Lagged](err); ok {
			lost += lagged.Missed
			continue
		}
		if e.Seq < last {
			t.Fatalf("O01: number %d comes after %d", e.Seq, last)
		}
		seen, last = seen+1, e.Seq
	}
	if seen+lost != 20_001 || lost == 0 || last != 20_003 {
		t.Errorf("O01: %d events came and %d were told as lost, the last one is number %d; want 20001 together, and 20003", seen, lost, last)
	}
}

// Who comes late is told how much of the past is not kept, and gets the rest in order.
func TestO01_TheBeginningTellsWhatIsNotKept(t *testing.T) {
	for _, told := range []int{256, 257, 600} {
		r := newTree(t)
		busy := r.join("busy") // has told one event
		for range told - 1 {
			busy.to(directory.Ready, "", nil)
		}
		r.Finish()
		var lost []int
		seen, last := 0, uint64(0)
		for e, err := range r.Events(r.ctx) {
			if lagged, ok := errors.AsType[*fault.Lagged](err); ok {
				lost = append(lost, lagged.Missed)
				if seen > 0 {
					t.Errorf("O01: the gap is told after %d events; want it before the first", seen)
				}
				continue
			}
			if e.Seq <= last {
				t.Errorf("O01: number %d comes after %d", e.Seq, last)
			}
			seen, last = seen+1, e.Seq
		}
		if want := told - 256; want == 0 && lost != nil || want > 0 && !slices.Equal(lost, []int{want}) {
			t.Errorf("O01: of %d events, %v are told as lost; want %d", told, lost, want)
		}
		if seen != 256 || last != uint64(told) {
			t.Errorf("O01: of %d events %d came, up to number %d; want the last 256", told, seen, last)
		}
	}
}

// What is kept of a member that is over are its events: what led to it may go.
func TestO01_AMemberThatIsOverKeepsNothingOfItsHost(t *testing.T) {
	r := newTree(t)
	host := func() weak.Pointer[[1 << 10]byte] {
		big := new([1 << 10]byte)
		m := r.Join("over", func(directory.Entry) contract.Portal {
			panic(big)
		})
		m.Publish(directory.Event{Actor: actor.NewID("over"), To: directory.Waiting})
		m.Publish(directory.Event{Actor: actor.NewID("over"), To: directory.Gone})
		return weak.Make(big)
	}()
	for range 10 { // a stack may still hold it at the first
		if runtime.GC(); host.Value() == nil {
			return
		}
	}
	t.Error("the registry keeps what a member that is gone was called with")
	runtime.KeepAlive(r)
}

// Telling an event costs the same however much is kept.
func BenchmarkPublish(b *testing.B) {
	r := directory.NewMemory("", nil)
	m := r.Join("busy", nil)
	id := actor.NewID("busy")
	b.ReportAllocs()
	for b.Loop() {
		m.Publish(directory.Event{Actor: id, To: directory.Ready})
	}
}
