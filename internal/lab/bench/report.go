package bench

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/seed-2ba35074/trellis/internal/lab/bench/measure"
)

// schema is the version of the report's shape.
const schema = 1

// Report is what Run has found.
type Report struct {
	Schema  int       `json:"schema"`
	Taken   time.Time `json:"taken"`
	Go      string    `json:"go"`
	System  string    `json:"system"`
	CPUs    int       `json:"cpus"`
	Rounds  int       `json:"rounds"`
	Quick   bool      `json:"quick,omitempty"` // the numbers mean nothing
	Seconds float64   `json:"seconds"`
	Rows    []Row     `json:"rows"`
	Skipped []string  `json:"skipped,omitempty"` // workloads and subjects, with the reason
	Others  float64   `json:"others"`            // share of the processors' time that other programs used meanwhile
	Carried bool      `json:"carried,omitempty"` // all plugins were the measuring program itself
}

// The conditions of a machine.
const (
	Quiet = "quiet" // other programs used next to nothing
	Warm  = "warm"  // they kept the processors from sleeping
)

// quietShare is what others may use of a quiet machine.
const quietShare = 0.1

// Condition is that of the machine while it was measured.
func (r *Report) Condition() string {
	if r.Others < quietShare {
		return Quiet
	}
	return Warm
}

// Row is one number, of each subject that has it.
type Row struct {
	Name    string   `json:"name"`
	Group   string   `json:"group"` // rows of a group differ in X
	X       float64  `json:"x"`
	Unit    Unit     `json:"unit"`
	More    bool     `json:"more,omitempty"` // is better
	Results []Result `json:"results"`
	Against string   `json:"against"` // the baseline
	Ratio   Ratio    `json:"ratio"`
	Goals   []Goal   `json:"goals,omitempty"`
}

// Result is one subject's number: the median of its rounds.
type Result struct {
	Subject string    `json:"subject"`
	Rounds  []float64 `json:"rounds"`
	Median  float64   `json:"median"`
	Spread  float64   `json:"spread"`        // distance of the quartiles, as a share of the median
	P99     float64   `json:"p99,omitempty"` // of single operations, in nanoseconds: the median of the rounds
}

// Ratio is Trellis's number divided by the baseline's of the same round.
type Ratio struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`  // first quartile
	High   float64 `json:"high"` // third quartile
}

// Unit is what a number counts.
type Unit string

// The units.
const (
	Nanoseconds    Unit = "ns"
	PerSecond      Unit = "1/s"
	BytesPerSecond Unit = "B/s"
	Bytes          Unit = "B"
	Pieces         Unit = "1"
	Percent        Unit = "%"
)

// Text is a number with its unit, in three digits.
func (u Unit) Text(v float64) string {
	switch u {
	case Nanoseconds:
		return scaled(v, 1000, "ns", "µs", "ms", "s")
	case PerSecond:
		return scaled(v, 1000, "/s", "k/s", "M/s")
	case BytesPerSecond:
		return scaled(v, 1000, "B/s", "kB/s", "MB/s", "GB/s")
	case Bytes:
		return scaled(v, 1024, "B", "KiB", "MiB", "GiB")
	case Percent:
		return digits(v) + " %"
	}
	return digits(v)
}

func scaled(v, step float64, names ...string) string {
	for math.Abs(v) >= step && len(names) > 1 {
		v, names = v/step, names[1:]
	}
	return digits(v) + " " + names[0]
}

// digits is a number of three digits, or of all before the point.
func digits(v float64) string {
	switch size := math.Abs(v); {
	case size >= 99.95 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case size >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// Result is that of one subject; the zero one if there is none.
func (r Row) Result(subject string) Result {
	i := slices.IndexFunc(r.Results, func(x Result) bool { return x.Subject == subject })
	if i < 0 {
		return Result{}
	}
	return r.Results[i]
}

// ParseReport reads a report's JSON.
func ParseReport(text []byte) (*Report, error) {
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("the report is not the JSON of a benchmark: %w", err)
	}
	if r.Schema != schema {
		return nil, fmt.Errorf("the report has schema %d, expected %d; measure again with this version", r.Schema, schema)
	}
	return &r, nil
}

// tally gathers the samples of one workload.
type tally struct {
	workload *workload
	samples  map[string][][]sample // of each subject: rounds of metrics
	skipped  string                // why nothing was measured
}

func newTally(w *workload) *tally { return &tally{workload: w, samples: map[string][][]sample{}} }

func (t *tally) add(subject string, samples []sample) {
	t.samples[subject] = append(t.samples[subject], samples)
}

// report adds the workload's rows.
func (t *tally) report(r *Report) {
	if t.skipped != "" {
		r.Skipped = append(r.Skipped, t.workload.name+": "+t.skipped)
		return
	}
	for i, m := range t.workload.metrics {
		r.Rows = append(r.Rows, t.row(i, m))
	}
}

func (t *tally) row(i int, m metric) Row {
	row := Row{Name: m.name, Group: t.workload.group, X: m.x, Unit: m.unit, More: m.more, Goals: m.goals, Against: t.workload.subjects[1]}
	for _, subject := range t.workload.subjects {
		if subject == m.except || t.samples[subject] == nil {
			continue
		}
		var values, tails []float64
		for _, samples := range t.samples[subject] {
			values = append(values, samples[i].value)
			tails = append(tails, samples[i].p99)
		}
		row.Results = append(row.Results, Result{
			Subject: subject, Rounds: values, Median: measure.Quantile(values, 0.5), Spread: measure.Spread(values), P99: measure.Quantile(tails, 0.5),
		})
	}
	row.Ratio = ratioOf(row.Result(Trellis).Rounds, row.Result(row.Against).Rounds)
	return row
}

// ratioOf compares round with round: what disturbed one disturbed both.
func ratioOf(ours, theirs []float64) Ratio {
	var ratios []float64
	for i, our := range ours {
		if i < len(theirs) && theirs[i] != 0 {
			ratios = append(ratios, our/theirs[i])
		}
	}
	return Ratio{measure.Quantile(ratios, 0.5), measure.Quantile(ratios, 0.25), measure.Quantile(ratios, 0.75)}
}
