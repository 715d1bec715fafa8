// Command plot makes the page of numbers from a benchmark's JSON: it puts the table between
// the page's markers for the machine's condition, which was quiet or warm, and draws the
// plots of a quiet one.
//
//	plot -report bin/bench.json -page docs/performance.md
//
// The plots, and a copy of the JSON, go to the folder that is named like the page.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-2ba35074/trellis/internal/lab/bench"
)

// begin and end stand around a condition's table.
func begin(condition string) string { return "<!-- bench:" + condition + ":begin -->\n" }
func end(condition string) string   { return "<!-- bench:" + condition + ":end -->\n" }

func main() {
	report := flag.String("report", "bin/bench.json", "what host bench --json has written")
	page := flag.String("page", "docs/performance.md", "the page to put the table into")
	flag.Parse()
	if err := publish(*report, *page); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

func publish(file, page string) error {
	text, err := os.ReadFile(file) //nolint:gosec // the user names it
	if err != nil {
		return fmt.Errorf("%w; make it with: make bench", err)
	}
	r, err := bench.ParseReport(text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if r.Quick {
		return fmt.Errorf("%s was measured with --quick, whose numbers mean nothing; measure without", file)
	}
	folder := strings.TrimSuffix(page, filepath.Ext(page))
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // documents are for everybody
		return err
	}
	for name, panels := range drawings(r) {
		if r.Condition() != bench.Quiet {
			break
		}
		if err := write(filepath.Join(folder, name), draw(panels)); err != nil {
			return err
		}
	}
	if err := write(filepath.Join(folder, r.Condition()+".json"), string(text)); err != nil {
		return err
	}
	return putTable(page, r)
}

// write writes what is committed.
func write(name, text string) error {
	return os.WriteFile(name, []byte(text), 0o644) //nolint:gosec // documents are for everybody
}

// putTable replaces what stands between the markers of the report's condition.
func putTable(page string, r *bench.Report) error {
	text, err := os.ReadFile(page) //nolint:gosec // the user names it
	if err != nil {
		return err
	}
	begin, end := begin(r.Condition()), end(r.Condition())
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, found := strings.Cut(rest, end)
	if !ok || !found {
		return fmt.Errorf("%s has no place for the table: expected the lines %q and %q", page, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	var table strings.Builder
	if err := r.WriteMarkdown(&table); err != nil {
		return err
	}
	return write(page, before+begin+"\n"+table.String()+"\n"+end+after)
}

// drawings are the plots by the names of their files.
func drawings(r *bench.Report) map[string][]panel {
	all := []string{bench.Trellis, bench.Plain, bench.NetRPC, bench.Bare, bench.TTRPC, bench.Socket}
	streams := []string{bench.Trellis, bench.Plain, bench.Bare, bench.Socket}
	return map[string][]panel{
		"size.svg": {
			{title: "A call, one caller", x: "size of argument and result", log: true, lines: lines(r, "call, 1 caller", "", all, asIs)},
			{title: "A message, one way", x: "size of a message", log: true, lines: lines(r, "stream, one way", "stream", streams, timeOf)},
			{title: "A message to the plugin and back", x: "size of a message", log: true, lines: lines(r, "stream, to the plugin and back", "", streams, timeOf)},
		},
		"contexts.svg": {
			{title: "Time to open one", x: "idle contexts", count: true, lines: lines(r, "idle contexts", "open", all, asIs)},
			{title: "Memory of one, both sides", x: "idle contexts", count: true, lines: lines(r, "idle contexts", "memory", all, asIs)},
		},
		"children.svg": {
			{title: "Host memory for one", x: "idle children", count: true, lines: lines(r, "idle children", "host memory", all, asIs)},
			{title: "Host threads for one", x: "idle children", count: true, lines: lines(r, "idle children", "host threads", all, asIs)},
			{title: "CPU time in a second for one", x: "idle children", count: true, lines: lines(r, "idle children", "CPU", all, asIs)},
		},
	}
}

// lines are those rows of a group whose names begin in one way, a line for each
// subject.
func lines(r *bench.Report, group, name string, subjects []string, value func(row bench.Row, v float64) (float64, bench.Unit)) []line {
	var all []line
	for _, subject := range subjects {
		l := line{subject: subject}
		for _, row := range r.Rows {
			result := row.Result(subject)
			if row.Group != group || !strings.HasPrefix(row.Name, name) || len(result.Rounds) == 0 {
				continue
			}
			var y float64
			y, l.unit = value(row, result.Median)
			l.points = append(l.points, point{row.X, y})
		}
		if len(l.points) > 0 {
			all = append(all, l)
		}
	}
	return all
}

func asIs(row bench.Row, v float64) (float64, bench.Unit) { return v, row.Unit }

// timeOf is how long one message takes, from how many of them pass in a second.
func timeOf(row bench.Row, v float64) (float64, bench.Unit) {
	if row.Unit == bench.BytesPerSecond {
		v /= row.X
	}
	return 1e9 / v, bench.Nanoseconds
}
