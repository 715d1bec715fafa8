package command

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/internal/command/internal/trace"
	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/terminal"
	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// chosen says which traces are listed, or what is shown of one.
type chosen struct {
	id     string // of a trace, or how that begins; empty: all are listed
	actor  string // a name or a path
	since  time.Time
	errors bool
	slow   time.Duration
	follow bool
	logs   bool
}

func newTraces(p *program) *cobra.Command {
	var w chosen
	var since string
	cmd := p.outputFlag(p.joining(&cobra.Command{
		Use:   "traces [ID]",
		Short: "List the traces of a host that serves, or show one as a waterfall",
		Long: "List what has been called, started and ended in the tree of a host that serves: a line for each trace, as far\n" +
			"as the host keeps spans (telemetry.spans in its config). With the ID of a trace, or how it begins, show all of its spans, each\n" +
			"below the one that it belongs to, with their errors and what happened in them.",
		Example: "  host traces --errors --since 10m\n" +
			"  host traces --actor parser --slow 100ms -f\n" +
			"  host traces 0af76519 --logs",
		Args: withArgs(0, 1),
	}, func(ctx context.Context, args []string) error {
		w.id = strings.Join(args, "")
		switch {
		case w.id != "":
			return p.oneTrace(ctx, w)
		case w.follow:
			return p.followTraces(ctx, w)
		}
		return p.listTraces(ctx, w)
	}))
	flags := cmd.Flags()
	flags.StringVar(&w.actor, "actor", "", "only those in which this actor takes part, or one below it: a name or a path")
	flags.StringVar(&since, "since", "", "only those that began later: a time such as 2026-05-04T15:00:00Z, or how long ago, such as 10m")
	flags.BoolVar(&w.errors, "errors", false, "only those in which something has failed")
	flags.DurationVar(&w.slow, "slow", 0, "only those that took so long, or longer, such as 100ms")
	flags.BoolVarP(&w.follow, "follow", "f", false, "go on with every trace that ends")
	flags.BoolVar(&w.logs, "logs", false, "with an ID: what the actors have logged in the trace, too")
	cmd.PreRunE = func(_ *cobra.Command, args []string) (err error) {
		if w.since, err = moment(since); err != nil {
			return &usageError{fmt.Errorf("--since: %w", err)}
		}
		if len(args) > 0 && (w.actor != "" || since != "" || w.errors || w.slow > 0 || w.follow) {
			return &usageError{errors.New("--actor, --since, --errors, --slow and --follow choose among traces; leave them out with an ID")}
		}
		if w.logs && len(args) == 0 {
			return &usageError{errors.New("--logs is for one trace; give its ID")}
		}
		return p.checkOutput()
	}
	return cmd
}

// chooses reports whether a trace is one of those that are listed.
func (w *chosen) chooses(t trace.Summary) bool {
	about := func(actor string) bool {
		passes, err := telemetry.Filter{Actor: w.actor}.Compile()
		return err == nil && passes(&telemetry.Record{Actor: actor})
	}
	return (!w.errors || t.Failed > 0) && t.Duration >= w.slow && !t.Time.Before(w.since) && slices.ContainsFunc(t.Actors, about)
}

// spans gives those that pass a filter, and says how many others there were.
func (p *program) spans(ctx context.Context, f telemetry.Filter, take func(s telemetry.Span)) error {
	for s, err := range telemetry.From(ctx).WatchSpans(ctx, f) {
		lagged, behind := errors.AsType[*fault.Lagged](err)
		switch {
		case behind:
			p.progress.step(fmt.Sprintf("%s not kept any more", plural(lagged.Missed, "span")))
		case err != nil:
			return err
		default:
			take(s)
		}
	}
	return nil
}

// listTraces prints the traces that there are, in the order in which they began.
func (p *program) listTraces(ctx context.Context, w chosen) error {
	all := map[string][]telemetry.Span{}
	if err := p.spans(ctx, telemetry.Filter{Since: w.since}, func(s telemetry.Span) { all[s.Trace] = append(all[s.Trace], s) }); err != nil {
		return err
	}
	listed := []trace.Summary{}
	for _, spans := range all {
		if t := trace.Of(spans); w.chooses(t) {
			listed = append(listed, t)
		}
	}
	slices.SortFunc(listed, func(a, b trace.Summary) int { return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Trace, b.Trace)) })
	return p.printTraces(listed)
}

func (p *program) printTraces(all []trace.Summary) error {
	if p.output == "json" {
		return p.printJSON(struct {
			Version int             `json:"version"`
			Traces  []trace.Summary `json:"traces"`
		}{document.Version, all})
	}
	tab := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(tab, "TIME\tTRACE\tDURATION\tSTATUS\tSPANS\tWHAT\tACTORS\n") // Flush reports it
	for _, t := range all {
		_, _ = fmt.Fprintf(tab, "%s\t%.8s\t%v\t%s\t%d\t%s\t%s\n", t.Time.Local().Format(timeOfDay), t.Trace, trace.Short(t.Duration), t.Outcome(), t.Spans, t.What(), t.Who())
	}
	return tab.Flush()
}

// timeOfDay is how times are printed.
const timeOfDay = "15:04:05.000"

