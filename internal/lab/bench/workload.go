package bench

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// workload is something to measure, in one or more numbers.
type workload struct {
	name     string
	group    string
	subjects []string
	once     bool // too dear for every round
	metrics  []metric
	// measure gives one sample for each metric.
	measure func(ctx context.Context, l *lab, subject string) ([]sample, error)
}

// metric is one row of the table.
type metric struct {
	name   string
	unit   Unit
	more   bool    // is better
	x      float64 // what plots show it against: a size or a number
	goals  []Goal
	except string // a subject that has no such number
}

// sample is what one round has found. p99 is the 99th percentile of the single
// operations' times in nanoseconds, where they were taken; else 0.
type sample struct{ value, p99 float64 }

func namesOf(all []*workload) string {
	names := make([]string, len(all))
	for i, w := range all {
		names[i] = w.name
	}
	return strings.Join(names, "; ")
}

// sizes says how much of everything is measured.
type sizes struct {
	length   time.Duration // of one measurement
	starts   int           // of one plugin after another
	crowd    int           // plugins started at once
	fan      int           // plugins that stream at once
	contexts []int
	children []int
	idle     time.Duration // to watch idle plugins for
	census   string        // folder below GOROOT
}

func sizesOf(quick bool) sizes {
	if quick {
		return sizes{
			length: 5 * time.Millisecond, starts: 1, crowd: 3, fan: 2, contexts: []int{10, 100},
			children: []int{1, 3}, idle: 10 * time.Millisecond, census: "src/encoding",
		}
	}
	return sizes{
		length: 300 * time.Millisecond, starts: 5, crowd: 50, fan: 8, contexts: []int{10, 100, 1000, 4000},
		children: []int{1, 10, 50, 100, 200}, idle: 4 * time.Second, census: "src",
	}
}

// workloads are all there are, in the order of the table.
func workloads(s sizes) []*workload {
	var all []*workload
	for _, callers := range []int{1, 64} {
		for _, size := range []int{0, 64, 4 << 10} {
			all = append(all, callWorkload(s, callers, size))
		}
	}
	for _, callers := range []int{1, 64} {
		all = append(all, busyWorkload(s, callers), costWorkload(s, callers))
	}
	all = append(all, allocationsWorkload(s), openWorkload(s))
	for _, way := range []string{oneWay, twoWay} {
		for _, size := range []int{64, 4 << 10, 64 << 10, 1 << 20} {
			all = append(all, streamWorkload(s, way, size))
		}
	}
	for _, way := range []string{oneWay, twoWay} {
		for _, size := range []int{64 << 10, 1 << 20} {
			all = append(all, streamWorkload(s, way+borrowed, size))
		}
	}
	all = append(append(append(all, hopWorkloads(s)...), machinesWorkloads(s)...), spansWorkloads(s)...)
	return append(all, fanWorkload(s), cancelWorkload(s), startWorkload(s), pureWorkload(s), standbyWorkload(s), crowdWorkload(s),
		contextsWorkload(s, idleContext, 0.6), contextsWorkload(s, hibernatingContext, 0.2), childrenWorkload(s), viewersWorkload(s), censusWorkload(s))
}

// besideChild measures a plugin of a kind, and beside it a child that differs only in what is measured.
func besideChild(group, kind string, m metric, measure func(ctx context.Context, p process) (sample, error)) *workload {
	return beside(Child, group, kind, m, measure)
}

// beside measures a plugin of a kind, and a baseline beside it.
func beside(baseline, group, kind string, m metric, measure func(ctx context.Context, p process) (sample, error)) *workload {
	kinds := map[string]string{Trellis: kind, baseline: baseline}
	if baseline == Child {
		kinds[baseline] = Trellis
	}
	return &workload{
		name: m.name, group: group, subjects: []string{Trellis, baseline}, metrics: []metric{m},
		measure: func(ctx context.Context, l *lab, subject string) ([]sample, error) {
			p, err := l.one(ctx, kinds[subject])
			if err != nil {
				return nil, err
			}
			found, err := measure(ctx, p)
			return []sample{found}, err
		},
	}
}

// plural is "1 caller" or "64 callers".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%s %ss", grouped(n), what)
}

// grouped is a number with a comma every three digits.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// sizeName is a number of bytes, as people say it.
func sizeName(bytes int) string {
	switch {
	case bytes >= 1<<20:
		return fmt.Sprintf("%d MiB", bytes>>20)
	case bytes >= 1<<10:
		return fmt.Sprintf("%d KiB", bytes>>10)
	}
	return fmt.Sprintf("%d B", bytes)
}
