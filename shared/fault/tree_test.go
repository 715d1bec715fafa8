package fault_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// shape is the tree of an error as text, with the revived local errors left out.
func shape(err error) string {
	var children []error
	switch e := err.(type) {
	case *fault.RemoteError:
		children = slices.DeleteFunc(e.Unwrap(), func(c error) bool {
			_, ok := c.(*fault.RemoteError)
			return !ok
		})
	case interface{ Unwrap() error }:
		children = []error{e.Unwrap()}
	case interface{ Unwrap() []error }:
		children = e.Unwrap()
	}
	var text strings.Builder
	for _, c := range children {
		text.WriteString("(" + shape(c) + ")")
	}
	return "." + text.String()
}

func TestE03_TreesKeepTheirShape(t *testing.T) {
	err := fmt.Errorf("all: %w", errors.Join(
		fmt.Errorf("a: %w", io.EOF),
		fmt.Errorf("b: %w and %w", io.ErrUnexpectedEOF, errors.New("c")),
		errors.New("d")))
	for way, path := range hops {
		if got, want := shape(cross(t, err, path...)), shape(err); got != want {
			t.Errorf("%s: %s, want %s", way, got, want)
		}
	}
}

func TestE03_AGroupIsOneErrorAtTheNextLevel(t *testing.T) {
	var failures []error
	for i := range 25 {
		failures = append(failures, cross(t, fmt.Errorf("task %d: %w", i, io.EOF), leaf))
	}
	err := cross(t, fault.Join(failures...), mid)
	e := remote(t, err)
	if got := len(e.Unwrap()); got != 25 || e.Type != "*fault.Group" {
		t.Fatalf("%s of %d, want a group of 25", e.Type, got)
	}
	for i, c := range e.Unwrap() {
		if r := remote(t, c); r.Message != fmt.Sprintf("task %d: EOF", i) || r.Origin != leaf || !slices.Equal(r.Relays, []actor.ID{mid}) {
			t.Errorf("failure %d: %+v", i, r)
		}
	}
	// Joined again, and over a further hop: two errors, one of them the group.
	again := remote(t, cross(t, fault.Join(err, errors.New("mine")), top))
	if n := len(again.Unwrap()); n != 2 {
		t.Fatalf("%d errors, want 2", n)
	}
	if n := len(remote(t, again.Unwrap()[0]).Unwrap()); n != 25 {
		t.Errorf("%d errors in the inner group, want 25", n)
	}
	if !errors.Is(again, io.EOF) {
		t.Error("errors.Is does not look through both groups")
	}
}

// TestE03_NoChildIsPushedOut: a group of errors that are large each keeps its
// count, and each keeps a fair part of its story.
func TestE03_NoChildIsPushedOut(t *testing.T) {
	var failures []error
	for i := range 25 {
		err := fmt.Errorf("task %d failed with %045000d: %w", i, 0, io.EOF) // all together are more than an error may be
		for range 60 {
			err = errors.Join(err, errors.New("detail"))
		}
		failures = append(failures, cross(t, err, leaf))
	}
	e := remote(t, cross(t, fault.Join(failures...), mid, top, root))
	if got := len(e.Unwrap()); got != 25 {
		t.Errorf("%d failures, want 25", got)
	}
	for i, c := range e.Unwrap() {
		if n := len(remote(t, c).Unwrap()); n != 2 {
			t.Errorf("failure %d has %d causes, want 2", i, n)
		}
	}
}

func TestE03_NilsInATreeDoNotCount(t *testing.T) {
	for _, err := range []error{
		&fault.Group{Errs: []error{nil, io.EOF, nil}},
		fmt.Errorf("%w", error(nil)),
	} {
		far := cross(t, err, leaf)
		if errors.Is(err, io.EOF) != errors.Is(far, io.EOF) {
			t.Errorf("%+v", far)
		}
	}
}

