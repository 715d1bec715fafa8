package host

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// String names the action in failures.
func (k actionKind) String() string {
	return [...]string{"tell", "start", "stop", "pause", "report", "limit", "unstable", "lasting", "forget"}[k]
}

// The supervision table against every order of events, for a few children: this is
// the world around it, which carries out its actions as the nursery does.

// children is how many there may be, and one more: their ids begin at 1.
const children = 6

// world is one state of the exploration: the table, and what the processes do.
type world struct {
	plan    supervision
	process [children]activity        // by child
	told    [children]directory.State // by child, the state of its last event
	pausing [children]bool
	old     [children]bool // processes of the generation that a group restart ends
	over    [children]bool
	broken  [children]bool     // children that have failed for a reason that stays
	asked   [children]bool     // children that somebody has restarted
	scaled  int                // times that somebody has scaled
	added   int                // children so far
	kind    config.RestartKind // of child 1, and of all in its group
	now     time.Time
	spoiled string               // the rule that was broken
	rows    [children]childState // what the table of a clone points to
}

// activity is what the process of a child does.
type activity byte

const (
	absent      activity = iota
	coming               // up
	comingTold           // and was told to give up
	running              // it can be called
	runningTold          // and was told to end
	dying                // it is being ended, or has died
)

// blank is a world to be copied over, with room for all children.
func blank() *world {
	w := new(world)
	w.plan.children = make([]*childState, 0, children)
	return w
}

// cloneTo copies a world over another one, with what the table points to, so that each branch works on its own. There are
// millions of them, most of which are known already, so that the memory of those is used again.
func (w *world) cloneTo(c *world) {
	rows, restarts := c.plan.children[:0], c.plan.restarts[:0]
	*c = *w
	for i, row := range w.plan.children {
		c.rows[i] = *row
		rows = append(rows, &c.rows[i])
	}
	restarts = append(restarts, w.plan.restarts...)
	c.plan.children, c.plan.restarts, c.plan.actions = rows, restarts, nil
}

// key is what makes two worlds the same.
type key struct {
	closing  bool
	restarts int
	process  [children]activity
	pausing  [children]bool
	old      [children]bool
	asked    [children]bool
	scaled   int
	added    int
	children [children]childKey
}

// childKey is a childState without what does not change.
type childKey struct {
	state                                       directory.State
	decision                                    decision
	fresh, paused, comesBack, healthy, answered bool
	surplus, changed                            bool
	id, unstable, number                        int8
}

func (w *world) key() key {
	k := key{closing: w.plan.closing, restarts: len(w.plan.restarts), process: w.process, pausing: w.pausing, old: w.old, asked: w.asked, scaled: w.scaled, added: w.added}
	for i, c := range w.plan.children {
		k.children[i] = childKey{c.state, c.decision, c.fresh, c.paused, c.comesBack, c.healthy, c.answered, c.surplus, c.changed, int8(c.id), int8(c.unstable), int8(c.number)}
	}
	return k
}

func (w *world) spoil(format string, args ...any) {
	if w.spoiled == "" {
		w.spoiled = fmt.Sprintf(format, args...)
	}
}

// do carries out actions and checks each against the rules.
func (w *world) do(actions []action) {
	for _, a := range actions {
		if w.over[a.id] {
			w.spoil("%v of child %d after its end", a.kind, a.id)
		}
		if a.event.To != "" {
			w.tell(a.id, a.event)
		}
		switch a.kind {
		case actionTell, actionReport:
		case actionStart:
			w.start(a.id)
		case actionStop:
			w.stop(a.id)
		case actionPause:
			w.pausing[a.id] = true
			if w.plan.inGroups() {
				w.age(a.id)
			}
		case actionForget:
			if w.process[a.id] != absent {
				w.spoil("child %d is forgotten and has a process", a.id)
			}
			w.over[a.id] = true
		case actionLimit, actionUnstable, actionLasting:
			if !w.plan.closing {
				w.spoil("%v of child %d, and nothing is closed", a.kind, a.id)
			}
			w.do(w.plan.close())
		}
	}
}

// follows are the states that may come after each.
var follows = map[directory.State][]directory.State{
	"":                  {directory.Waiting},
	directory.Waiting:   {directory.Starting, directory.Gone},
	directory.Starting:  {directory.Ready, directory.Reaped},
	directory.Ready:     {directory.Ready, directory.Unhealthy, directory.Stopping},
	directory.Unhealthy: {directory.Ready, directory.Unhealthy, directory.Stopping},
	directory.Stopping:  {directory.Reaped},
	directory.Reaped:    {directory.Waiting, directory.Starting, directory.Gone},
}

