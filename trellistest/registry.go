package trellistest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Registry tests an implementation of [directory.Registry]: each rule that hosts and lookups rely on is a
// subtest, with a registry of its own, in which nobody else may be. What a registry learns from elsewhere may take
// as long as it takes: the test waits for it, until go test's own time is over.
func Registry(t *testing.T, open func(t *testing.T) directory.Registry) {
	t.Helper()
	for name, rule := range map[string]func(*registryTest){
		"paths":      (*registryTest).paths,
		"fold":       (*registryTest).fold,
		"below":      (*registryTest).below,
		"membership": (*registryTest).membership,
		"portals":    (*registryTest).portals,
		"watch":      (*registryTest).watch,
		"behind":     (*registryTest).behind,
	} {
		t.Run(name, func(t *testing.T) { rule(&registryTest{T: t, Registry: open(t)}) })
	}
}

type registryTest struct {
	*testing.T
	directory.Registry
}

// errAsked is what the portals of the test fail with: it says who was asked.
type errAsked struct{ directory.Entry }

func (errAsked) Error() string { return "the actor was asked" }

// join takes an actor in, which waits for its first process.
func (r *registryTest) join(name string) (directory.Membership, actor.ID) {
	m := r.Join(name, func(e directory.Entry) contract.Portal {
		return endpoint.Reach(func(context.Context) (dialog.Target, error) { return dialog.Target{}, errAsked{e} })
	})
	id := actor.NewID(name)
	m.Publish(directory.Event{Time: time.Now(), Actor: id, To: directory.Waiting})
	return m, id
}

// up takes an actor in that is ready.
func (r *registryTest) up(name string) (directory.Membership, actor.ID) {
	m, id := r.join(name)
	m.Publish(directory.Event{Time: time.Now(), Actor: id, Epoch: 1, To: directory.Ready, Endpoints: []directory.Endpoint{{Name: "count", Kind: "func"}}})
	return m, id
}

// here are the paths of those whom the registry has itself; others may be in the tree.
func (r *registryTest) here(name string) (found []string) {
	r.Helper()
	entries, err := r.Entries(r.Context(), name)
	if err != nil {
		r.Fatal(err)
	}
	for _, e := range entries {
		if r.Has(e.Path) {
			found = append(found, e.Path)
		}
	}
	return found
}

func (r *registryTest) want(rule string, got []string, want ...string) {
	r.Helper()
	if !slices.Equal(got, want) {
		r.Errorf("%s: %q, want %q", rule, got, want)
	}
}

// is reports whether a channel is closed.
func is(closed <-chan struct{}) bool {
	select {
	case <-closed:
		return true
	default:
		return false
	}
}

func (r *registryTest) paths() {
	first, id := r.up("parser")
	second, _ := r.up("parser")
	if first.Path() == second.Path() || !r.Has(first.Path()) || !r.Has(second.Path()) || r.Has(r.Path()) {
		r.Errorf("two actors of one name are at %q and %q, in the registry of %q", first.Path(), second.Path(), r.Path())
	}
	r.want("those of a name, in the order of their paths", r.here("parser"), first.Path(), second.Path())
	r.want("the one at a path", r.here(second.Path()), second.Path())
	r.want("nobody", r.here("walker"))
	if path, there := r.Where(id); !there || path != first.Path() {
		r.Errorf("a process is at %q, %v; want %q", path, there, first.Path())
	}
}

func (r *registryTest) fold() {
	m, first := r.up("parser")
	second := actor.NewID("parser")
	m.Publish(directory.Event{Time: time.Now(), Actor: first, Epoch: 1, To: directory.Reaped, Cause: directory.Crashed})
	m.Publish(directory.Event{Time: time.Now(), Actor: second, Epoch: 2, To: directory.Unhealthy})
	entries, err := r.Entries(r.Context(), m.Path())
	if err != nil || len(entries) != 1 || !entries[0].Actor.Is(second) || entries[0].Epoch != 2 || entries[0].State != directory.Unhealthy || entries[0].Since.IsZero() {
		r.Errorf("after a restart there are %+v, %v", entries, err)
	}
	if _, there := r.Where(first); there {
		r.Error("a process that was reaped, and has a successor, is there")
	}
	m.Publish(directory.Event{Time: time.Now(), Actor: second, Epoch: 2, To: directory.Gone})
	r.want("after the end", r.here(""))
}

func (r *registryTest) below() {
	m, own := r.up("census")
	other, _ := r.up("walker")
	leaf := directory.Event{Time: time.Now(), Path: "parser", Actor: actor.NewID("liar"), Epoch: 1, To: directory.Ready}
	if err := m.Pass(leaf); err != nil {
		r.Fatal(err)
	}
	at := m.Path() + "/parser"
	r.want("what is below has the path of its host before its own, and its name", r.here("parser"), at)
	for what, change := range map[string]func(e *directory.Event){
		"no path": func(e *directory.Event) { e.Path = "" }, "a way out": func(e *directory.Event) { e.Path = "../walker" },
		"no identity": func(e *directory.Event) { e.Actor.UUID = "" }, "its host's identity": func(e *directory.Event) { e.Actor = own },
		"another one's identity": func(e *directory.Event) { e.Path = "other" }, "no state": func(e *directory.Event) { e.To = "" },
	} {
		e := leaf
		change(&e)
		if m.Pass(e) == nil {
			r.Errorf("an event with %s is passed on", what)
		}
	}
	why := errors.New("killed")
	m.Close("its host was killed", why)
	r.want("after the loss of the host", r.here(""), m.Path(), other.Path())
}

