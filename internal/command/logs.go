package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

func newLogs(p *program) *cobra.Command {
	var f telemetry.Filter
	var since, level string
	cmd := p.outputFlag(p.joining(completing("", &cobra.Command{
		Use:   "logs [NAME]",
		Short: "Print what the actors of a host that serves have logged and printed, and follow",
		Long: "Print what the actors of a host that serves, and of the hosts below it, have logged and printed, and what has become\n" +
			"of them, in one order, as far as the host keeps it; with --follow, go on until Ctrl-C. NAME is that of\n" +
			"an actor, or its path: what is below it is printed as well.",
		Example: "  host logs\n" +
			"  host logs census -f --level debug\n" +
			"  host logs --since 10m --grep 'file=.*_test.go' -o json",
		Args: withArgs(0, 1),
	}), func(ctx context.Context, args []string) error {
		f.Actor = strings.Join(args, "")
		return p.logs(ctx, f)
	}))
	flags := cmd.Flags()
	flags.BoolVarP(&f.Follow, "follow", "f", false, "go on with every record that comes")
	flags.StringVar(&since, "since", "", "only later ones: a time such as 2026-05-04T15:00:00Z, or how long ago, such as 10m")
	flags.StringVar(&f.Grep, "grep", "", "only those in whose text or fields this regular expression is found")
	flags.StringVar(&level, "level", "info", "only those of this level or above: debug, info, warn or error")
	flags.StringVar(&f.Trace, "trace", "", "only those of the trace of this id")
	cmd.PreRunE = func(*cobra.Command, []string) (err error) {
		if f.Since, err = moment(since); err != nil {
			return &usageError{fmt.Errorf("--since: %w", err)}
		}
		if err := f.Level.UnmarshalText([]byte(level)); err != nil {
			return &usageError{fmt.Errorf("--level: expected debug, info, warn or error, got %q", level)}
		}
		if _, err := f.Compile(); err != nil {
			return &usageError{fmt.Errorf("--grep: %w", err)}
		}
		return p.checkOutput()
	}
	return cmd
}

// moment is a time, or one that is so long ago; the zero time for none.
func moment(text string) (at time.Time, err error) {
	if text == "" {
		return at, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return time.Now().Add(-ago), nil
	}
	if at, err = time.Parse(time.RFC3339, text); err != nil {
		return at, fmt.Errorf("expected a time such as 2026-05-04T15:00:00Z, or a duration such as 10m, got %q", text)
	}
	return at, nil
}

// logs prints the records that a filter lets through.
func (p *program) logs(ctx context.Context, f telemetry.Filter) error {
	said := false
	for r, err := range telemetry.From(ctx).Watch(ctx, f) {
		lagged, behind := errors.AsType[*fault.Lagged](err)
		switch {
		case behind:
			p.progress.step(fmt.Sprintf("%d records are not kept any more", lagged.Missed))
			continue
		case err != nil:
			return err
		}
		if err := p.logged(&r); err != nil {
			return err
		}
		said = true
	}
	if err := context.Cause(ctx); err != nil || said || f.Actor == "" {
		return err
	}
	_, err := present(ctx, f.Actor)
	if err == nil {
		return nil
	}
	for _, lost := range telemetry.From(ctx).Watch(ctx, telemetry.Filter{Actor: f.Actor, Level: math.MinInt}) {
		if lost == nil {
			return nil // it has gone, and has left records, though none that was asked for
		}
	}
	return err
}

// logged prints a record: as a line for people, or as a JSON object.
func (p *program) logged(r *telemetry.Record) error {
	if p.output == "json" {
		text, err := json.Marshal(document.OfRecord(r))
		if err != nil {
			return err
		}
		return p.line(text)
	}
	return p.screen.print(r)
}