// tell: each event follows from the one before it.
func (w *world) tell(id int, e directory.Event) {
	if e.From != w.told[id] || !slices.Contains(follows[e.From], e.To) {
		w.spoil("child %d is told to go from %q to %q, and was %q", id, e.From, e.To, w.told[id])
	}
	w.told[id] = e.To
}

func (w *world) stop(id int) {
	switch w.process[id] {
	case coming:
		w.process[id] = comingTold
	case running:
		w.process[id] = runningTold
	case dying:
	default:
		w.spoil("stop of child %d, which has no process to be told", id)
	}
	w.checkOrder(id)
}

func (w *world) start(id int) {
	c := w.plan.child(id)
	switch {
	case w.plan.closing:
		w.spoil("child %d starts after the close", id)
	case w.process[id] != absent:
		w.spoil("child %d starts twice at a time", id)
	case w.pausing[id]:
		w.spoil("child %d starts within its pause", id)
	case slices.Contains(w.old[:], true) && !c.oneShot:
		w.spoil("child %d starts while %v of the old generation are alive", id, w.old)
	case w.plan.inGroups() && slices.ContainsFunc(w.plan.children, func(c *childState) bool { return w.pausing[c.id] }):
		w.spoil("child %d starts within a pause of %v", id, w.pausing)
	case c.unstable > w.plan.MaxRestarts:
		w.spoil("child %d starts again after %d restarts without a stable run", id, c.unstable)
	case w.broken[id]:
		w.spoil("child %d starts again, and nothing can heal it", id)
	case c.kind == config.Temporary && !c.fresh && !w.asked[id]:
		w.spoil("child %d is temporary and starts again", id)
	}
	for _, n := range c.needs {
		members := w.members(n.group)
		if c.fresh && len(members) == 0 {
			w.spoil("child %d starts for the first time, and %d, which it needs, is gone", id, n.group)
		}
		for _, needed := range members {
			if w.process[needed.id] != running {
				w.spoil("child %d starts without %d, which it needs", id, needed.id)
			}
		}
	}
	w.process[id] = coming
}

// members are the children of a group.
func (w *world) members(group int) (all []*childState) {
	for _, c := range w.plan.children {
		if c.group == group {
			all = append(all, c)
		}
	}
	return all
}

// age makes the processes that a group restart must end the old generation.
func (w *world) age(culprit int) {
	for id, state := range w.process {
		other := w.plan.child(id)
		if state != absent && other != nil && !other.oneShot && (w.plan.Strategy == config.OneForAll || id > culprit) {
			w.old[id] = true
		}
	}
}

// checkOrder checks that what is needed ends after those that need it, as far as they end.
func (w *world) checkOrder(id int) {
	group := w.plan.child(id).group
	for _, c := range w.plan.children {
		if c.decision != stays && slices.ContainsFunc(c.needs, func(n need) bool { return n.group == group }) {
			w.spoil("child %d is stopped while %d, which needs it, is dying", id, c.id)
		}
	}
}

// move is something that can happen next.
type move struct {
	what string
	id   int
	how  end
	do   func(w *world)
}

func (m move) String() string { return fmt.Sprint(m.what, " ", m.id, " ", m.how) }

// next adds the moves of a world.
func (w *world) next(moves []move, limits explored) []move {
	for id, state := range w.process {
		moves = ofProcess(moves, id, state, limits)
		if w.pausing[id] {
			moves = append(moves, move{what: "resume", id: id, do: func(w *world) {
				w.pausing[id] = false
				w.do(w.plan.resume(id))
			}})
		}
	}
	if !w.plan.closing {
		moves = append(moves, move{what: "close", do: func(w *world) { w.do(w.plan.close()) }})
	}
	if c := w.plan.child(limits.dismissed); c != nil && c.decision == stays {
		moves = append(moves, move{what: "dismiss", id: c.id, do: func(w *world) { w.do(w.plan.dismiss(limits.dismissed)) }})
	}
	if c := w.plan.child(limits.restarted); c != nil {
		moves = append(moves, move{what: "restart", id: c.id, do: func(w *world) {
			w.asked[c.id], w.pausing[c.id] = true, false
			w.do(w.plan.restart(c.id))
		}})
	}
	if c := w.plan.child(limits.replaced); c != nil && !w.plan.closing {
		moves = append(moves, move{what: "replace", id: c.id, do: func(w *world) { w.replace(limits.replaced) }})
	}
	if w.scaled < len(limits.scales) && !w.plan.closing { // a nursery that ends refuses it
		count := limits.scales[w.scaled]
		moves = append(moves, move{what: "scale to", id: count, do: func(w *world) { w.scale(count) }})
	}
	return moves
}

