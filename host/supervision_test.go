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

// The supervision table against every order of events, for a few places: this is
// the world around it, which carries out its actions as the nursery does.

// world is one state of the exploration: the table, and what the processes do.
type world struct {
	plan    supervision
	process map[int]string // "coming", "up", "told" (to end), by place
	pausing map[int]bool
	old     map[int]bool // processes of the generation that a group restart ends
	now     time.Time
	over    map[int]bool
	broken  map[int]bool // places that have failed for a reason that stays
	spoiled string       // the rule that was broken
}

// world holds pointers, so that each branch works on a copy.
func (w *world) clone() *world {
	c := *w
	c.plan.places = make([]*place, len(w.plan.places))
	for i, p := range w.plan.places {
		q := *p
		c.plan.places[i] = &q
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
	for _, p := range w.plan.places {
		b = append(b, byte(p.id), byte(p.phase), yes(p.fresh), yes(p.paused), yes(p.back), yes(p.healthy), byte(p.row))
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
			w.spoil("%v of place %d after its end", a.do, a.id)
		}
		switch a.do {
		case doStart:
			w.start(a.id)
		case doStop:
			if w.process[a.id] == "" || w.process[a.id] == "told" {
				w.spoil("stop of place %d, which has no process to be told", a.id)
			}
			w.checkOrder(a.id)
			w.process[a.id] = "told"
		case doPause:
			w.pausing[a.id] = true
			if w.plan.inGroups() {
				w.age(a.id)
			}
		case doForget:
			if w.process[a.id] != "" {
				w.spoil("place %d is forgotten and has a process", a.id)
			}
			w.over[a.id] = true
		case doLose:
		case doLimit, doTire, doFail:
			if !w.plan.closing {
				w.spoil("%v of place %d, and nothing is closed", a.do, a.id)
			}
			w.do(w.plan.close())
		}
	}
}

func (w *world) start(id int) {
	p := w.plan.place(id)
	switch {
	case w.plan.closing:
		w.spoil("place %d starts after the close", id)
	case w.process[id] != "":
		w.spoil("place %d starts twice at a time", id)
	case w.pausing[id]:
		w.spoil("place %d starts within its pause", id)
	case len(w.old) > 0 && !p.apart:
		w.spoil("place %d starts while %v of the old generation are alive", id, w.old)
	case w.plan.inGroups() && slices.ContainsFunc(w.plan.places, func(p *place) bool { return w.pausing[p.id] }):
		w.spoil("place %d starts within a pause of %v", id, w.pausing)
	case p.row > w.plan.max:
		w.spoil("place %d starts again after %d restarts without a stable run", id, p.row)
	case w.broken[id]:
		w.spoil("place %d starts again, and nothing can heal it", id)
	case p.kind == config.Temporary && !p.fresh:
		w.spoil("place %d is temporary and starts again", id)
	}
	for _, n := range p.needs {
		if p.fresh && w.plan.place(n.id) == nil {
			w.spoil("place %d starts for the first time, and %d, which it needs, is gone", id, n.id)
		}
		if w.plan.place(n.id) != nil && w.process[n.id] != "up" {
			w.spoil("place %d starts without %d, which it needs", id, n.id)
		}
	}
	w.process[id] = "coming"
}

// age makes the processes that a group restart must end the old generation.
func (w *world) age(culprit int) {
	for id, state := range w.process {
		other := w.plan.place(id)
		if state != "" && other != nil && !other.apart && (w.plan.strategy == config.OneForAll || id > culprit) {
			w.old[id] = true
		}
	}
}

// checkOrder: who is needed ends after those that need it, as far as they end.
func (w *world) checkOrder(id int) {
	for _, p := range w.plan.places {
		ending := p.phase == condemned || p.phase == stopping
		if ending && slices.ContainsFunc(p.needs, func(n need) bool { return n.id == id }) {
			w.spoil("place %d is stopped while %d, which needs it, is ending", id, p.id)
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
		if state == "coming" || state == "told" && w.plan.place(id) != nil && w.plan.place(id).fresh {
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
	for _, p := range w.plan.places {
		if p.id == limits.dismissed && p.phase != stopping && p.phase != condemned {
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
	for _, p := range w.plan.places {
		lacksHealth := slices.ContainsFunc(p.needs, func(n need) bool {
			needed := w.plan.place(n.id)
			return needed != nil && n.healthy && !needed.healthy
		})
		switch {
		case w.plan.closing:
			w.spoil("closed, and place %d is %v for ever", p.id, p.phase)
		case p.phase != up && !lacksHealth:
			w.spoil("place %d is %v for ever", p.id, p.phase)
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
					w.do(w.plan.add(place{id: 1, kind: a}))
					w.do(w.plan.add(place{id: 2, kind: b, needs: needs}))
					w.do(w.plan.add(place{id: 3, kind: config.Permanent}))
					total += explore(t, w, explored{dismissed: 2, healthy: needs != nil, apart: apart})
				}
			}
		}
	}
	t.Logf("%d states", total)
}

// F07: restarts that never lead to a stable run are counted over any time, by place; a
// stable run makes the next one the first. What cannot heal is not restarted at all.
func TestF07_SlowLoopsCount(t *testing.T) {
	broken := end{failed: true}
	for name, c := range map[string]struct {
		ends []end
		want deed
	}{
		"slow loop":      {[]end{broken, broken, broken}, doTire},
		"stable between": {[]end{broken, broken, {failed: true, stable: true}, broken}, doPause},
		"lasting":        {[]end{broken, {failed: true, lasting: true}}, doFail},
	} {
		plan := supervision{strategy: config.OneForOne, max: 2, window: time.Second}
		plan.add(place{id: 1, kind: config.Transient})
		now := time.Now()
		var last []action
		for _, how := range c.ends {
			if p := plan.place(1); p.phase == starting {
				plan.isUp(1)
			}
			now = now.Add(time.Minute)
			last = plan.ended(1, how, now)
			plan.resume(1)
		}
		if last[0].do != c.want || plan.closing != (c.want != doPause) {
			t.Errorf("%s: %v, closing: %v; want %v", name, last, plan.closing, c.want)
		}
	}
}