func TestE04_EachRelayOnce(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("more words: %w", err) }
	same := func(err error) error { return err }
	for name, c := range map[string]struct {
		path  []actor.ID
		words func(error) error
		want  []actor.ID
	}{
		"no relay":            {[]actor.ID{leaf}, same, nil},
		"two":                 {[]actor.ID{leaf, mid, top}, same, []actor.ID{mid, top}},
		"with words":          {[]actor.ID{leaf, mid, top}, wrap, []actor.ID{mid, top}},
		"twice in one actor":  {[]actor.ID{leaf, mid, mid, top}, same, []actor.ID{mid, top}},
		"words, in one actor": {[]actor.ID{leaf, mid, mid, top}, wrap, []actor.ID{mid, top}},
		"back to its origin":  {[]actor.ID{leaf, mid, leaf, top}, same, []actor.ID{mid, top}},
	} {
		t.Run(name, func(t *testing.T) {
			err := errors.New("x")
			for _, id := range c.path {
				err = cross(t, c.words(err), id)
			}
			e := remote(t, err)
			if e.Origin != leaf || !slices.Equal(e.Relays, c.want) {
				t.Errorf("origin %v, relays %v, want %v", e.Origin, e.Relays, c.want)
			}
		})
	}
}

func TestE04_AGroupArisesWhereItWasJoined(t *testing.T) {
	e := remote(t, cross(t, fault.Join(cross(t, io.EOF, leaf), errors.New("mine")), mid, top))
	if e.Origin != mid || !slices.Equal(e.Relays, []actor.ID{top}) {
		t.Errorf("origin %v, relays %v", e.Origin, e.Relays)
	}
	if inner := remote(t, e.Unwrap()[0]); inner.Origin != leaf {
		t.Errorf("the failure inside: %v", inner.Origin)
	}
}

// trees draws errors of at most depth levels.
func trees(depth int) *rapid.Generator[error] {
	names := slices.Sorted(maps.Keys(sentinels))
	return rapid.Custom(func(t *rapid.T) error {
		form := rapid.IntRange(0, 7).Draw(t, "form")
		if depth == 0 {
			form %= 4
		}
		switch form {
		case 0:
			return &quota{Used: rapid.Int64().Draw(t, "used"), Who: rapid.String().Draw(t, "who")}
		case 1:
			return errors.New(string(rapid.SliceOf(rapid.Byte()).Draw(t, "text")))
		case 4:
			return errors.Join(rapid.SliceOfN(trees(depth-1), 1, 4).Draw(t, "children")...)
		case 5:
			return fault.Join(rapid.SliceOfN(trees(depth-1), 2, 4).Draw(t, "children")...)
		case 6, 7:
			return fmt.Errorf("%s: %w", rapid.String().Draw(t, "words"), trees(depth-1).Draw(t, "child"))
		}
		return sentinels[rapid.SampledFrom(names).Draw(t, "sentinel")]
	})
}

// TestE03_RandomTrees: whatever tree, over however many hops, keeps its shape and
// what errors.Is finds in it.
func TestE03_RandomTrees(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		err := trees(5).Draw(rt, "error")
		path := []actor.ID{leaf, mid, top}[:rapid.IntRange(1, 3).Draw(rt, "hops")]
		far := cross(t, err, path...)
		if got, want := shape(far), shape(err); got != want {
			rt.Errorf("shape %s, want %s", got, want)
		}
		for name, s := range sentinels {
			if got, want := errors.Is(far, s), errors.Is(err, s); got != want {
				rt.Errorf("errors.Is %s: %v, want %v", name, got, want)
			}
		}
		var a, b *quota
		if inside, outside := errors.As(err, &a), errors.As(far, &b); inside != outside || inside && *a.plain() != *b.plain() {
			rt.Errorf("errors.As: %+v, want %+v", b, a)
		}
		for _, verdict := range []func(error) bool{fault.IsCancel, func(err error) bool { return fault.Echoes(err, io.EOF) }} {
			if inside, outside := verdict(err), verdict(far); inside != outside {
				rt.Errorf("judged %v before and %v after", inside, outside)
			}
		}
	})
}

type plainQuota struct {
	used int64
	who  string
}

func (q *quota) plain() *plainQuota { return &plainQuota{q.Used, q.Who} }
