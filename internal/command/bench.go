package command

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/internal/lab/bench"
)

func newBench(p *program) *cobra.Command {
	var options bench.Options
	var only, file string
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what a plugin costs on this machine",
		Long: "Measure what calls, contexts, streams, starts and idle plugins cost on this machine,\n" +
			"beside a plain go-plugin plugin and a raw socket. It takes some minutes, and is best\n" +
			"done while the machine does nothing else. The census needs Trellis's source and is\n" +
			"measured in its folder only.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if options.Rounds < 0 {
				return &usageError{fmt.Errorf("--rounds: expected a positive number, got %d", options.Rounds)}
			}
			if only != "" {
				if options.Only, err = regexp.Compile(only); err != nil {
					return &usageError{fmt.Errorf("--only: %w", err)}
				}
			}
			return p.bench(cmd.Context(), options, file)
		},
	}
	cmd.Flags().IntVar(&options.Rounds, "rounds", 0, "how often everything is measured (5, or 1 if quick)")
	cmd.Flags().StringVar(&only, "only", "", "only workloads whose name matches this regular expression")
	cmd.Flags().StringVar(&file, "json", "", "write the numbers to this file as well")
	cmd.Flags().BoolVar(&options.Quick, "quick", false, "tiny counts: proves that it runs, measures nothing")
	return cmd
}

func (p *program) bench(ctx context.Context, o bench.Options, file string) error {
	defer p.progress.end()
	o.Step = p.progress.step
	report, err := bench.Run(ctx, o)
	p.progress.end()
	if err != nil {
		return explain(ctx, err)
	}
	if file != "" {
		text, err := json.MarshalIndent(report, "", " ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil { //nolint:gosec // a report is for everybody
			return err
		}
	}
	return report.WriteTable(p.stdout)
}
