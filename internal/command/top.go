package command

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/internal/command/internal/top"
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

// tables says what host top shows: which tables, or a screen.
type tables struct {
	actor    string // a name or a path; "": all
	sort     string
	n        int // 0: until Ctrl-C
	interval time.Duration
	batch    bool // tables, and not a screen
	readOnly bool // a screen that gives no orders
}

func newTop(p *program) *cobra.Command {
	o := tables{}
	w := &watching{p: p, o: &o}
	cmd := p.outputFlag(p.joiningBy(w.join, completing("", &cobra.Command{
		Use:   "top [NAME]",
		Short: "Show what the actors of a host that serves are, use and do",
		Long: "Show what the actors of a host that serves, and of the hosts below it, are, use and do, on a screen: the tree with\n" +
			"processor, memory, calls in a second, and what waits; what becomes of them; and for each actor its description, open\n" +
			"contexts, logs, traces and events. ? lists the keys. Keys that end or restart an actor ask first, and are refused with\n" +
			"--read-only. NAME is that of an actor, or its path: what is below it is shown as well. Nothing is measured while nobody\n" +
			"looks.\n\n" +
			"With --batch the numbers are printed as a table. It takes --interval, as rates are of the time between two looks; with -n\n" +
			"there are several tables.",
		Example: "  host top\n" +
			"  host top census --read-only\n" +
			"  host top -b\n" +
			"  host top -b -n 10 --interval 2s --sort cpu\n" +
			"  host top -b census -o json",
		Args: withArgs(0, 1),
	}), func(ctx context.Context, args []string) error {
		o.actor = strings.Join(args, "")
		if !o.batch {
			return w.read(ctx, o.actor)
		}
		return p.top(ctx, o)
	}))
	flags := cmd.Flags()
	flags.BoolVarP(&o.batch, "batch", "b", false, "print tables one below the other, and no screen")
	flags.BoolVar(&o.readOnly, "read-only", false, "a screen that ends, restarts and scales no actor")
	flags.IntVarP(&o.n, "number", "n", 1, "how many tables, with --batch; 0: until Ctrl-C")
	flags.DurationVar(&o.interval, "interval", time.Second, "the time from one look to the next")
	flags.StringVar(&o.sort, "sort", "name", "the column to sort by: "+strings.Join(top.Columns(), ", "))
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		switch tabular := cmd.Flags().Changed("number") || cmd.Flags().Changed("output"); {
		case !o.batch && tabular:
			return &usageError{errors.New("--number and --output are of tables; add --batch")}
		case !o.batch && p.screen.terminal == nil:
			return &usageError{errors.New("standard output is not a terminal that a screen can be drawn on; host top -b prints tables")}
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
	all, err := measure(ctx)
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
		return actor != "" && !slices.ContainsFunc(within, func(s *document.Actor) bool { return s.Path == m.Actor || treepath.IsBelow(m.Actor, s.Path) })
	})
	return v.Look(time.Now(), all), nil
}

// measure reads the numbers of all actors but commands.
func measure(ctx context.Context) ([]telemetry.Metrics, error) {
	all, err := telemetry.Measure(ctx)
	return slices.DeleteFunc(all, document.OfCommand), err
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
	elsewhere := slices.ContainsFunc(t.Actors, func(r top.Row) bool { return r.Host != "" })
	_, _ = fmt.Fprintln(tab, "NAME\t"+hostColumn(elsewhere, "HOST")+"STATE\tAGE\tRESTARTS\tCPU\tRSS\tCALLS/S\tP99\tCONTEXTS\tQUEUE\tHELD\tHEALTH") // Flush reports it
	for i := range t.Actors {
		r := &t.Actors[i]
		writeTop(tab, orRoot(r.Actor)+"\t"+hostColumn(elsewhere, cmp.Or(r.Host, absent)), r)
	}
	writeTop(tab, "(all)\t"+hostColumn(elsewhere, absent), &t.Sum)
	return tab.Flush()
}

// writeTop writes a row, of which name has the first columns. What an actor has not said is not 0.
func writeTop(w io.Writer, name string, r *top.Row) {
	own := func(format string, value any) string {
		if r.Silent != "" {
			return absent
		}
		return fmt.Sprintf(format, value)
	}
	_, _ = fmt.Fprintf(w, "%s%s\t%s\t%d\t%.1f%%\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, cmp.Or(r.State, absent), top.Age(r.Age), r.Restarts,
		100*r.CPU, mebibytes(r.RSS), own("%.1f", r.Calls), own("%s", top.Took(r.P99)), own("%d", r.Contexts), own("%d", r.Queue()), own("%d", r.Held),
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

func mebibytes(bytes int64) string {
	if bytes == 0 {
		return absent
	}
	return fmt.Sprintf("%.1fMiB", float64(bytes)/(1<<20))
}