// quiet is how long nothing more must have come of a trace before it is printed: spans of several processes come in
// any order. One whose first span is still to come may be complete for longer than that.
const (
	quiet       = 500 * time.Millisecond
	quietLong   = 10 * time.Second
	mostPending = 10_000 // spans; a trace that has more is printed as it is
)

// pending is a trace of which more may come.
type pending struct {
	spans []telemetry.Span
	last  time.Time // when something has come
	whole bool      // its first span has
}

// followTraces prints each trace when nothing more comes of it.
func (p *program) followTraces(ctx context.Context, w chosen) error {
	coming := make(chan telemetry.Span)
	ctx, stop := context.WithCancel(ctx)
	var failed error
	reading := task.Start(func() {
		failed = p.spans(ctx, telemetry.Filter{Since: w.since, Follow: true}, func(s telemetry.Span) {
			select {
			case coming <- s:
			case <-ctx.Done():
			}
		})
	})
	defer reading.Wait()
	defer stop()
	ticker := time.NewTicker(quiet / 5)
	defer ticker.Stop()
	all := map[string]*pending{}
	for {
		select {
		case s := <-coming:
			t := all[s.Trace]
			if t == nil {
				t = &pending{}
				all[s.Trace] = t
			}
			t.spans, t.last, t.whole = append(t.spans, s), time.Now(), t.whole || s.Parent == ""
		case now := <-ticker.C:
			if err := p.printOver(all, now, w); err != nil {
				return err
			}
		case <-reading.Done():
			return cmp.Or(failed, context.Cause(ctx))
		}
	}
}

// printOver prints the traces of which nothing more comes, and forgets them.
func (p *program) printOver(all map[string]*pending, now time.Time, w chosen) error {
	for id, t := range all {
		if idle := now.Sub(t.last); len(t.spans) < mostPending && (idle < quiet || !t.whole && idle < quietLong) {
			continue
		}
		delete(all, id)
		s := trace.Of(t.spans)
		if !w.chooses(s) {
			continue
		}
		var err error
		if p.output == "json" {
			var text []byte
			if text, err = json.Marshal(s); err == nil {
				err = p.line(text)
			}
		} else {
			_, err = fmt.Fprintf(p.stdout, "%s %.8s %8v %-9s %s  %s\n", s.Time.Local().Format(timeOfDay), s.Trace, trace.Short(s.Duration), s.Outcome(), s.What(), s.Who())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// oneTrace shows the spans of a trace.
func (p *program) oneTrace(ctx context.Context, w chosen) error {
	filter := telemetry.Filter{}
	if len(w.id) == 32 {
		filter.Trace = w.id
	}
	all := map[string][]telemetry.Span{}
	if err := p.spans(ctx, filter, func(s telemetry.Span) {
		if strings.HasPrefix(s.Trace, w.id) {
			all[s.Trace] = append(all[s.Trace], s)
		}
	}); err != nil {
		return err
	}
	ids := slices.Sorted(maps.Keys(all))
	switch {
	case len(ids) == 0:
		return fmt.Errorf("%w: no span of a trace %s is kept; see host traces", directory.ErrNotFound, words.Quote(w.id))
	case len(ids) > 1:
		return &usageError{fmt.Errorf("%s is how %d traces begin: %s", words.Quote(w.id), len(ids), words.List(ids, ", "))}
	}
	records := []telemetry.Record{}
	if w.logs {
		for r, err := range telemetry.From(ctx).Watch(ctx, telemetry.Filter{Trace: ids[0], Level: -1 << 30}) {
			if _, behind := errors.AsType[*fault.Lagged](err); err != nil && !behind {
				return err
			} else if err == nil {
				records = append(records, r)
			}
		}
	}
	return p.printTrace(all[ids[0]], records)
}

// barWidth is how wide the bars of a waterfall are, in characters.
const barWidth = 32

// printTrace prints one trace: as a waterfall, or as a document.
func (p *program) printTrace(spans []telemetry.Span, records []telemetry.Record) error {
	slices.SortStableFunc(spans, func(a, b telemetry.Span) int { return a.Time.Compare(b.Time) })
	if p.output == "json" {
		return p.printJSON(struct {
			Version int                `json:"version"`
			Trace   string             `json:"trace"`
			Spans   []telemetry.Span   `json:"spans"`
			Records []telemetry.Record `json:"records,omitempty"`
		}{document.Version, spans[0].Trace, spans, records})
	}
	w := trace.New(spans, records)
	if _, err := fmt.Fprintf(p.stdout, "%s  %s  %v  %s  %s\n\n", w.Trace, w.Time.Local().Format(timeOfDay), trace.Short(w.Duration), w.Outcome(), plural(w.Spans, "span")); err != nil {
		return err
	}
	tab := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(tab, "SPAN\tACTOR\tAT\tTOOK\t|%s|\n", strings.Repeat(" ", barWidth)) // Flush reports it
	for _, r := range w.Rows {
		took := ""
		if !r.Note {
			took = trace.Short(r.Duration).String()
		}
		_, _ = fmt.Fprintf(tab, "%s%s\t%s\t%v\t%s\t|%s|\n", strings.Repeat("  ", r.Depth), terminal.Line(words.Cut(r.Text)),
			terminal.Line(r.Actor), trace.Short(r.At.Sub(w.Time)), took, w.Bar(&r, barWidth))
	}
	return tab.Flush()
}