// replace has a child, and those that the strategy ends with it, go on with other processes, of whatever kind they are.
func (w *world) replace(id int) {
	for _, c := range w.plan.withOthers([]int{id}) {
		w.asked[c.id] = true
		w.old[c.id] = w.plan.inGroups() && w.process[c.id] != absent
	}
	w.pausing[id], w.broken[id] = false, false
	w.do(w.plan.replace([]int{id}))
}

// scale has the group of child 1 have a number of replicas.
func (w *world) scale(count int) {
	w.scaled++
	staying := func() (numbers []int) {
		for _, c := range w.members(1) {
			if c.decision == stays || c.comesBack {
				numbers = append(numbers, c.number)
			}
		}
		slices.Sort(numbers)
		return numbers
	}
	before := staying()
	missing, actions := w.plan.scale(1, count)
	w.do(actions)
	if want := before[:min(count, len(before))]; !slices.Equal(staying(), want) || missing != count-len(want) {
		w.spoil("scaled to %d, and of %v there are %v, with %d missing", count, before, staying(), missing)
	}
	for range missing {
		w.added++
		number := 1
		for slices.ContainsFunc(w.members(1), func(c *childState) bool { return c.number == number }) {
			number++
		}
		w.do(w.plan.add(&childState{id: w.added, group: 1, number: number, kind: w.kind, extra: true}, "scaled"))
	}
	if n := len(staying()); n != count && !w.plan.closing {
		w.spoil("scaled to %d, and there are %d", count, n)
	}
}

// ofProcess adds the moves of one process.
func ofProcess(moves []move, id int, state activity, limits explored) []move {
	switch state {
	case coming, comingTold:
		moves = append(moves, move{what: "up", id: id, do: func(w *world) {
			w.process[id] = state + (running - coming)
			w.do(w.plan.up(id))
		}})
	case running, runningTold:
		if id == limits.stepwise {
			moves = append(moves, move{what: "stopping", id: id, do: func(w *world) {
				w.process[id] = dying
				w.do(w.plan.stopping(id, end{}))
			}})
		}
		if limits.healthy {
			moves = append(moves, move{what: "healthy", id: id, do: func(w *world) { w.do(w.plan.checked(id, "", nil)) }})
		}
	case absent, dying:
	}
	isUp := state == running || state == runningTold
	if isUp && id == limits.stepwise {
		return moves
	}
	for _, how := range endings(state) {
		moves = append(moves, move{what: "ended", id: id, how: how, do: func(w *world) {
			if isUp {
				w.do(w.plan.stopping(id, how))
			}
			w.process[id], w.old[id], w.broken[id] = absent, false, how.lasting
			w.now = w.now.Add(limits.apart)
			w.do(w.plan.ended(id, how, w.now))
		}})
	}
	return moves
}

var errBroken = errors.New("broken")

// endings are the ways in which a process can end.
func endings(state activity) []end {
	switch state {
	case coming:
		return []end{{failure: errBroken}, {failure: errBroken, lasting: true}}
	case comingTold:
		return []end{{failure: errGivenUp}}
	case runningTold:
		return []end{{}, {failure: errBroken}}
	case running, dying:
		return []end{{}, {failure: errBroken}, {failure: errBroken, stable: true}}
	case absent:
	}
	return nil
}

// explored says what an exploration includes beyond what always does.
type explored struct {
	dismissed int
	restarted int
	replaced  int
	stepwise  int // the child whose end takes two moves: it stops, and is reaped later
	healthy   bool
	pair      bool          // there are two children, and not three
	scales    []int         // the sizes that the group of child 1 is given, at any moment, one after another
	apart     time.Duration // of two ends
}

// visit is a world, and how it was reached.
type visit struct {
	w    *world
	last move
	from *visit
}

func (v *visit) path() (path []string) {
	for ; v.from != nil; v = v.from {
		path = append(path, v.last.String())
	}
	slices.Reverse(path)
	return path
}

