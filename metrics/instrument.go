// Package metrics gives the numbers of actors the names, units and labels under which exporters show them. It reads none: that
// is telemetry.Measure's.
package metrics

import (
	"iter"

	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// InstrumentKind is what becomes of an instrument's values.
type InstrumentKind string

// The kinds.
const (
	Counter   InstrumentKind = "counter"   // it only goes up, until the actor's process or the actor is another one
	Gauge     InstrumentKind = "gauge"     // how it is now
	Histogram InstrumentKind = "histogram" // how often a value was between telemetry.Bounds
)

// Instrument is one of the numbers that [telemetry.Metrics] has of an actor, under the name that exporters give it.
type Instrument struct {
	Name string // words with dots between them
	Unit string // as UCUM writes it: "s", "By", "{message}"
	Kind InstrumentKind
	// Label tells several values of an actor from each other: "endpoint", "cause" or "direction"; "" if there is one.
	Label string
	Help  string

	points func(m *telemetry.Metrics, point func(Point))
}

// Point is one value of an instrument.
type Point struct {
	Is      string   // what the instrument's Label is here, such as the name of an endpoint
	Value   float64  // of a histogram the sum
	Buckets []uint64 // of a histogram, as in [telemetry.Endpoint]
}

// Points are the values for an actor: none where nothing is known, as what an actor that is Silent has to say itself.
func (i *Instrument) Points(m *telemetry.Metrics) iter.Seq[Point] {
	return func(yield func(Point) bool) {
		more := true
		i.points(m, func(p Point) { more = more && yield(p) })
	}
}

// Instruments are all that there are. docs/metrics.md has them as a table.
func Instruments() []Instrument { return append(ofHosts(), ofActors()...) }

// ofHosts are those that an actor's host knows.
func ofHosts() []Instrument {
	return []Instrument{
		{"trellis.up", "1", Gauge, "", "whether the actor can be called", single(func(m *telemetry.Metrics) float64 { return flag(!m.Since.IsZero() || m.Actor == "") })},
		{"trellis.silent", "1", Gauge, "", "whether the actor has not said its own numbers", single(func(m *telemetry.Metrics) float64 { return flag(m.Silent != "") })},
		{"trellis.ready.time", "s", Gauge, "", "when the actor's process became ready, since 1970", when(
			func(m *telemetry.Metrics) bool { return !m.Since.IsZero() }, single(func(m *telemetry.Metrics) float64 { return float64(m.Since.UnixMilli()) / 1000 }))},
		{"trellis.health", "1", Gauge, "", "whether the last health check has passed", when(
			func(m *telemetry.Metrics) bool { return m.Health == "ok" || m.Health == "failed" }, single(func(m *telemetry.Metrics) float64 { return flag(m.Health == "ok") }))},
		{"trellis.restarts", "{restart}", Counter, "", "processes of the actor after its first", single(func(m *telemetry.Metrics) float64 { return float64(m.Restarts) })},
		{"trellis.deaths", "{process}", Counter, "cause", "ends of the actor's processes, by cause", func(m *telemetry.Metrics, point func(Point)) {
			for cause, n := range m.Deaths {
				point(Point{Is: cause, Value: float64(n)})
			}
		}},
		{"trellis.process.cpu.time", "s", Counter, "", "processor time of the actor's process", when(hasProcess, single(func(m *telemetry.Metrics) float64 { return m.Process.CPU.Seconds() }))},
		{"trellis.process.memory", "By", Gauge, "", "memory of the actor's process (RSS)", when(hasProcess, single(func(m *telemetry.Metrics) float64 { return float64(m.Process.RSS) }))},
		{"trellis.process.descriptors", "{descriptor}", Gauge, "", "open file descriptors of the actor's process", when(hasProcess, single(func(m *telemetry.Metrics) float64 { return float64(m.Process.Descriptors) }))},
	}
}

// ofActors are those that only the actor itself knows.
func ofActors() []Instrument {
	count := func(name, unit string, kind InstrumentKind, help string, value func(t *telemetry.Activity) float64) Instrument {
		return Instrument{name, unit, kind, "", help, when(speaks, single(func(m *telemetry.Metrics) float64 { return value(&m.Activity) }))}
	}
	both := func(name, unit, help string, in, out func(t *telemetry.Activity) uint64) Instrument {
		return Instrument{name, unit, Counter, "direction", help, when(speaks, func(m *telemetry.Metrics, point func(Point)) {
			point(Point{Is: "in", Value: float64(in(&m.Activity))})
			point(Point{Is: "out", Value: float64(out(&m.Activity))})
		})}
	}
	each := func(name, unit string, kind InstrumentKind, help string, value func(e *telemetry.Endpoint) Point) Instrument {
		return Instrument{name, unit, kind, "endpoint", help, when(speaks, func(m *telemetry.Metrics, point func(Point)) {
			for i := range m.Endpoints {
				p := value(&m.Endpoints[i])
				p.Is = m.Endpoints[i].Name
				point(p)
			}
		})}
	}
	return []Instrument{
		each("trellis.call.duration", "s", Histogram, "what tasks of the actor's endpoints have taken that have ended", func(e *telemetry.Endpoint) Point {
			return Point{Value: e.Took.Seconds(), Buckets: e.Buckets}
		}),
		each("trellis.call.failures", "{call}", Counter, "tasks of the actor's endpoints that have ended with an error of their own", func(e *telemetry.Endpoint) Point { return Point{Value: float64(e.Failed)} }),
		each("trellis.call.running", "{call}", Gauge, "tasks of the actor's endpoints that have not ended", func(e *telemetry.Endpoint) Point { return Point{Value: float64(e.Running)} }),
		count("trellis.call.queued", "{call}", Gauge, "calls that wait for others of their endpoint to end", func(t *telemetry.Activity) float64 { return float64(t.Queued) }),
		count("trellis.contexts.open", "{context}", Gauge, "calls, sources and contexts of the actor that have not ended, on either side", func(t *telemetry.Activity) float64 { return float64(t.Open) }),
		count("trellis.contexts.opened", "{context}", Counter, "calls, sources and contexts that the actor has opened", func(t *telemetry.Activity) float64 { return float64(t.Opened) }),
		count("trellis.contexts.accepted", "{context}", Counter, "those that others have opened with it", func(t *telemetry.Activity) float64 { return float64(t.Accepted) }),
		count("trellis.contexts.relayed", "{context}", Counter, "those of others that it has passed on", func(t *telemetry.Activity) float64 { return float64(t.Relayed) }),
		both("trellis.messages", "{message}", "messages of streams", func(t *telemetry.Activity) uint64 { return t.MessagesIn }, func(t *telemetry.Activity) uint64 { return t.MessagesOut }),
		count("trellis.messages.unread", "{message}", Gauge, "messages that have come and were not taken", func(t *telemetry.Activity) float64 { return float64(t.Unread) }),
		both("trellis.payload", "By", "payloads on the actor's links", func(t *telemetry.Activity) uint64 { return t.BytesIn }, func(t *telemetry.Activity) uint64 { return t.BytesOut }),
		count("trellis.sends.held", "{send}", Gauge, "sends that wait for credit, or for the link", func(t *telemetry.Activity) float64 { return float64(t.Held) }),
		count("trellis.sends.waited", "{send}", Counter, "sends that had to wait for credit, or for the link", func(t *telemetry.Activity) float64 { return float64(t.Waits) }),
		count("trellis.overruns", "{context}", Counter, "contexts that failed as messages came for which there was no room", func(t *telemetry.Activity) float64 { return float64(t.Overruns) }),
		count("trellis.tasks.stuck", "{task}", Counter, "tasks of others that it told to end, and that did not in time", func(t *telemetry.Activity) float64 { return float64(t.Stuck) }),
		count("trellis.frames.late", "{frame}", Counter, "frames that came after the end of their context", func(t *telemetry.Activity) float64 { return float64(t.Late) }),
		count("trellis.violations", "{frame}", Counter, "frames by which others have broken the protocol", func(t *telemetry.Activity) float64 { return float64(t.Violations) }),
	}
}

func single(value func(m *telemetry.Metrics) float64) func(*telemetry.Metrics, func(Point)) {
	return func(m *telemetry.Metrics, point func(Point)) { point(Point{Value: value(m)}) }
}

func when(is func(m *telemetry.Metrics) bool, points func(*telemetry.Metrics, func(Point))) func(*telemetry.Metrics, func(Point)) {
	return func(m *telemetry.Metrics, point func(Point)) {
		if is(m) {
			points(m, point)
		}
	}
}

func hasProcess(m *telemetry.Metrics) bool { return m.Process != telemetry.Process{} }

func speaks(m *telemetry.Metrics) bool { return m.Silent == "" }

func flag(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
