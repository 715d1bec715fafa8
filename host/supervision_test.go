package host

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
)

// The supervision table against every order of events, for a few children: this is
// the world around it, which carries out its actions as the nursery does.

// world is one state of the exploration: the table, and what the processes do.
type world struct {
	plan    supervision
	process map[int]string // "coming", "up", "told" (to end), by child
	pausing map[int]bool
	old     map[int]bool // processes of the generation that a group restart ends
	now     time.Time
	over    map[int]bool
	broken  map[int]bool // children that have failed for a reason that stays
	spoiled string       // the rule that was broken
}

// world holds pointers, so that each branch works on a copy.
func (w *world) clone() *world {
	c := *w
	c.plan.children = make([]*childState, len(w.plan.children))
	for i, row := range w.plan.children {
		copied := *row
		c.plan.children[i] = &copied
	}
	c.plan.restarts = slices.Clone(w.plan.restarts)
	c.process, c.pausing, c.old, c.over, c.broken = copyMap(w.process), copyMap(w.pausing), copyMap(w.old), copyMap(w.over), copyMap(w.broken)
	return &c
}

func copyMap[K comparable, V any](m map[K]V) map[K]V {
	c := make(map[K]V, len(m))
	maps.Copy(c, m)
	return c
}

// key is what makes two worlds the same.
func (w *world) key() string {
	yes := func(b bool) byte { return map[bool]byte{true: 1}[b] }
	b := []byte{yes(w.plan.closing), byte(len(w.plan.restarts))}
	for id := range 4 {
		b = append(b, (w.process[id] + "-")[0], yes(w.pausing[id]), yes(w.old[id]))
	}
	for _, c := range w.plan.children {
		b = append(b, byte(c.id), byte(c.phase), yes(c.fresh), yes(c.paused), yes(c.comesBack), yes(c.healthy), byte(c.unstable))
	}
	return string(b)
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
		switch a.kind {
		case actionStart:
			w.start(a.id)
		case actionStop:
			if w.process[a.id] == "" || w.process[a.id] == "told" {
				w.spoil("stop of child %d, which has no process to be told", a.id)
			}
			w.checkOrder(a.id)
			w.process[a.id] = "told"
		case actionPause:
			w.pausing[a.id] = true
			if w.plan.inGroups() {
				w.age(a.id)
			}
		case actionForget:
			if w.process[a.id] != "" {
				w.spoil("child %d is forgotten and has a process", a.id)
			}
			w.over[a.id] = true
		case actionReport:
		case actionLimit, actionUnstable, actionLasting:
			if !w.plan.closing {
				w.spoil("%v of child %d, and nothing is closed", a.kind, a.id)
			}
			w.do(w.plan.close())
		}
	}
}

func (w *world) start(id int) {
	c := w.plan.child(id)
	switch {
	case w.plan.closing:
		w.spoil("child %d starts after the close", id)
	case w.process[id] != "":
		w.spoil("child %d starts twice at a time", id)
	case w.pausing[id]:
		w.spoil("child %d starts within its pause", id)
	case len(w.old) > 0 && !c.oneShot:
		w.spoil("child %d starts while %v of the old generation are alive", id, w.old)
	case w.plan.inGroups() && slices.ContainsFunc(w.plan.children, func(c *childState) bool { return w.pausing[c.id] }):
		w.spoil("child %d starts within a pause of %v", id, w.pausing)
	case c.unstable > w.plan.max:
		w.spoil("child %d starts again after %d restarts without a stable run", id, c.unstable)
	case w.broken[id]:
		w.spoil("child %d starts again, and nothing can heal it", id)
	case c.kind == config.Temporary && !c.fresh:
		w.spoil("child %d is temporary and starts again", id)
	}
	for _, n := range c.needs {
		if c.fresh && w.plan.child(n.id) == nil {
			w.spoil("child %d starts for the first time, and %d, which it needs, is gone", id, n.id)
		}
		if w.plan.child(n.id) != nil && w.process[n.id] != "up" {
			w.spoil("child %d starts without %d, which it needs", id, n.id)
		}
	}
	w.process[id] = "coming"
}

// age makes the processes that a group restart must end the old generation.
func (w *world) age(culprit int) {
	for id, state := range w.process {
		other := w.plan.child(id)
		if state != "" && other != nil && !other.oneShot && (w.plan.strategy == config.OneForAll || id > culprit) {
			w.old[id] = true
		}
	}
}

// checkOrder: who is needed ends after those that need it, as far as they end.
func (w *world) checkOrder(id int) {
	for _, c := range w.plan.children {
		ending := c.phase == condemned || c.phase == stopping
		if ending && slices.ContainsFunc(c.needs, func(n need) bool { return n.id == id }) {
			w.spoil("child %d is stopped while %d, which needs it, is ending", id, c.id)
		}
	}
}

