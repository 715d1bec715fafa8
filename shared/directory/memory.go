package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Bounds of what is remembered, for each member and all that is below it.
const (
	keptOfEach = 256  // events, and the last one of each actor that is there
	keptGone   = 64   // members that are over
	mostBelow  = 4096 // actors below a member
	mostBehind = 4096 // events that a follower may be behind
	mostUnseen = 256  // the same of a loop over actors of a name, which is given how they are now when it has missed more
)

// Memory is a registry in the memory of its host's process. The outermost nursery of a root
// host makes one, and so does each plugin for the nurseries in it, where it has what the
// plugin hosts and is a part of one that has the rest (package report). It owns no
// goroutine, and ends with Finish.
//
// mu guards all fields below it, those of the followers and those of the members. It is taken
// under the locks of nurseries, and under it no other one.
type Memory struct {
	at     string // the path of the actor whose registry it is
	joined func() // is called before the first member joins
	behind int    // mostBehind, but in tests

	mu        sync.Mutex
	once      bool // joined was called
	table     Table
	actors    map[string]string // the paths of processes that are there, by their UUIDs
	seq       uint64
	epoch     uint64             // memberships so far
	members   map[string]*member // by their paths
	gone      [][]Event          // what was kept of members that are over, the oldest first
	followers map[*follower]struct{}
	finished  bool
}

// member is one actor that has joined, and what is kept of it and of those below it.
type member struct {
	r     *Memory
	path  string
	call  func(Entry) contract.Portal
	kept  []Event // a ring of the last ones; whoever asks for them sorts them
	told  int     // events so far
	below int     // actors that are there
	epoch uint64
	lost  chan struct{} // closed when it is over: it is not among the members, or the registry has ended
	guest bool          // it is a program that has joined a host, and so is all below it, whatever it says
	host  string        // on whose machine the member runs; "" for that of its host
}

// NewMemory makes an empty registry for what the actor at a path hosts; "" is the root. joined, if
// it is not nil, is called when the first member joins, and must not wait.
func NewMemory(at string, joined func()) *Memory {
	return &Memory{at: at, joined: joined, behind: mostBehind, actors: map[string]string{}, members: map[string]*member{}, followers: map[*follower]struct{}{}}
}

// Path is where the actor is whose registry this is.
func (r *Memory) Path() string { return r.at }

// Has reports whether a path is that of an actor that can be a member, or below one.
func (r *Memory) Has(path string) bool { return treepath.IsBelow(path, r.at) }

// Join takes in a member.
func (r *Memory) Join(name string, call func(Entry) contract.Portal) Membership {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.once && r.joined != nil {
		r.joined()
	}
	r.once = true
	r.epoch++
	m := &member{r: r, path: treepath.Join(r.at, name), call: call, epoch: r.epoch, lost: make(chan struct{})}
	for n := 2; r.members[m.path] != nil; n++ {
		m.path = treepath.Join(r.at, fmt.Sprintf("%s#%d", name, n))
	}
	r.members[m.path] = m
	if r.finished {
		close(m.lost)
	}
	return m
}

// Path is the member's path.
func (m *member) Path() string { return m.path }

// Epoch is the number of the membership.
func (m *member) Epoch() uint64 { return m.epoch }

// Until is never.
func (m *member) Until() time.Time { return time.Time{} }

// Lost is closed when the member is gone, or the registry has ended.
func (m *member) Lost() <-chan struct{} { return m.lost }

// Publish tells an event of the member itself. One with Missed changes no state, and needs to
// say nothing else.
func (m *member) Publish(e Event) {
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	now := m.r.table.at(m.path)
	if m.r.members[m.path] != m || e.Missed > 0 && now.Path == "" {
		return // it is gone, and the path may be another member's by now
	}
	m.r.seq++
	e.Path, e.Seq = m.path, m.r.seq
	if e.Missed > 0 {
		e.Time, e.Actor, e.Epoch, e.From, e.To = time.Now(), now.Actor, now.Epoch, now.State, now.State
		e.Reason = fmt.Sprintf("%d events of what it hosts were lost on their way", e.Missed)
	}
	m.put(e)
	if e.To == Gone {
		delete(m.r.members, m.path)
		if !m.r.finished {
			close(m.lost)
		}
		m.r.gone = append(m.r.gone, m.kept)
		m.r.gone = slices.Delete(m.r.gone, 0, max(0, len(m.r.gone)-keptGone))
	}
}

