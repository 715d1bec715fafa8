//go:build linux

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// expectation says what a blow may do, and to whom.
type expectation struct {
	ends map[string]bool      // actors whose processes end
	told map[string][]pattern // what those hear who had to do with one of them
	must bool                 // they end for sure, and all who had to do with them hear of it
	most int                  // so often may one task hear of it
}

// pattern is an error that is right: its class, and the actor that it names; any
// if empty.
type pattern struct{ class, who string }

func expect() *expectation {
	return &expectation{ends: map[string]bool{}, told: map[string][]pattern{}, must: true, most: 1}
}

// ending adds an actor that ends, with all below it, and what its end is called.
func (e *expectation) ending(name string, classes ...string) *expectation {
	for _, n := range below(name) {
		e.ends[n] = true
	}
	for _, class := range classes {
		e.told[name] = append(e.told[name], pattern{class, name})
	}
	return e
}

// withSiblings adds those that the strategy ends with an actor: their supervisor
// cancels them.
func (e *expectation) withSiblings(name string) *expectation {
	for _, s := range condemned(name) {
		e.ending(s)
		e.told[s] = append(e.told[s], pattern{classCancelled, parentOf(s)}, pattern{classClosing, ""})
	}
	return e
}

// silent adds that an actor does not answer for a while, so that a Cancel may find
// its bound over.
func (e *expectation) silent(name string) *expectation {
	e.told[name] = append(e.told[name], pattern{classUnacked, ""})
	return e
}

// refusing adds that an actor ends in order: it takes no new work until its host
// knows.
func (e *expectation) refusing(name string) *expectation {
	e.told[name] = append(e.told[name], pattern{classClosing, ""})
	return e
}

// about is what a task may be told, nil if it is none of its business.
func (e *expectation) about(kind, target string) []pattern {
	patterns := slices.Clone(e.told[target])
	if kind == kindDeep {
		patterns = append(patterns, e.told[parentOf(target)]...)
	}
	return patterns
}

// snapshot is the tree right before a blow.
type snapshot struct {
	at    time.Time
	short map[string]string // of each actor
	pid   map[string]int
	tasks map[taskKey]Task
}

func (d *driver) takeSnapshot() snapshot {
	s := snapshot{short: map[string]string{}, pid: map[string]int{}, tasks: map[taskKey]Task{}}
	for _, p := range tree {
		now := d.now(p.name)
		s.short[p.name], s.pid[p.name] = now.short, now.pid
	}
	maps.Copy(s.tasks, d.tasksNow)
	s.at = time.Now()
	return s
}

// judge compares what the tasks were told with what they should have been, once
// all is well again. It gives everything that is wrong.
func (d *driver) judge(e *expectation, s snapshot) (wrong []string) {
	heard := map[taskKey]int{}
	for _, w := range d.failures {
		key := taskKey{w.pid, w.f.Kind, w.f.Target}
		if !e.isRefusal(w) {
			heard[key]++
		}
		if text := d.misjudged(e, s, w, heard[key]); text != "" {
			wrong = append(wrong, fmt.Sprintf("%s: %s with %s, connected to %q, after %v: %s, %q: %s", text, w.owner+"'s "+w.f.Kind, w.f.Target,
				w.f.Peer, w.f.Time.Sub(s.at).Round(time.Microsecond), w.f.Class, d.nameOf[w.f.Who], w.f.Text))
		}
	}
	if e.must {
		wrong = append(wrong, d.untold(e, s, heard)...)
	}
	return append(wrong, d.unwanted(e)...)
}

// isRefusal reports whether an actor that is ending in order has refused a new context, with
// its reason. A task may meet that any number of times, as it cannot know. A Cancel
// that a stopped actor has not answered is not about its end either.
func (e *expectation) isRefusal(w witness) bool {
	if w.f.Class == classUnacked {
		return true
	}
	return w.f.Peer == "" && (w.f.Class == classClosing || w.f.Class == classLimit) &&
		slices.Contains(e.about(w.f.Kind, w.f.Target), pattern{classClosing, ""})
}

// misjudged says what is wrong with what a task was told.
func (d *driver) misjudged(e *expectation, s snapshot, w witness, times int) string {
	if slices.Contains([]string{classUntyped, classNothing, classCorrupt, classStart}, w.f.Class) {
		return "not typed"
	}
	if e.ends[w.owner] {
		return "" // it ends itself, and may be told so in many ways
	}
	right := e.about(w.f.Kind, w.f.Target)
	if len(right) == 0 {
		return "none of its business"
	}
	if !slices.ContainsFunc(right, func(p pattern) bool {
		return p.class == w.f.Class && (p.who == "" || p.who == d.nameOf[w.f.Who])
	}) {
		return fmt.Sprintf("not one of %v", right)
	}
	if e.most == 1 && e.ends[d.nameOf[w.f.Who]] && w.f.Who != s.short[d.nameOf[w.f.Who]] {
		return "names another process"
	}
	if times > e.most {
		return fmt.Sprintf("told %d times", times)
	}
	return ""
}

// untold finds the tasks that had to do with what has ended and were told nothing.
// Calls may have been between two calls.
func (d *driver) untold(e *expectation, s snapshot, heard map[taskKey]int) (wrong []string) {
	owners := map[int]string{}
	for name, pid := range s.pid {
		owners[pid] = name
	}
	for key := range s.tasks {
		if key.kind == kindCall || key.kind == kindChurn || e.ends[owners[key.pid]] || len(e.about(key.kind, key.target)) == 0 {
			continue
		}
		if heard[key] == 0 {
			wrong = append(wrong, fmt.Sprintf("never told: %s's %s with %s", owners[key.pid], key.kind, key.target))
		}
	}
	return wrong
}

// unwanted are the ends and starts of actors that the blow has nothing to do with.
func (d *driver) unwanted(e *expectation) (wrong []string) {
	for _, w := range d.steps {
		if e.ends[w.s.Name] || e.ends[w.owner] || parentOf(w.s.Name) == "" {
			continue
		}
		if w.s.To == "unhealthy" {
			d.tally.spurious++
			continue
		}
		if w.s.To != "ready" {
			wrong = append(wrong, fmt.Sprintf("%s's child %s is %s: %s", w.owner, w.s.Name, w.s.To, w.s.Reason))
		}
	}
	return wrong
}

// story is what was told since the blow, for people.
func (d *driver) story(s snapshot) string {
	var b strings.Builder
	for _, w := range d.steps {
		fmt.Fprintf(&b, "  %9v  %s sees %s@%s (pid %d) %s -> %s %s %s %s\n", w.s.Time.Sub(s.at).Round(time.Microsecond), w.owner, w.s.Name, w.s.Short, w.s.PID,
			w.s.From, w.s.To, w.s.Cause, w.s.Step, w.s.Reason)
	}
	for _, w := range d.failures {
		fmt.Fprintf(&b, "  %9v  %s's %s with %s (%s): %s %s: %s\n", w.f.Time.Sub(s.at).Round(time.Microsecond), w.owner, w.f.Kind, w.f.Target, w.f.Peer,
			w.f.Class, w.f.Who, w.f.Text)
	}
	return b.String()
}
