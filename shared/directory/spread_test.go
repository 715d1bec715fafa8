package directory_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// crowd is a registry of actors that are ready, of which some refuse, and which nobody ever joins.
type crowd struct {
	directory.Registry
	paths   []string
	refuse  map[string]error
	chosen  []string // in this order
	watched func()
}

func (c *crowd) Entries(context.Context, string) (entries []directory.Entry, _ error) {
	for _, path := range c.paths {
		id := actor.ID{Name: "parser", UUID: path}
		entries = append(entries, directory.Entry{Path: path, Actor: id, State: directory.Ready})
	}
	return entries, nil
}

func (c *crowd) Missing(context.Context, string) (string, error) { return "nobody is here", nil }

func (c *crowd) Portal(e directory.Entry) contract.Portal {
	return endpoint.Reach(func(context.Context) (dialog.Target, error) {
		c.chosen = append(c.chosen, e.Path)
		return dialog.Target{}, c.refuse[e.Path]
	})
}

func (c *crowd) Watch(context.Context, string) iter.Seq2[directory.Event, error] {
	return func(func(directory.Event, error) bool) { c.watched() }
}

func parsers(n int) *crowd {
	c := &crowd{refuse: map[string]error{}, watched: func() {}}
	for i := range n {
		c.paths = append(c.paths, fmt.Sprintf("census/parser#%d", i+1))
	}
	return c
}

func (c *crowd) ctx(t *testing.T) context.Context { return directory.With(t.Context(), c) }

// begin opens a dialog with a portal, and gives what ends it.
func begin(t *testing.T, p contract.Portal) (end func(unbegun error) bool) {
	t.Helper()
	target, err := p.Table(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return func(unbegun error) bool { return target.Over(unbegun) != nil }
}

// Each gets as much while all take the same; and who has fewer under way gets the next one.
func TestSpread_FewestThenInTurn(t *testing.T) {
	c := parsers(3)
	p := directory.Spread(c.ctx(t), "parser")
	for range 6 {
		begin(t, p)(nil)
	}
	var ends []func(error) bool
	for range 6 {
		ends = append(ends, begin(t, p))
	}
	for _, half := range [][]string{c.chosen[:6], c.chosen[6:]} {
		for _, path := range c.paths {
			if n := strings.Count(strings.Join(half, " ")+" ", path+" "); n != 2 {
				t.Errorf("%s was chosen %d times of %v, want 2", path, n, half)
			}
		}
	}
	slow := c.chosen[6]
	for i, end := range ends {
		if c.chosen[6+i] != slow {
			end(nil)
		}
	}
	c.chosen = nil
	for range 4 {
		begin(t, p)
	}
	if slices.Contains(c.chosen, slow) {
		t.Errorf("%s has two under way, and gets one of %v", slow, c.chosen)
	}
}

// Who refuses is passed over, once for each dialog; what may have begun, or would be refused everywhere, is not tried elsewhere.
func TestSpread_MovesOnOnlyIfNothingHasBegun(t *testing.T) {
	for _, passing := range []error{fault.ErrActorClosing, fault.ErrActorLost, fault.ErrActorDown, fault.ErrOverloaded, directory.ErrStale, directory.ErrNotFound} {
		c := parsers(2)
		c.refuse["census/parser#1"] = fmt.Errorf("the first one: %w", passing)
		p := directory.Spread(c.ctx(t), "parser")
		if end := begin(t, p); end(nil) || !slices.Equal(c.chosen, c.paths) {
			t.Errorf("%v: %v were tried", passing, c.chosen)
		}
		c = parsers(2)
		if !begin(t, directory.Spread(c.ctx(t), "parser"))(fmt.Errorf("not begun: %w", passing)) {
			t.Errorf("%v: there is no next one", passing)
		}
	}
	for _, lasting := range []error{fault.ErrNotAllowed, context.Canceled, errors.New("any other")} {
		c := parsers(2)
		c.refuse["census/parser#1"] = lasting
		if _, err := directory.Spread(c.ctx(t), "parser").Table(t.Context()); !errors.Is(err, lasting) || len(c.chosen) != 1 {
			t.Errorf("%v: %v, and %v were tried", lasting, err, c.chosen)
		}
		if begin(t, directory.Spread(parsers(2).ctx(t), "parser"))(lasting) {
			t.Errorf("%v: there is a next one", lasting)
		}
	}
}

// When all have too much to do the caller is told. When all are going it is others that are waited for.
func TestSpread_WhenAllRefuse(t *testing.T) {
	c := parsers(3)
	for _, path := range c.paths {
		c.refuse[path] = fault.ErrOverloaded
	}
	if _, err := directory.Spread(c.ctx(t), "parser").Table(t.Context()); !errors.Is(err, fault.ErrOverloaded) || len(c.chosen) != 3 {
		t.Errorf("%v, and %v were tried", err, c.chosen)
	}
	c = parsers(3)
	c.refuse["census/parser#1"], c.refuse["census/parser#2"], c.refuse["census/parser#3"] = fault.ErrActorClosing, fault.ErrOverloaded, fault.ErrActorClosing
	if _, err := directory.Spread(c.ctx(t), "parser").Table(t.Context()); !errors.Is(err, fault.ErrOverloaded) || len(c.chosen) != 3 {
		t.Errorf("%v, and %v were tried; one is there and has too much to do", err, c.chosen)
	}
	c = parsers(1)
	c.refuse["census/parser#1"] = fault.ErrActorClosing
	ctx, cancel := context.WithCancelCause(c.ctx(t))
	c.watched = func() { cancel(errEnough) }
	if _, err := directory.Spread(ctx, "parser").Table(ctx); !errors.Is(err, errEnough) || len(c.chosen) != 1 {
		t.Errorf("%v, and %v were tried; want one, and then to wait until the end of ctx", err, c.chosen)
	}
	c = parsers(0)
	if _, err := directory.Spread(c.ctx(t), "census/parser").Table(t.Context()); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if _, err := directory.Spread(t.Context(), "parser").Table(t.Context()); err == nil {
		t.Error("a ctx without a tree gives somebody")
	}
}

var errEnough = errors.New("enough")

// chosenFor is who takes each of many keys.
func chosenFor(t *testing.T, c *crowd) map[string]string {
	t.Helper()
	chosen := map[string]string{}
	for i := range 1000 {
		key := fmt.Sprint("user ", i)
		c.chosen = nil
		begin(t, directory.ByKey(c.ctx(t), "parser", key))(nil)
		chosen[key] = c.chosen[0]
	}
	return chosen
}

// A key is always with the same one; one more or fewer moves only its own share; each has about the same share.
func TestByKey_MovesAsFewKeysAsItCan(t *testing.T) {
	four, five := chosenFor(t, parsers(4)), chosenFor(t, parsers(5))
	if !maps.Equal(four, chosenFor(t, parsers(4))) {
		t.Error("keys move without a reason")
	}
	share := map[string]int{}
	for key, path := range five {
		share[path]++
		if path != "census/parser#5" && path != four[key] {
			t.Errorf("%s has moved from %s to %s", key, four[key], path)
		}
	}
	for path, n := range share {
		if n < 150 || n > 250 {
			t.Errorf("%s has %d of 1000 keys, want about 200", path, n)
		}
	}
	c := parsers(5)
	c.refuse["census/parser#5"] = fault.ErrActorDown
	for key, path := range four {
		c.chosen = nil
		begin(t, directory.ByKey(c.ctx(t), "parser", key))
		if got := c.chosen[len(c.chosen)-1]; got != path {
			t.Errorf("%s is with %s while #5 is down, want %s", key, got, path)
		}
	}
}
