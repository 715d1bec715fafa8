package top

import (
	"slices"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

var begun = time.Date(2026, 5, 4, 15, 0, 0, 0, time.UTC)

// busy is an actor that has used so much, and whose endpoint has ended so many calls in the first and in the last bucket but one.
func busy(path string, cpu time.Duration, quick, slow uint64) telemetry.Metrics {
	buckets := make([]uint64, 20)
	buckets[0], buckets[19] = quick, slow
	return telemetry.Metrics{
		Actor: path, ID: actor.ID{Name: path, UUID: path}, State: "ready", Since: begun, Health: "ok",
		Process: telemetry.Process{CPU: cpu, RSS: 1 << 20, Descriptors: 3}, Activity: telemetry.Activity{Open: 1, Unread: 2, Queued: 3, Held: 4},
		Endpoints: []telemetry.Endpoint{{Name: "parse", Failed: slow, Buckets: buckets}},
	}
}

func at(seconds int) time.Time { return begun.Add(time.Duration(seconds) * time.Second) }

// O02: rates are of the time between two looks, and sums of all actors.
func TestO02_Rates(t *testing.T) {
	var v View
	first := v.Look(at(10), []telemetry.Metrics{busy("a", time.Second, 100, 0), busy("b", 0, 0, 0)})
	if r := first.Actors[0]; first.Seconds != 0 || r.Calls != 10 || r.CPU != 0.1 || r.Age != 10 {
		t.Errorf("O02: the first look is of all that was since it was ready: %+v", r)
	}
	next := v.Look(at(12), []telemetry.Metrics{busy("a", 2*time.Second, 140, 4), busy("b", time.Second, 2, 0)})
	a, b := next.Actors[0], next.Actors[1]
	if next.Seconds != 2 || a.Calls != 22 || a.Failed != 2 || a.CPU != 0.5 || a.P99 < 10 || b.Calls != 1 || b.P99 > 1e-5 {
		t.Errorf("O02: %+v, %+v", a, b)
	}
	if s := next.Sum; s.Calls != 23 || s.CPU != 1 || s.RSS != 2<<20 || s.Files != 6 || s.Contexts != 2 || s.Queue() != 10 || s.Held != 8 || s.P99 < 10 {
		t.Errorf("O02: %+v", s)
	}
}

// O02: another process begins anew, however far the one before was; one that does not answer has done nothing, and what it
// has done meanwhile counts when it answers again.
func TestO02_RatesOfAnotherProcess(t *testing.T) {
	var v View
	v.Look(at(0), []telemetry.Metrics{busy("a", time.Hour, 1000, 0)})
	m := busy("a", time.Second, 20, 0)
	m.ID.UUID, m.Since, m.Restarts = "another", at(8), 1
	if r := v.Look(at(10), []telemetry.Metrics{m}).Actors[0]; r.Calls != 10 || r.CPU != 0.5 || r.Age != 2 || r.Restarts != 1 {
		t.Errorf("O02: %+v", r)
	}
	silent := telemetry.Metrics{Actor: "a", ID: m.ID, Silent: "it has not answered in time"}
	if r := v.Look(at(11), []telemetry.Metrics{silent}).Actors[0]; r.Calls != 0 || r.CPU != 0 || r.Silent == "" {
		t.Errorf("O02: %+v", r)
	}
	m.Endpoints = busy("", 0, 25, 0).Endpoints
	if r := v.Look(at(12), []telemetry.Metrics{m}).Actors[0]; r.Calls != 5 {
		t.Errorf("O02: %+v", r)
	}
}

func TestO02_Sorting(t *testing.T) {
	table := Table{Actors: []Row{
		{Actor: "b", State: "ready", Age: 1, CPU: 1, RSS: 2, Queued: 5}, {Actor: "c", State: "gone", Age: 3, CPU: 1, Held: 1}, {Actor: "a", State: "ready", Age: 2, Unread: 6},
	}}
	for column, want := range map[string][]string{
		"name": {"a", "b", "c"}, "state": {"c", "a", "b"}, "age": {"c", "a", "b"}, "cpu": {"b", "c", "a"}, "rss": {"b", "a", "c"},
		"queue": {"a", "b", "c"}, "held": {"c", "a", "b"}, "calls": {"a", "b", "c"},
	} {
		table.Sort(column)
		var got []string
		for _, r := range table.Actors {
			got = append(got, r.Actor)
		}
		if !slices.Equal(got, want) {
			t.Errorf("by %s: %v, want %v", column, got, want)
		}
	}
	if len(Columns()) != len(columns) || !slices.IsSorted(Columns()) {
		t.Error(Columns())
	}
}