// explore visits every world that can be reached and returns how many there are.
func explore(t *testing.T, first *world, limits explored) int {
	seen := map[key]bool{first.key(): true}
	stack := []*visit{{w: first}}
	var moves []move
	spare := blank()
	for len(stack) > 0 {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		moves = v.w.next(moves[:0], limits)
		v.w.checkRest(moves)
		if v.w.spoiled != "" {
			t.Fatalf("%s\nafter %s", v.w.spoiled, strings.Join(v.path(), ", "))
		}
		for _, m := range moves {
			w := spare
			v.w.cloneTo(w)
			m.do(w)
			if k := w.key(); !seen[k] || w.spoiled != "" {
				seen[k] = true
				stack, spare = append(stack, &visit{w, m, v}), blank()
			}
		}
		spare, v.w = v.w, nil // only the path to it is still needed
	}
	return len(seen)
}

// checkRest: when only the outside can move (a failure, a close), every actor is
// up, or over; after a close all is over.
func (w *world) checkRest(moves []move) {
	if slices.ContainsFunc(moves, func(m move) bool { return m.what == "resume" || m.what == "up" }) {
		return
	}
	for _, state := range w.process {
		if state != absent && state != running {
			return
		}
	}
	for _, c := range w.plan.children {
		lacksHealth := slices.ContainsFunc(c.needs, func(n need) bool {
			return n.healthy && slices.ContainsFunc(w.members(n.group), func(needed *childState) bool { return !needed.healthy })
		})
		switch {
		case w.plan.closing:
			w.spoil("closed, and child %d is %s for ever", c.id, c.state)
		case !c.isUp() && !lacksHealth:
			w.spoil("child %d is %s for ever", c.id, c.state)
		}
	}
}

func TestV01_EveryOrderOfEvents(t *testing.T) {
	t.Parallel()
	everyOrder(t, 2, explored{dismissed: 2, stepwise: 2})
}

// D04: somebody restarts an actor, at any moment.
func TestV01_EveryOrderWithRestarts(t *testing.T) {
	t.Parallel()
	everyOrder(t, 1, explored{dismissed: 1, restarted: 2})
}

// V05: an actor is to be another one, at any moment. There is a third child only with -model=full.
func TestV05_EveryOrderWithReplacing(t *testing.T) {
	t.Parallel()
	pair := *modelMode != "full"
	everyOrder(t, 1, explored{dismissed: 1, replaced: 2, pair: pair})
	everyOrder(t, 1, explored{replaced: 1, pair: pair})
}

// Somebody scales an actor that another one needs, twice, at any moment.
func TestV01_EveryOrderWithScaling(t *testing.T) {
	t.Parallel()
	for _, scales := range [][]int{{2, 1}, {0, 1}} {
		everyOrder(t, 1, explored{scales: scales, pair: true})
	}
}

// TestF07_EveryOrderOfSlowLoops: the ends are so far apart that no restart counts with
// another within the window.
func TestF07_EveryOrderOfSlowLoops(t *testing.T) {
	t.Parallel()
	everyOrder(t, 1, explored{dismissed: 2, apart: 2 * time.Hour})
}

var modelMode = flag.String("model", "quick", "bounds of the model checker: quick or full")

// everyOrder explores the children of each strategy and of each kind. The first two are of different kinds only with -model=full.
func everyOrder(t *testing.T, most int, limits explored) {
	t.Helper()
	kinds := []config.RestartKind{config.Temporary, config.Transient, config.Permanent}
	total := 0
	for _, strategy := range []config.Strategy{config.OneCancelsAll, config.OneForOne, config.OneForAll, config.RestForOne} {
		for _, a := range kinds {
			for _, b := range kinds {
				if a != b && *modelMode != "full" {
					continue
				}
				for _, needs := range [][]need{nil, {{group: 1}}, {{group: 1, healthy: true}}} {
					w := &world{
						plan: supervision{Supervision: config.Supervision{Strategy: strategy, MaxRestarts: most, Window: config.Duration(time.Hour)}},
						now:  time.Now(), added: 2, kind: a,
					}
					w.do(w.plan.add(&childState{id: 1, number: 1, kind: a}, ""))
					w.do(w.plan.add(&childState{id: 2, kind: b, needs: needs}, ""))
					if !limits.pair {
						w.do(w.plan.add(&childState{id: 3, kind: config.Permanent}, ""))
					}
					limits.healthy = needs != nil
					total += explore(t, w, limits)
				}
			}
		}
	}
	t.Logf("%d states", total)
}