// Pass checks an event of an actor below, and tells it. Its path comes with the member's in
// front, its state before is the one that is known here, and its name is that of its path; so
// the member can say what it wants of its own subtree, and nothing of others.
func (m *member) Pass(e Event) error {
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	path := treepath.Join(m.path, e.Path)
	old := m.r.table.at(path)
	known := old.Path != ""
	if err := m.mayPass(&e, path, known); err != nil || !known && e.To == Gone {
		return err // what has come and gone while its events were lost was never here
	}
	e.Path, e.From, e.Actor.Name = path, old.State, treepath.Name(path)
	e.bound(time.Now())
	m.put(e)
	return nil
}

// mayPass is why an event of an actor below is refused; nil if it is not.
func (m *member) mayPass(e *Event, path string, known bool) error {
	at, taken := m.r.actors[e.Actor.UUID]
	switch {
	case m.r.members[m.path] != m:
		return fmt.Errorf("%s is gone, and tells of %q", m.path, e.Path)
	case !treepath.Valid(e.Path):
		return fmt.Errorf("%q is not the path of an actor below %s", e.Path, m.path)
	case e.Actor.UUID == "" || len(e.Actor.UUID) > mostUUID || taken && at != path:
		return fmt.Errorf("the actor at %s has no identity of its own: %q", path, e.Actor.UUID)
	case !slices.Contains([]State{Waiting, Starting, Ready, Unhealthy, Stopping, Reaped, Gone, Standby}, e.To):
		return fmt.Errorf("the actor at %s has a state that there is not: %q", path, e.To)
	case !slices.Contains([]Cause{"", Requested, Finished, Crashed, Transport, Sick, Stuck, NotUp, Lost}, e.Cause):
		return fmt.Errorf("the actor at %s has a cause that there is not: %q", path, e.Cause)
	case !known && m.below >= mostBelow:
		return fmt.Errorf("below %s are more than %d actors", m.path, mostBelow)
	}
	return nil
}

// Close tells of all below the member that they are gone, those first that are hosted by others.
func (m *member) Close(reason string, err error) {
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	if m.r.members[m.path] != m {
		return // what is there is another member's
	}
	entries := m.r.table.Entries("")
	slices.Reverse(entries) // a path comes behind that of its host
	for _, entry := range entries {
		if treepath.IsBelow(entry.Path, m.path) {
			e := entry.ended(reason, err)
			e.Time = time.Now()
			m.put(e)
		}
	}
}

// put takes an event in: into the table, what is kept of the member, and the rings of all who
// follow. The caller holds the lock, so that all of them have the same order.
func (m *member) put(e Event) {
	r := m.r
	e.n = r.table.applied + 1
	m.guest = m.guest || e.Joined && e.Path == m.path
	e.Joined = e.Joined || m.guest
	if e.Path == m.path {
		m.host = e.Host
	}
	e.Host = cmp.Or(e.Host, m.host) // what it hosts runs beside it
	old := r.table.at(e.Path)
	known := old.Path != ""
	delete(r.actors, old.Actor.UUID)
	r.table.Apply(e)
	if e.To != Gone {
		r.actors[e.Actor.UUID] = e.Path
	}
	switch {
	case e.Path == m.path:
	case !known && e.To != Gone:
		m.below++
	case known && e.To == Gone:
		m.below--
	}
	if m.told < keptOfEach {
		m.kept = append(m.kept, e)
	} else {
		m.kept[m.told%keptOfEach] = e
	}
	m.told++
	for f := range r.followers {
		f.put(e)
	}
}

// Entries are those that are there. It waits for nothing, and does not fail.
func (r *Memory) Entries(_ context.Context, name string) ([]Entry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.table.Entries(name), nil
}

// Missing waits for nothing, and does not fail.
func (r *Memory) Missing(_ context.Context, name string) (string, error) {
	r.mu.Lock()
	same, others := r.table.around(name)
	r.mu.Unlock()
	name = strings.TrimSuffix(name, "#")
	switch {
	case len(same) > 0:
		return fmt.Sprintf("none named %s is ready; %s", words.Quote(name), words.List(same, ", ")), nil
	case len(others) == 0:
		return words.Quote(name) + "; there are none", nil
	}
	return fmt.Sprintf("%s; there are %s%s", words.Quote(name), words.List(others, ", "), words.DidYouMean(name, others)), nil
}