// moves are what can happen next.
func (w *world) next(limits explored) map[string]func(*world) {
	moves := map[string]func(*world){}
	for id, state := range w.process {
		if state == "" {
			continue
		}
		if state == "coming" || state == "told" && w.plan.child(id) != nil && w.plan.child(id).fresh {
			moves[fmt.Sprint("up ", id)] = func(w *world) {
				if w.process[id] == "coming" {
					w.process[id] = "up"
				}
				w.do(w.plan.isUp(id))
			}
		}
		if state == "up" && limits.healthy {
			moves[fmt.Sprint("healthy ", id)] = func(w *world) { w.do(w.plan.isHealthy(id, true)) }
		}
		for _, how := range endings(state) {
			moves[fmt.Sprint("ended ", id, how)] = func(w *world) {
				w.process[id] = ""
				w.broken[id] = how.lasting
				delete(w.old, id)
				w.now = w.now.Add(limits.apart)
				w.do(w.plan.ended(id, how, w.now))
			}
		}
	}
	for id := range w.pausing {
		moves[fmt.Sprint("resume ", id)] = func(w *world) {
			delete(w.pausing, id)
			w.do(w.plan.resume(id))
		}
	}
	if !w.plan.closing {
		moves["close"] = func(w *world) { w.do(w.plan.close()) }
	}
	for _, c := range w.plan.children {
		if c.id == limits.dismissed && c.phase != stopping && c.phase != condemned {
			moves["dismiss"] = func(w *world) { w.do(w.plan.dismiss(limits.dismissed)) }
		}
	}
	return moves
}

// endings are the ways in which a process can end.
func endings(state string) []end {
	switch state {
	case "told":
		return []end{{}}
	case "coming":
		return []end{{failed: true}, {failed: true, lasting: true}}
	}
	return []end{{}, {failed: true}, {failed: true, stable: true}}
}

// explored says what an exploration includes beyond what always does.
type explored struct {
	dismissed int
	healthy   bool
	apart     time.Duration // of two ends
}

// explore visits every world that can be reached and returns how many there are.
func explore(t *testing.T, first *world, limits explored) int {
	seen := map[string]bool{}
	type visit struct {
		w    *world
		path []string
	}
	queue := []visit{{first, nil}}
	for len(queue) > 0 {
		v := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		key := v.w.key()
		if seen[key] {
			continue
		}
		seen[key] = true
		moves := v.w.next(limits)
		v.w.checkRest(moves)
		if v.w.spoiled != "" {
			t.Fatalf("%s\nafter %s", v.w.spoiled, strings.Join(v.path, ", "))
		}
		for name, move := range moves {
			w := v.w.clone()
			move(w)
			queue = append(queue, visit{w, append(slices.Clone(v.path), name)})
		}
	}
	return len(seen)
}

// checkRest: when only the outside can move (a failure, a close), every actor is
// up, or over; after a close all is over.
func (w *world) checkRest(moves map[string]func(*world)) {
	for name := range moves {
		if strings.HasPrefix(name, "resume") || strings.HasPrefix(name, "up") {
			return
		}
	}
	for _, state := range w.process {
		if state == "told" || state == "coming" {
			return
		}
	}
	for _, c := range w.plan.children {
		lacksHealth := slices.ContainsFunc(c.needs, func(n need) bool {
			needed := w.plan.child(n.id)
			return needed != nil && n.healthy && !needed.healthy
		})
		switch {
		case w.plan.closing:
			w.spoil("closed, and child %d is %v for ever", c.id, c.phase)
		case c.phase != up && !lacksHealth:
			w.spoil("child %d is %v for ever", c.id, c.phase)
		}
	}
}

func TestV01_EveryOrderOfEvents(t *testing.T) { everyOrder(t, 2, 0) }

// TestF07_EveryOrderOfSlowLoops: the ends are so far apart that no restart counts with
// another within the window.
func TestF07_EveryOrderOfSlowLoops(t *testing.T) { everyOrder(t, 1, 2*time.Hour) }

func everyOrder(t *testing.T, most int, apart time.Duration) {
	kinds := []config.RestartKind{config.Temporary, config.Transient, config.Permanent}
	total := 0
	for _, strategy := range []config.Strategy{config.OneCancelsAll, config.OneForOne, config.OneForAll, config.RestForOne} {
		for _, a := range kinds {
			for _, b := range kinds {
				for _, needs := range [][]need{nil, {{id: 1}}, {{id: 1, healthy: true}}} {
					w := &world{
						plan:    supervision{strategy: strategy, max: most, window: time.Hour},
						process: map[int]string{}, pausing: map[int]bool{}, old: map[int]bool{}, over: map[int]bool{}, broken: map[int]bool{}, now: time.Now(),
					}
					w.do(w.plan.add(childState{id: 1, kind: a}))
					w.do(w.plan.add(childState{id: 2, kind: b, needs: needs}))
					w.do(w.plan.add(childState{id: 3, kind: config.Permanent}))
					total += explore(t, w, explored{dismissed: 2, healthy: needs != nil, apart: apart})
				}
			}
		}
	}
	t.Logf("%d states", total)
}

// F07: restarts that never lead to a stable run are counted over any time, by child; a
// stable run makes the next one the first. What cannot heal is not restarted at all.
func TestF07_SlowLoopsCount(t *testing.T) {
	broken := end{failed: true}
	for name, c := range map[string]struct {
		ends []end
		want actionKind
	}{
		"slow loop":      {[]end{broken, broken, broken}, actionUnstable},
		"stable between": {[]end{broken, broken, {failed: true, stable: true}, broken}, actionPause},
		"lasting":        {[]end{broken, {failed: true, lasting: true}}, actionLasting},
	} {
		plan := supervision{strategy: config.OneForOne, max: 2, window: time.Second}
		plan.add(childState{id: 1, kind: config.Transient})
		now := time.Now()
		var last []action
		for _, how := range c.ends {
			if c := plan.child(1); c.phase == starting {
				plan.isUp(1)
			}
			now = now.Add(time.Minute)
			last = plan.ended(1, how, now)
			plan.resume(1)
		}
		if last[0].kind != c.want || plan.closing != (c.want != actionPause) {
			t.Errorf("%s: %v, closing: %v; want %v", name, last, plan.closing, c.want)
		}
	}
}
