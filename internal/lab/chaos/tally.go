//go:build linux

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// tally is what a run has measured.
type tally struct {
	blows    map[Kind]int
	noticed  []time.Duration // from a death to its supervisor's event
	told     []time.Duration // from a death to each task's error
	last     []time.Duration // from a death to the last task's error
	restart  []time.Duration // from a death to the next process that can be called
	orphans  []time.Duration // from a root's SIGKILL to the end of its last process
	heal     map[Kind][]time.Duration
	slowest  Blow
	slowness time.Duration
	spurious int // health checks that failed for a busy machine
	tidied   int // descriptors that only the garbage collector has closed
	links    int // deaths that were called lost links, the same
}

// add takes in a blow that went well.
func (t *tally) add(d *driver, b Blow, s snapshot, healed time.Time) {
	if t.blows == nil {
		t.blows, t.heal = map[Kind]int{}, map[Kind][]time.Duration{}
	}
	t.blows[b.Kind]++
	took := healed.Sub(s.at)
	t.heal[b.Kind] = append(t.heal[b.Kind], took)
	if took > t.slowness {
		t.slowest, t.slowness = b, took
	}
	if b.Kind == Kill {
		t.death(d, b, s)
	}
}

// death measures a SIGKILL to one actor.
func (t *tally) death(d *driver, b Blow, s snapshot) {
	for _, w := range d.steps {
		switch after := w.s.Time.Sub(s.at); {
		case w.owner != parentOf(b.Target) || w.s.Name != b.Target:
		case w.s.To == "stopping" && w.s.Step == "":
			t.noticed = append(t.noticed, after)
		case w.s.To == "ready" && w.s.From == "starting":
			t.restart = append(t.restart, after)
		}
	}
	var last time.Duration
	if slices.ContainsFunc(d.failures, func(w witness) bool { return w.f.Class == classLost && w.f.Who == s.short[b.Target] }) {
		t.links++
	}
	for _, w := range d.failures {
		if w.f.Who == s.short[b.Target] {
			after := w.f.Time.Sub(s.at)
			t.told = append(t.told, after)
			last = max(last, after)
		}
	}
	t.last = append(t.last, last)
}

// summary is what a run tells at its end.
func (t *tally) summary(took time.Duration) string {
	w := &strings.Builder{}
	all := 0
	for _, kind := range slices.Sorted(maps.Keys(t.blows)) {
		all += t.blows[kind]
		p50, p99, most := quantiles(t.heal[kind])
		fmt.Fprintf(w, "%5d  %-12s healed after %v (median), %v (p99), %v (most)\n", t.blows[kind], kind, p50, p99, most)
	}
	for _, row := range []struct {
		name string
		of   []time.Duration
	}{
		{"death noticed by the supervisor", t.noticed}, {"an error reached a task", t.told},
		{"all tasks had their errors", t.last}, {"restarted and ready", t.restart},
		{"nothing is left of a root's tree", t.orphans},
	} {
		p50, p99, most := quantiles(row.of)
		fmt.Fprintf(w, "after kill -9, %s: median %v, p99 %v, most %v (%d)\n", row.name, p50, p99, most, len(row.of))
	}
	fmt.Fprintf(w, "slowest heal: %v, blow %d, %s of %s\n", t.slowness.Round(time.Millisecond), t.slowest.N, t.slowest.Kind, t.slowest.Target)
	fmt.Fprintf(w, "health checks that failed without a blow: %d; deaths that were called lost links: %d of %d; times that descriptors were left to the collector: %d\n",
		t.spurious, t.links, t.blows[Kill], t.tidied)
	fmt.Fprintf(w, "%d blows in %v\n", all, took.Round(100*time.Millisecond))
	return w.String()
}

func quantiles(all []time.Duration) (p50, p99, most time.Duration) {
	if len(all) == 0 {
		return 0, 0, 0
	}
	sorted := slices.Sorted(slices.Values(all))
	at := func(q float64) time.Duration {
		return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))].Round(10 * time.Microsecond)
	}
	return at(0.5), at(0.99), sorted[len(sorted)-1].Round(10 * time.Microsecond)
}
