package directory

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// Entry is one actor of a tree, as the events so far say it is. It is a copy, which does not
// change.
type Entry struct {
	Path  string
	Actor actor.ID // its process, as in [Event]
	Epoch int
	State State
	// Endpoints are what the process serves that came up last. They are still known while the
	// actor is down, until its next process starts.
	Endpoints []Endpoint
	// Since is when that process became ready; zero if none has.
	Since time.Time
	// Last is the last event of the actor. It tells all of the entry, so that the entry is
	// there for whoever has seen no other event of the actor.
	Last Event

	// Places of events in the table's fold: with which the actor came, and with which its
	// process became ready. A path may be used again, and so born tells two actors apart.
	born, up uint64
}

// named reports whether this is about an actor of a name, or the one at a path, or one of
// those at it, whatever their number is, if the path ends with #; "" is every one.
func (e *Event) named(name string) bool {
	if path, all := strings.CutSuffix(name, "#"); all {
		return treepath.Unnumbered(e.Path) == path
	}
	return name == "" || e.Actor.Name == name || treepath.Is(e.Path, name)
}

// later compares two entries by when they became ready.
func (e *Entry) later(than *Entry) int {
	return cmp.Or(e.Since.Compare(than.Since), cmp.Compare(e.up, than.up))
}

// Table is who is in a tree: a fold over its events, by which the entries are made and removed,
// and by nothing else. The zero value is the table before the first event. It has no lock.
type Table struct {
	entries map[string]*Entry // by their paths; none is changed once it is there
	applied uint64            // events
}

// Apply makes the table what it is after one more event.
func (t *Table) Apply(e Event) {
	t.applied++
	old := t.at(e.Path)
	if old.Path == "" {
		old.born = t.applied
	}
	switch {
	case e.To == Gone:
		delete(t.entries, e.Path)
		return
	case t.entries == nil:
		t.entries = map[string]*Entry{}
	case e.Endpoints == nil && old.Actor.Is(e.Actor):
		e.Endpoints = old.Endpoints
	}
	entry := &Entry{Path: e.Path, Actor: e.Actor, Epoch: e.Epoch, State: e.To, Endpoints: e.Endpoints, Since: old.Since, Last: e, born: old.born, up: old.up}
	if e.To.Callable() && (!old.State.Callable() || !old.Actor.Is(e.Actor)) {
		entry.up, entry.Since = t.applied, e.Time
	}
	t.entries[e.Path] = entry
}

// at is the entry at a path; a zero one if there is none.
func (t *Table) at(path string) Entry {
	if e := t.entries[path]; e != nil {
		return *e
	}
	return Entry{}
}

// Entries are those of actors of a name, and that of the actor at a path, in the order of their
// paths; all of them if name is "".
func (t *Table) Entries(name string) (found []Entry) {
	for _, e := range t.entries {
		if e.Last.named(name) {
			found = append(found, *e)
		}
	}
	slices.SortFunc(found, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	return found
}

// around are the actors of a name, with what they are doing, and the paths of all others, without
// programs that have joined only to call somebody.
func (t *Table) around(name string) (same, others []string) {
	for path, e := range t.entries {
		if e.Last.named(name) {
			same = append(same, fmt.Sprintf("%s%s is %s", path, map[bool]string{true: ", which has joined,"}[e.Last.Joined], e.State))
		} else if !e.Last.Joined || len(e.Endpoints) > 0 {
			others = append(others, path)
		}
	}
	slices.Sort(same)
	slices.Sort(others)
	return same, others
}

// clone is a copy, which shares nothing that changes.
func (t *Table) clone() Table { return Table{maps.Clone(t.entries), t.applied} }

// only is a copy that has those of a name.
func (t *Table) only(name string) Table {
	c := Table{map[string]*Entry{}, t.applied}
	for path, e := range t.entries {
		if e.Last.named(name) {
			c.entries[path] = e
		}
	}
	return c
}

// since are events that make of an older table what this one is: the last one of each actor
// that has changed, and an end of each that is not there any more. Ends come first, since a
// new actor may have the path of one that has ended. The older table is a clone of this one,
// which was given some of the same events.
func (t *Table) since(old *Table) (events []Event) {
	for _, e := range old.Entries("") {
		if now, there := t.entries[e.Path]; !there || now.born != e.born {
			events = append(events, e.ended("its end is among the events that were lost", nil))
		}
	}
	for _, e := range t.entries {
		if e.Last.n != old.at(e.Path).Last.n {
			events = append(events, e.Last)
		}
	}
	slices.SortStableFunc(events, func(a, b Event) int { return cmp.Compare(a.n, b.n) })
	return events
}

// ended is the event by which somebody tells of an actor's end in its host's stead.
func (e *Entry) ended(reason string, err error) Event {
	return Event{Time: e.Last.Time, Path: e.Path, Actor: e.Actor, Epoch: e.Epoch, From: e.State, To: Gone, Cause: Lost, Reason: reason, Err: err}
}
