package directory

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

func nobody(Entry) contract.Portal { return nil }

// stage is one level of a tree in this test: a registry, and its actors, which host others.
type stage struct {
	registry *Memory
	actors   []*performer
}

// performer is an actor, with the registry of what it hosts, and what passes that on.
type performer struct {
	in    Membership
	self  actor.ID
	epoch int
	state State
	hosts *stage
	up    *follower // of its registry; nil while it has none
}

func newStage() *stage {
	r := NewMemory("", nil)
	r.behind = 8
	return &stage{registry: r}
}

// follows is what a reader of a stream has: the fold of what it was given, and of which events
// it was told that they are lost.
type follows struct {
	f     *follower
	fold  Table
	given map[uint64]bool
	lost  int
}

func follow(r *Memory) *follows {
	events, lost, f := r.follow("", true)
	reader := &follows{f: f, given: map[uint64]bool{}, lost: lost}
	for _, e := range events {
		reader.fold.Apply(e)
		reader.given[e.n] = true
	}
	return reader
}

// read takes what waits. An actor that comes to the path of another one has fewer processes, and
// the end of the other one is told before.
func (r *follows) read(t *rapid.T) {
	for {
		events, lost := r.f.take()
		r.lost += lost
		for _, e := range events {
			if before := r.fold.at(e.Path); e.To != Gone && e.Epoch < before.Epoch {
				t.Fatalf("D07: %s is told to a reader for whom %+v is there", e, before)
			}
			r.fold.Apply(e)
			if e.n > 0 {
				r.given[e.n] = true
			}
		}
		if len(events) == 0 && lost == 0 {
			return
		}
	}
}

// join is an actor that comes to a level.
func (s *stage) join(t *rapid.T) {
	name := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name")
	p := &performer{in: s.registry.Join(name, nobody), self: actor.NewID(name)}
	s.actors = append(s.actors, p)
	p.tell(Event{To: Waiting})
}

func (p *performer) tell(e Event) {
	e.Actor, e.Epoch, e.From = p.self, p.epoch, p.state
	p.state = e.To
	p.in.Publish(e)
}

// step makes one step in the life of an actor: it comes up, hosts others, ends, comes back.
func (s *stage) step(t *rapid.T, depth int) {
	if len(s.actors) == 0 {
		s.join(t)
		return
	}
	p := rapid.SampledFrom(s.actors).Draw(t, "actor")
	switch p.state {
	case Waiting:
		if rapid.IntRange(0, 3).Draw(t, "gives up") == 0 {
			s.end(p)
			return
		}
		p.epoch++
		p.self = actor.NewID(p.self.Name)
		p.tell(Event{To: Starting})
	case Starting:
		p.tell(Event{To: Ready, Endpoints: []Endpoint{{Name: fmt.Sprint(p.epoch), Kind: "func"}}})
	case Ready:
		p.live(t, depth)
	default:
		p.tell(Event{To: Waiting})
	}
}

// live is what an actor does that is ready.
func (p *performer) live(t *rapid.T, depth int) {
	switch what := rapid.IntRange(0, 5).Draw(t, "what"); {
	case what == 0: // it is killed, with all below it
		p.lose()
		p.tell(Event{To: Reaped, Cause: Crashed})
	case what == 1 && p.hosts != nil:
		p.pass(t)
	case depth == 0:
		p.tell(Event{To: Ready, Reason: "a note"})
	default:
		if p.hosts == nil {
			p.hosts = newStage()
			_, _, p.up = p.hosts.registry.follow("", true)
		}
		if rapid.IntRange(0, 3).Draw(t, "joins") == 0 {
			p.hosts.join(t)
		} else {
			p.hosts.step(t, depth-1)
		}
	}
}

func (p *performer) lose() {
	p.in.Close("its host has died", errors.New("killed"))
	p.hosts, p.up = nil, nil
}

func (s *stage) end(p *performer) {
	p.tell(Event{To: Gone})
	s.actors = slices.DeleteFunc(s.actors, func(other *performer) bool { return other == p })
}

// pass passes on what one look at the stream of an actor's own registry gives.
func (p *performer) pass(t *rapid.T) {
	events, lost := p.up.take()
	if lost > 0 {
		p.in.Publish(Event{Missed: lost})
	}
	for _, e := range events {
		if err := p.in.Pass(e); err != nil {
			t.Fatalf("O01: %v", err)
		}
	}
}

// settle passes on all that waits on its way up, and gives who is there.
func (s *stage) settle(t *rapid.T, path string, truth map[string]Entry) {
	for _, p := range s.actors {
		at := path + p.in.Path()
		truth[at] = Entry{Path: at, Actor: p.self, Epoch: p.epoch, State: p.state}
		if p.hosts == nil {
			continue
		}
		p.hosts.settle(t, at+"/", truth)
		for range 3 {
			p.pass(t) // what is lost, what waits, and nothing
		}
	}
}

func compareWith(t *rapid.T, what string, got []Entry, truth map[string]Entry) {
	for _, e := range got {
		want, there := truth[e.Path]
		if !there || !want.Actor.Is(e.Actor) || want.Epoch != e.Epoch || want.State != e.State {
			t.Fatalf("D01: %s has %+v, and the truth is %+v", what, e, want)
		}
		if e.State == Ready && (len(e.Endpoints) != 1 || e.Endpoints[0].Name != fmt.Sprint(e.Epoch)) {
			t.Fatalf("D01: %s has the endpoints %v of %s in epoch %d", what, e.Endpoints, e.Path, e.Epoch)
		}
	}
	if len(got) != len(truth) {
		t.Fatalf("D01: %s has %d entries, and %d actors are there", what, len(got), len(truth))
	}
}

// However actors come and go on three levels, and however slowly the hosts between pass that on
// and others read it, the fold of the root's stream is who is there, once all is told.
func TestO01_FoldOfTheStreamIsTheTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		root := newStage()
		readers := []*follows{follow(root.registry)}
		for range rapid.IntRange(0, 400).Draw(t, "steps") {
			switch rapid.IntRange(0, 19).Draw(t, "who") {
			case 0:
				root.join(t)
			case 1:
				readers = append(readers, follow(root.registry))
			case 2:
				rapid.SampledFrom(readers).Draw(t, "reader").read(t)
			default:
				root.step(t, 2)
			}
		}
		truth := map[string]Entry{}
		root.settle(t, "", truth)
		compareWith(t, "the registry", root.registry.table.Entries(""), truth)
		for _, r := range readers {
			r.read(t)
			compareWith(t, "a reader", r.fold.Entries(""), truth)
			if total := int(root.registry.table.applied); len(r.given)+r.lost != total {
				t.Fatalf("O01: of %d events %d were given, and %d told as lost", total, len(r.given), r.lost)
			}
		}
	})
}