func (r *registryTest) membership() {
	first, id := r.up("parser")
	if is(first.Lost()) || !first.Until().IsZero() && time.Until(first.Until()) < 0 {
		r.Fatalf("a membership is lost from the beginning, or since %v", first.Until())
	}
	first.Publish(directory.Event{Time: time.Now(), Actor: id, Epoch: 1, To: directory.Gone})
	<-first.Lost()
	second, _ := r.up("parser")
	if second.Path() != first.Path() || second.Epoch() <= first.Epoch() {
		r.Errorf("%q has epoch %d, and then %q has %d", first.Path(), first.Epoch(), second.Path(), second.Epoch())
	}
	first.Publish(directory.Event{Time: time.Now(), Actor: id, Epoch: 1, To: directory.Reaped})
	first.Publish(directory.Event{Time: time.Now(), Actor: id, Epoch: 1, To: directory.Gone})
	first.Close("it was lost", nil)
	if err := first.Pass(directory.Event{Path: "leaf", Actor: actor.NewID("leaf"), To: directory.Ready}); err == nil || is(second.Lost()) {
		r.Errorf("a membership that is over speaks for the next one: %v", err)
	}
	entries, err := r.Entries(r.Context(), second.Path())
	if err != nil || len(entries) != 1 || entries[0].State != directory.Ready {
		r.Errorf("a membership that is over changes the next one: %+v, %v", entries, err)
	}
}

func (r *registryTest) portals() {
	m, id := r.up("parser")
	for _, path := range []string{m.Path(), m.Path() + "/leaf"} {
		_, err := r.Portal(directory.Entry{Path: path, Actor: id}).Table(r.Context())
		if who, ok := errors.AsType[errAsked](err); !ok || who.Path != path || !who.Actor.Is(id) {
			r.Errorf("the portal to %q has asked %+v, %v", path, who.Entry, err)
		}
	}
	m.Publish(directory.Event{Time: time.Now(), Actor: id, Epoch: 1, To: directory.Gone})
	if _, err := r.Portal(directory.Entry{Path: m.Path(), Actor: id}).Table(r.Context()); !errors.Is(err, directory.ErrStale) {
		r.Errorf("a process that is gone: %v, want directory.ErrStale", err)
	}
	if _, err := r.Portal(directory.Entry{Path: m.Path()}).Table(r.Context()); !errors.Is(err, directory.ErrNotFound) {
		r.Errorf("nobody is at the path: %v, want directory.ErrNotFound", err)
	}
}

func (r *registryTest) watch() {
	early, _ := r.up("early")
	m, id := r.join("parser")
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	var told []directory.State
	marked := false
	for e, err := range r.Watch(ctx, "parser") {
		switch {
		case err != nil:
			r.Fatal(err)
		case e.Path == early.Path():
			r.Errorf("a loop over others is told of %q", e.Path)
		case e.Path == "" && !marked:
			marked = true
			m.Publish(directory.Event{Time: time.Now(), Actor: id, Epoch: 1, To: directory.Ready})
			m.Publish(directory.Event{Time: time.Now(), Actor: id, Epoch: 1, To: directory.Gone})
		case e.To == directory.Gone:
			cancel()
			fallthrough
		default:
			told = append(told, e.To)
		}
	}
	if !marked || !slices.Equal(told, []directory.State{directory.Waiting, directory.Ready, directory.Gone}) {
		r.Errorf("told are %q, and that the first were all: %v", told, marked)
	}
}

// behind is a loop that is slow: what it is given makes the same table as what it has missed.
func (r *registryTest) behind() {
	var table directory.Table
	begun := false
	for e, err := range r.Watch(r.Context(), "") {
		_, lagged := errors.AsType[*fault.Lagged](err)
		switch {
		case err != nil && !lagged:
			r.Fatal(err)
		case e.Path != "":
			table.Apply(e)
		case err == nil && !begun:
			begun = true
			for range 3000 {
				m, id := r.up("brief")
				m.Publish(directory.Event{Time: time.Now(), Actor: id, Epoch: 1, To: directory.Gone})
			}
			r.up("last")
		}
		if e.Actor.Name == "last" && e.To == directory.Ready {
			break
		}
	}
	if left := table.Entries("brief"); len(left) > 0 || len(table.Entries("last")) != 1 {
		r.Errorf("a slow loop has %d actors that are gone, and the last one %d times", len(left), len(table.Entries("last")))
	}
}