// F07: restarts that never lead to a stable run are counted over any time, by child; a
// stable run makes the next one the first. What cannot heal is not restarted at all.
func TestF07_SlowLoopsCount(t *testing.T) {
	broken := end{failure: errBroken}
	for name, c := range map[string]struct {
		ends []end
		want actionKind
	}{
		"slow loop":      {[]end{broken, broken, broken}, actionUnstable},
		"stable between": {[]end{broken, broken, {failure: errBroken, stable: true}, broken}, actionPause},
		"lasting":        {[]end{broken, {failure: errBroken, lasting: true}}, actionLasting},
	} {
		plan := supervision{Supervision: config.Supervision{Strategy: config.OneForOne, MaxRestarts: 2, Window: config.Duration(time.Second)}}
		plan.add(&childState{id: 1, kind: config.Transient}, "")
		now := time.Now()
		var last []action
		for _, how := range c.ends {
			if c := plan.child(1); c.state == directory.Starting {
				plan.up(1)
			}
			now = now.Add(time.Minute)
			last = plan.ended(1, how, now)
			plan.resume(1)
		}
		if last[1].kind != c.want || plan.closing != (c.want != actionPause) {
			t.Errorf("%s: %v, closing: %v; want %v", name, last, plan.closing, c.want)
		}
	}
}

// D22: all that ends with a machine counts as one restart, and so a machine with many actors does not use up the limit. Another
// machine's loss is another one, and so is what ends by itself.
func TestD22_TheLossOfAMachineCountsOnce(t *testing.T) {
	const actors = 8
	plan := supervision{Supervision: config.Supervision{Strategy: config.OneForOne, MaxRestarts: 2, Window: config.Duration(time.Minute)}}
	for id := range actors {
		plan.add(&childState{id: id + 1, kind: config.Permanent}, "")
		plan.up(id + 1)
	}
	now := time.Now()
	lost := func(id, machine int) action {
		all := plan.ended(id, end{failure: errBroken, machine: machine}, now)
		return all[len(all)-1]
	}
	for id := range actors - 2 {
		if got := lost(id+1, 7); got.kind != actionPause {
			t.Fatalf("actor %d is not restarted: %+v", id+1, got)
		}
	}
	if got := lost(actors-1, 9); got.kind != actionPause {
		t.Errorf("the second machine: %+v", got)
	}
	if plan.ended(actors, end{failure: errBroken}, now); !plan.closing {
		t.Error("two machines and a failure are no more than 2 restarts")
	}
}

// N02: what has begun to end before all is closed, and was to be restarted, is no failure of the whole, however long it takes until
// it is reaped; what begins to end after that is one.
func TestN02_AFailureFromBeforeTheEnd(t *testing.T) {
	for _, before := range []bool{true, false} {
		plan := supervision{Supervision: config.Supervision{}.WithDefaults()}
		plan.add(&childState{id: 1, kind: config.Permanent}, "")
		plan.up(1)
		broken := end{failure: errBroken}
		if before {
			plan.stopping(1, broken)
			plan.close()
		} else {
			plan.close()
			plan.stopping(1, broken)
		}
		reported := slices.ContainsFunc(plan.ended(1, broken, time.Now()), func(a action) bool { return a.kind == actionReport })
		if reported == before {
			t.Errorf("from before the end: %t; reported: %t", before, reported)
		}
	}
}

// One more replica that does not come up leaves as many as there were: whoever waits for it starts without it.
func TestScale_AFailureOfOneMoreEndsNobodyElse(t *testing.T) {
	plan := supervision{Supervision: config.Supervision{}.WithDefaults()}
	first, more := &childState{id: 1, kind: config.Temporary}, &childState{id: 2, group: 1, extra: true, kind: config.Temporary}
	waits := &childState{id: 3, kind: config.Temporary, needs: []need{{group: 1}}}
	plan.add(first, "")
	plan.up(1)
	plan.add(more, "scaled")
	plan.add(waits, "")
	if waits.state != directory.Waiting {
		t.Fatalf("it is %s, want it to wait for the replica that is coming up", waits.state)
	}
	plan.ended(2, end{failure: errors.New("no"), lasting: true}, time.Now())
	if waits.over || waits.state != directory.Starting {
		t.Errorf("it is %s, over: %t; want it to start", waits.state, waits.over)
	}
}
