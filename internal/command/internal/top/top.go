// Package top makes tables of what the actors of a tree do, for whoever shows them: rates and quantiles are of the time
// between two looks. It reads nothing and prints nothing.
//
//	var v top.View
//	v.Look(time.Now(), before)
//	table := v.Look(time.Now(), after)
package top

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed-2ba35074/trellis/internal/histogram"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Table is how a tree is at one time, and what has happened since the look before.
type Table struct {
	Time    time.Time `json:"time"`
	Seconds float64   `json:"seconds"` // since that look; 0 for the first one
	Actors  []Row     `json:"actors"`
	Sum     Row       `json:"sum"` // without a name, a state and the like
}

// Row is one actor.
type Row struct {
	Actor    string  `json:"actor"`          // its path; "" is the root
	Host     string  `json:"host,omitempty"` // on whose machine it runs, if not that of the root
	State    string  `json:"state,omitempty"`
	Health   string  `json:"health,omitempty"`
	Silent   string  `json:"silent,omitempty"` // why the actor has not said its own numbers
	Age      float64 `json:"age"`              // seconds since its process became ready
	Restarts uint64  `json:"restarts"`
	CPU      float64 `json:"cpu"` // processors: 0.5 is half of one
	RSS      int64   `json:"rss"`
	Files    int     `json:"files"` // open descriptors
	Calls    float64 `json:"calls"` // that have ended, in a second: those of funcs, sources and contexts
	Failed   float64 `json:"failed"`
	P99      float64 `json:"p99"`      // seconds in which 99 of 100 of them have ended
	Contexts int     `json:"contexts"` // that have not ended, on either side
	Unread   int     `json:"unread"`   // messages that have come and were not taken
	Queued   int     `json:"queued"`   // calls that wait for others to end
	Held     int     `json:"held"`     // sends that wait for credit

	took []uint64 // calls that have ended, by the bounds of package histogram
}

// View is what was seen at the last look. It is for one goroutine.
type View struct {
	at     time.Time
	before map[string]telemetry.Metrics // by the UUIDs of processes
}

// Look makes a table of what was read at a time. What a process has done that is newer than the last look counts from its beginning.
func (v *View) Look(at time.Time, all []telemetry.Metrics) Table {
	t := Table{Time: at, Actors: make([]Row, 0, len(all))}
	if !v.at.IsZero() {
		t.Seconds = at.Sub(v.at).Seconds()
	}
	seen := make(map[string]telemetry.Metrics, len(all))
	for _, m := range all {
		before := v.before[m.ID.UUID]
		since := v.at
		if m.Since.After(since) {
			since = m.Since
		}
		t.Actors = append(t.Actors, row(at, since, &before, &m))
		if m.Silent != "" { // what it has said before is what the next look compares with
			m.Activity, m.Endpoints = before.Activity, before.Endpoints
		}
		seen[m.ID.UUID] = m
	}
	v.at, v.before = at, seen
	t.Sum = sum(t.Actors)
	return t
}

func row(at, since time.Time, before, m *telemetry.Metrics) Row {
	r := Row{
		Actor: m.Actor, Host: m.Host, State: m.State, Health: m.Health, Silent: m.Silent, Restarts: m.Restarts, RSS: m.Process.RSS, Files: m.Process.Descriptors,
		Contexts: m.Open, Unread: m.Unread, Queued: m.Queued, Held: m.Held,
	}
	if !m.Since.IsZero() {
		r.Age = max(0, at.Sub(m.Since).Seconds())
	}
	if since.IsZero() || !at.After(since) {
		return r
	}
	seconds := at.Sub(since).Seconds()
	r.CPU = max(0, (m.Process.CPU-before.Process.CPU).Seconds()) / seconds
	for _, e := range m.Endpoints {
		old := telemetry.Endpoint{}
		if i := slices.IndexFunc(before.Endpoints, func(b telemetry.Endpoint) bool { return b.Name == e.Name }); i >= 0 {
			old = before.Endpoints[i]
		}
		r.took = histogram.Sum(r.took, gained(old.Buckets, e.Buckets))
		r.Failed += float64(e.Failed-min(old.Failed, e.Failed)) / seconds
	}
	r.Calls, r.P99 = float64(histogram.Total(r.took))/seconds, histogram.Quantile(r.took, 0.99).Seconds()
	return r
}

// gained is by how much counters are higher than before.
func gained(before, now []uint64) []uint64 {
	more := slices.Clone(now)
	for i := range min(len(before), len(now)) {
		more[i] -= min(before[i], now[i])
	}
	return more
}

func sum(all []Row) (s Row) {
	for i := range all {
		r := &all[i]
		s.Restarts, s.CPU, s.RSS, s.Files = s.Restarts+r.Restarts, s.CPU+r.CPU, s.RSS+r.RSS, s.Files+r.Files
		s.Calls, s.Failed, s.took = s.Calls+r.Calls, s.Failed+r.Failed, histogram.Sum(s.took, r.took)
		s.Contexts, s.Unread, s.Queued, s.Held = s.Contexts+r.Contexts, s.Unread+r.Unread, s.Queued+r.Queued, s.Held+r.Held
	}
	s.P99 = histogram.Quantile(s.took, 0.99).Seconds()
	return s
}

// columns are what a table can be sorted by: names and states from a to z, numbers from the largest on.
var columns = map[string]func(a, b *Row) int{
	"name":     func(_, _ *Row) int { return 0 },
	"state":    func(a, b *Row) int { return strings.Compare(a.State, b.State) },
	"health":   func(a, b *Row) int { return strings.Compare(a.Health, b.Health) },
	"age":      func(a, b *Row) int { return cmp.Compare(b.Age, a.Age) },
	"restarts": func(a, b *Row) int { return cmp.Compare(b.Restarts, a.Restarts) },
	"cpu":      func(a, b *Row) int { return cmp.Compare(b.CPU, a.CPU) },
	"rss":      func(a, b *Row) int { return cmp.Compare(b.RSS, a.RSS) },
	"calls":    func(a, b *Row) int { return cmp.Compare(b.Calls, a.Calls) },
	"p99":      func(a, b *Row) int { return cmp.Compare(b.P99, a.P99) },
	"contexts": func(a, b *Row) int { return cmp.Compare(b.Contexts, a.Contexts) },
	"queue":    func(a, b *Row) int { return cmp.Compare(b.Queue(), a.Queue()) },
	"held":     func(a, b *Row) int { return cmp.Compare(b.Held, a.Held) },
}

// Columns are the names of those that a table can be sorted by.
func Columns() []string { return slices.Sorted(maps.Keys(columns)) }

// Sort sorts the actors by one of Columns, and those that are alike by their paths.
func (t *Table) Sort(column string) {
	by := columns[column]
	slices.SortFunc(t.Actors, func(a, b Row) int { return cmp.Or(by(&a, &b), strings.Compare(a.Actor, b.Actor)) })
}

// Queue is all that waits at the actor to be taken.
func (r *Row) Queue() int { return r.Unread + r.Queued }
