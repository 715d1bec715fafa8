package route_test

import (
	"context"
	"errors"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/route"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

var (
	up, down    = new(dialog.Table), new(dialog.Table)
	me, child   = actor.NewID("me"), actor.NewID("child")
	root, above = actor.NewID("root"), actor.NewID("above")
	leaf, other = actor.NewID("leaf"), actor.NewID("other")
)

// hosted is what an actor hosts: a child, and a leaf below it.
type hosted struct{ at string }

func (h hosted) Path() string         { return h.at }
func (h hosted) Has(path string) bool { return treepath.IsBelow(path, h.at) }

func (h hosted) Portal(e directory.Entry) contract.Portal {
	return endpoint.Reach(func(context.Context) (t dialog.Target, err error) {
		if e.Path != h.at+"/child" && e.Path != h.at+"/child/leaf" {
			return t, directory.ErrNotFound
		}
		return down.To(nil), nil
	})
}

func (h hosted) Entries(context.Context, string) ([]directory.Entry, error) { return nil, nil }

func (h hosted) Where(id actor.ID) (string, bool) {
	at, there := map[string]string{child.UUID: "child", leaf.UUID: "child/leaf", other.UUID: "other"}[id.UUID]
	return h.at + "/" + at, there
}

// nested is a router in the middle of a tree, and top one at its root.
func nested() *route.Router {
	return &route.Router{Self: me, Parent: above, Root: root, Up: up, Down: hosted{"above/me"}}
}

func top() *route.Router { return &route.Router{Self: me, Root: me, Down: hosted{}} }

func to(path string, id actor.ID) *wire.Start {
	return &wire.Start{Target: &wire.Address{Path: path, Actor: wire.FromID(id)}}
}

func TestD05_TheWay(t *testing.T) {
	fromChild := func(r *route.Router) func(*wire.Start) (*dialog.Table, error) {
		return func(s *wire.Start) (*dialog.Table, error) { return r.FromChild(s, r.Down.Path()+"/child", child) }
	}
	for name, c := range map[string]struct {
		next func(*wire.Start) (*dialog.Table, error)
		to   *wire.Start
		want *dialog.Table
		err  error
	}{
		"down":                       {nested().FromParent, to("above/me/child/leaf", leaf), down, nil},
		"here":                       {nested().FromParent, to("above/me", me), nil, nil},
		"here, whoever it is":        {nested().FromParent, to("above/me", actor.ID{}), nil, nil},
		"another process":            {nested().FromParent, to("above/me", other), nil, directory.ErrStale},
		"not below":                  {nested().FromParent, to("above/meadow", other), nil, directory.ErrNotFound},
		"nobody below":               {nested().FromParent, to("above/me/nobody", other), nil, directory.ErrNotFound},
		"up":                         {fromChild(nested()), to("elsewhere", other), up, nil},
		"to the root":                {fromChild(nested()), to("", root), up, nil},
		"from a child to its parent": {fromChild(nested()), to("above/me", me), up, nil},
		"from a child to itself":     {fromChild(nested()), to("above/me/child", child), down, nil},
		"to the root, at the root":   {fromChild(top()), to("", me), nil, nil},
		"to another root":            {fromChild(top()), to("", other), nil, directory.ErrStale},
		"nowhere":                    {fromChild(top()), to("nowhere", other), nil, directory.ErrNotFound},
	} {
		if next, err := c.next(c.to); next != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %p, %v; want %p, %v", name, next, err, c.want, c.err)
		}
	}
}

// Nobody can speak for an actor that is not below it, and who speaks for itself is who its certificate says.
func TestD06_TheOpenerIsVouchedFor(t *testing.T) {
	for name, c := range map[string]struct {
		opener *wire.Address
		want   actor.ID // nobody: it is refused
		path   string
	}{
		"not said":                         {nil, child, "above/me/child"},
		"itself":                           {&wire.Address{Path: "above/me/child", Actor: wire.FromID(root)}, child, "above/me/child"},
		"below it":                         {&wire.Address{Path: "above/me/child/leaf", Actor: wire.FromID(leaf)}, leaf, "above/me/child/leaf"},
		"below it, not heard of yet":       {&wire.Address{Path: "above/me/child/new", Actor: &wire.Identity{Uuid: "new"}}, actor.ID{UUID: "new", Name: "new"}, "above/me/child/new"},
		"with another name":                {&wire.Address{Path: "above/me/child/leaf", Actor: &wire.Identity{Uuid: leaf.UUID, Name: "root"}}, leaf, "above/me/child/leaf"},
		"beside it":                        {&wire.Address{Path: "above/me/other", Actor: wire.FromID(other)}, actor.ID{}, ""},
		"with the beginning of its name":   {&wire.Address{Path: "above/me/children", Actor: &wire.Identity{Uuid: "new"}}, actor.ID{}, ""},
		"the root":                         {&wire.Address{Actor: wire.FromID(root)}, actor.ID{}, ""},
		"below it, with another's process": {&wire.Address{Path: "above/me/child/leaf", Actor: wire.FromID(other)}, actor.ID{}, ""},
		"below it, with its host's":        {&wire.Address{Path: "above/me/child/leaf", Actor: wire.FromID(me)}, actor.ID{}, ""},
		"below it, with the root's":        {&wire.Address{Path: "above/me/child/leaf", Actor: wire.FromID(root)}, actor.ID{}, ""},
		"with letters that no path has":    {&wire.Address{Path: "above/me/child/\x1b[2J", Actor: &wire.Identity{Uuid: "new"}}, actor.ID{}, ""},
		"below it, with none":              {&wire.Address{Path: "above/me/child/leaf"}, actor.ID{}, ""},
	} {
		s := to("elsewhere", other)
		s.Opener = c.opener
		_, err := nested().FromChild(s, "above/me/child", child)
		if c.want.IsZero() {
			if !errors.Is(err, fault.ErrProtocol) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if got := s.Opener.GetActor().ToID(); err != nil || !got.Is(c.want) || got.Name != c.want.Name || s.Opener.Path != c.path {
			t.Errorf("%s: %v at %q, %v", name, got, s.Opener.GetPath(), err)
		}
	}
	s := to("above/me", me)
	if _, err := nested().FromParent(s); err != nil || !s.Opener.Actor.ToID().Is(above) || s.Opener.Path != "above" {
		t.Errorf("from the parent itself: %v, %v", s.Opener, err)
	}
}