// Portal leads to an actor through the member that it is, or that hosts it.
func (r *Memory) Portal(e Entry) contract.Portal {
	first, _, _ := strings.Cut(strings.TrimPrefix(e.Path, treepath.Join(r.at, "")), "/")
	r.mu.Lock()
	m := r.members[treepath.Join(r.at, first)]
	r.mu.Unlock()
	if m == nil {
		return endpoint.Reach(func(context.Context) (t dialog.Target, err error) {
			if e.Actor.IsZero() {
				return t, fmt.Errorf("%w: %.100q", ErrNotFound, e.Path)
			}
			return t, fmt.Errorf("%w: %s of %.100q is gone; find the actor again", ErrStale, e.Actor, e.Path)
		})
	}
	return m.call(e)
}

// Where is the path of a process that is there.
func (r *Memory) Where(id actor.ID) (path string, there bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	path, there = r.actors[id.UUID]
	return path, there
}

// Events begins with what is kept.
func (r *Memory) Events(ctx context.Context) iter.Seq2[Event, error] { return r.loop(ctx, "", true) }

// Watch begins with what is there.
func (r *Memory) Watch(ctx context.Context, name string) iter.Seq2[Event, error] {
	return r.loop(ctx, name, false)
}

func (r *Memory) loop(ctx context.Context, name string, kept bool) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		events, lost, f := r.follow(name, kept)
		f.pace = task.PaceOf(ctx)
		defer r.leave(f)
		if !kept {
			events = append(events, Event{})
		}
		for over := false; ; {
			if lost > 0 && !yield(Event{}, &fault.Lagged{Missed: lost}) {
				return
			}
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
			}
			if over {
				return
			}
			events, lost, over = r.next(ctx, f)
		}
	}
}

// follow takes the state and the follower's place under one lock: no event is missed between
// the two, and none is given twice. lost is how many events of the past are not kept, for whoever
// asks for the past.
func (r *Memory) follow(name string, kept bool) (events []Event, lost int, f *follower) {
	r.mu.Lock()
	defer r.mu.Unlock()
	most := r.behind
	if !kept {
		most = min(most, mostUnseen)
	}
	f = &follower{name: name, most: most, past: r.table.only(name), wake: make(chan struct{}, 1), many: make(chan struct{}, 1), nothing: r.finished}
	r.followers[f] = struct{}{}
	events = f.past.since(&Table{})
	if kept {
		events = r.history(events)
		lost = int(r.table.applied) - len(events)
	}
	return events, lost, f
}

// history is what is kept, in order: of the members, and the last event of each actor.
func (r *Memory) history(last []Event) []Event {
	events := slices.Concat(last, slices.Concat(r.gone...))
	for _, m := range r.members {
		events = append(events, m.kept...)
	}
	slices.SortStableFunc(events, func(a, b Event) int { return cmp.Compare(a.n, b.n) })
	return slices.CompactFunc(events, func(a, b Event) bool { return a.n == b.n })
}

func (r *Memory) leave(f *follower) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.followers, f)
}

// next waits for what comes next, where a viewer rests before when much does, and reports whether it is the last: what there is when ctx has
// ended, however much comes meanwhile; or all that is left, when the registry has ended.
func (r *Memory) next(ctx context.Context, f *follower) (events []Event, lost int, over bool) {
	f.pace.Rest(ctx, f.many)
	for {
		over = ctx.Err() != nil
		r.mu.Lock()
		events, lost = f.take()
		over = over || f.nothing && len(f.ring) == 0
		r.mu.Unlock()
		if over || len(events) > 0 || lost > 0 {
			return events, lost, over
		}
		_ = task.Await(ctx, f.wake) // the end of ctx is seen above
	}
}

// Finish ends all loops, once they have had what was told before.
func (r *Memory) Finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.finished {
		return
	}
	r.finished = true
	for _, m := range r.members {
		close(m.lost)
	}
	for f := range r.followers {
		f.finish()
	}
}

var errNoDirectory = errors.New("this ctx belongs to no tree: it is not one of a nursery's body, a handler's, or one that directory.With has made")
