package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/cmd/host/internal/top"
	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/internal/terminal"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// topped is the document of host top.
type topped struct {
	Version int `json:"version"`
	top.Table
}

// leastInterval is how long the time between two tables must be.
const leastInterval = 100 * time.Millisecond

// tables says which tables host top prints.
type tables struct {
	actor    string // a name or a path; "": all
	sort     string
	n        int // 0: until Ctrl-C
	interval time.Duration
}

func newTop(p *program) *cobra.Command {
	o := tables{}
	cmd := p.outputFlag(p.joining(completing("", &cobra.Command{
		Use:   "top [NAME]",
		Short: "Print what the actors of a host that serves use and do",
		Long: "Print what the actors of a host that serves, and of the hosts below it, use and do, as a table: processor, memory, calls\n" +
			"in a second, and what waits. It takes --interval, as rates are of the time between two looks; with -n there are several tables. NAME is\n" +
			"that of an actor, or its path: what is below it is shown as well. Nothing is measured while nobody looks.",
		Example: "  host top -b\n" +
			"  host top -b -n 10 --interval 2s --sort cpu\n" +
			"  host top -b census -o json",
		Args: withArgs(0, 1),
	}), func(ctx context.Context, args []string) error {
		o.actor = strings.Join(args, "")
		return p.top(ctx, o)
	}))
	flags := cmd.Flags()
	flags.BoolP("batch", "b", false, "print tables one below the other; so far there is no other way")
	flags.IntVarP(&o.n, "number", "n", 1, "how many tables; 0: until Ctrl-C")
	flags.DurationVar(&o.interval, "interval", time.Second, "the time from one table to the next")
	flags.StringVar(&o.sort, "sort", "name", "the column to sort by: "+strings.Join(top.Columns(), ", "))
	cmd.PreRunE = func(*cobra.Command, []string) error {
		switch {
		case o.n < 0:
			return &usageError{fmt.Errorf("--number: expected how many tables, or 0 for no end, got %d", o.n)}
		case o.interval < leastInterval:
			return &usageError{fmt.Errorf("--interval: expected at least %v, got %v", leastInterval, o.interval)}
		case !slices.Contains(top.Columns(), o.sort):
			return &usageError{fmt.Errorf("--sort: expected one of %s, got %s", words.List(top.Columns(), ", "), words.Quote(o.sort))}
		}
		return p.checkOutput()
	}
	return cmd
}

// top prints tables, each of the time since the one before.
func (p *program) top(ctx context.Context, o tables) error {
	var v top.View
	if _, err := look(ctx, &v, o.actor); err != nil {
		return err
	}
	ticker := time.NewTicker(o.interval)
	defer ticker.Stop()
	for i := 0; i < o.n || o.n == 0; i++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		t, err := look(ctx, &v, o.actor)
		if err != nil {
			return err
		}
		t.Sort(o.sort)
		if err := p.printTop(&t, o.n == 1, i == 0); err != nil {
			return err
		}
	}
	return nil
}

// look reads the numbers of the actors that are to be shown.
func look(ctx context.Context, v *top.View, actor string) (t top.Table, err error) {
	all, err := telemetry.Measure(ctx)
	if err != nil {
		return t, err
	}
	var within []*document.Actor
	if actor != "" {
		if within, err = present(ctx, actor); err != nil {
			return t, err
		}
	}
	all = slices.DeleteFunc(all, func(m telemetry.Metrics) bool {
		command := m.Joined && m.ID.Name == caller && !strings.Contains(m.Actor, "/")
		return command || actor != "" && !slices.ContainsFunc(within, func(s *document.Actor) bool { return s.Path == m.Actor || treepath.IsBelow(m.Actor, s.Path) })
	})
	return v.Look(time.Now(), all), nil
}

// printTop prints a table, which may be the only one, or the first.
func (p *program) printTop(t *top.Table, only, first bool) error {
	switch {
	case p.output == "json" && only:
		return p.printJSON(topped{document.Version, *t})
	case p.output == "json":
		text, err := json.Marshal(topped{document.Version, *t})
		if err != nil {
			return err
		}
		return p.line(text)
	case !first:
		if _, err := fmt.Fprintln(p.stdout); err != nil {
			return err
		}
	}
	tab := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(tab, "NAME\tSTATE\tAGE\tRESTARTS\tCPU\tRSS\tCALLS/S\tP99\tCONTEXTS\tQUEUE\tHELD\tHEALTH") // Flush reports it
	for i := range t.Actors {
		r := &t.Actors[i]
		writeTop(tab, cmp.Or(r.Actor, "(root)"), r)
	}
	writeTop(tab, "(all)", &t.Sum)
	return tab.Flush()
}

// writeTop writes a row. What an actor has not said is not 0.
func writeTop(w io.Writer, name string, r *top.Row) {
	own := func(format string, value any) string {
		if r.Silent != "" {
			return absent
		}
		return fmt.Sprintf(format, value)
	}
	_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%.1f%%\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, cmp.Or(r.State, absent), age(r.Age), r.Restarts,
		100*r.CPU, mebibytes(r.RSS), own("%.1f", r.Calls), own("%s", quick(r.P99)), own("%d", r.Contexts), own("%d", r.Queue()), own("%d", r.Held),
		terminal.Line(health(r))) // Flush reports it
}

// health is what the last check has found, and why an actor has not said its numbers that should have.
func health(r *top.Row) string {
	text := cmp.Or(r.Health, absent)
	if r.Silent != "" {
		text += " (" + r.Silent + ")"
	}
	return text
}

// age is a time as its two largest units.
func age(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case seconds == 0:
		return absent
	case d >= 24*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// quick is a short time, as far as a histogram knows it.
func quick(seconds float64) string {
	if seconds == 0 {
		return absent
	}
	d := time.Duration(seconds * float64(time.Second))
	unit := time.Microsecond
	for d >= 100*unit {
		unit *= 10
	}
	return d.Round(unit).String()
}

func mebibytes(bytes int64) string {
	if bytes == 0 {
		return absent
	}
	return fmt.Sprintf("%.1fMiB", float64(bytes)/(1<<20))
}
