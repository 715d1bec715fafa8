package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/internal/lab/conform"
)

func newConform(p *program) *cobra.Command {
	var tested conform.Program
	var only, output string
	var verbose bool
	cmd := &cobra.Command{
		Use:   "conform [flags] -- command [argument …]",
		Short: "Test a plugin against the transcripts of the protocol",
		Long: "Test an SDK, in whatever language: play the transcripts of the protocol against a plugin that is\n" +
			"written with it and serves the endpoints of the transcripts. Each transcript starts a process of\n" +
			"its own. The protocol and the endpoints are described in docs/protocol, in Trellis's source.",
		Example: "  host conform -- ./conform-plugin\n" +
			"  host conform -v --run 'cancels/|C10' -- python3 conform_plugin.py",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{errors.New("expected the command that starts the plugin, behind --")}
			}
			if !slices.Contains([]string{"text", "json"}, output) {
				return &usageError{fmt.Errorf("-o, --output: expected text or json, got %q", output)}
			}
			run, err := regexp.Compile(only)
			if err != nil {
				return &usageError{fmt.Errorf("--run: %w", err)}
			}
			tested.Command = args
			return p.conform(cmd.Context(), tested, run, report{json: output == "json", verbose: verbose})
		},
	}
	cmd.Flags().StringVar(&only, "run", "", "only transcripts whose name or rules match this regular expression")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "a line for each transcript, and not for each rule")
	cmd.Flags().BoolVar(&tested.GRPC, "grpc", false, "the link goes over gRPC, also where a direct connection could be had")
	cmd.Flags().DurationVar(&tested.Patience, "patience", 0, "how long a frame, a start or an end may take (1m)")
	return cmd
}

// conform plays the transcripts, and fails if the program has failed one.
func (p *program) conform(ctx context.Context, tested conform.Program, run *regexp.Regexp, r report) error {
	all, err := conform.Scripts()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(s *conform.Script) bool {
		return !run.MatchString(s.Name) && !slices.ContainsFunc(s.Rules(), run.MatchString)
	})
	if len(all) == 0 {
		return &usageError{fmt.Errorf("--run: no transcript has a name or a rule that matches %q", run)}
	}
	for result := range p.played(ctx, tested, all) {
		r.take(result)
	}
	if ctx.Err() != nil {
		return explain(ctx, context.Cause(ctx))
	}
	if err := r.write(p.stdout); err != nil {
		return err
	}
	if r.failed > 0 {
		return fmt.Errorf("%s of %d failed", plural(r.failed, "transcript"), len(all))
	}
	return nil
}

// played plays the transcripts, and shows how far that is.
func (p *program) played(ctx context.Context, tested conform.Program, all []*conform.Script) func(yield func(conform.Result) bool) {
	return func(yield func(conform.Result) bool) {
		n := 0
		defer p.progress.end()
		for result := range tested.PlayAll(ctx, all) {
			if n++; n%20 == 0 {
				p.progress.step(fmt.Sprintf("%d of %d transcripts played", n, len(all)))
			}
			if !yield(result) {
				return
			}
		}
	}
}

// report gathers results, and writes them for people or for programs.
type report struct {
	json, verbose            bool
	results                  []transcript
	passed, failed, unplayed int
}

// transcript is a result as JSON has it.
type transcript struct {
	Name   string   `json:"name"`
	Rules  []string `json:"rules,omitempty"`
	Shows  string   `json:"shows"`
	Result string   `json:"result"` // passed, failed or unplayed
	Reason string   `json:"reason,omitempty"`
	// Where the program has left the transcript, if it was there that it failed.
	Line   int      `json:"line,omitempty"`
	Expect string   `json:"expected,omitempty"`
	Came   []string `json:"came,omitempty"`

	text string // of the failure, for people
}

func (r *report) take(result conform.Result) {
	t := transcript{Name: result.Name, Rules: result.Rules(), Shows: result.Shows, Result: "passed"}
	d, differs := errors.AsType[*conform.Difference](result.Err)
	unplayed, skipped := errors.AsType[*conform.Unplayed](result.Err)
	switch {
	case result.Err == nil:
		r.passed++
	case skipped:
		t.Result, t.Reason, t.text = "unplayed", unplayed.Reason, unplayed.Reason
		r.unplayed++
	default:
		t.Result, t.Reason, t.text = "failed", result.Err.Error(), result.Err.Error()
		r.failed++
	}
	if differs {
		t.Line, t.Expect, t.Reason, t.Came = d.Line, d.Expect, d.Reason, d.Came
	}
	r.results = append(r.results, t)
}

func (r *report) write(w io.Writer) error {
	if r.json {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			Passed      int          `json:"passed"`
			Failed      int          `json:"failed"`
			Unplayed    int          `json:"unplayed"`
			Transcripts []transcript `json:"transcripts"`
		}{r.passed, r.failed, r.unplayed, r.results})
	}
	lines := r.byRule()
	if r.verbose {
		lines = r.byTranscript()
	}
	lines = append(lines, r.failures()...)
	lines = append(lines, fmt.Sprintf("%d passed, %d failed, %d not played", r.passed, r.failed, r.unplayed))
	_, err := io.WriteString(w, strings.Join(lines, "\n")+"\n")
	return err
}

// unruled is the line of those that belong to no rule.
const unruled = "—"

// byRule has a line for each rule. A transcript of two rules counts for both.
func (r *report) byRule() (lines []string) {
	type count struct{ passed, of int }
	rules := map[string]*count{}
	for _, t := range r.results {
		ids := t.Rules
		if len(ids) == 0 {
			ids = []string{unruled}
		}
		for _, id := range ids {
			if rules[id] == nil {
				rules[id] = &count{}
			}
			if t.Result != "unplayed" {
				rules[id].of++
			}
			if t.Result == "passed" {
				rules[id].passed++
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(rules)) {
		c, word := rules[id], "ok"
		switch {
		case c.of == 0:
			word = "unplayed"
		case c.passed < c.of:
			word = "failed"
		}
		lines = append(lines, fmt.Sprintf("%-8s  %-4s %d of %s", word, id, c.passed, plural(c.of, "transcript")))
	}
	return lines
}

func (r *report) byTranscript() (lines []string) {
	for _, t := range r.results {
		word := t.Result
		if word == "passed" {
			word = "ok"
		}
		lines = append(lines, fmt.Sprintf("%-8s  %-32s %s", word, t.Name, t.Shows))
	}
	return lines
}

// failures are what has gone wrong, and what was not played, each whole.
func (r *report) failures() (lines []string) {
	for _, t := range r.results {
		if t.Result != "passed" {
			lines = append(lines, "", fmt.Sprintf("%s %s: %s", t.Name, t.Result, t.Shows), "    "+strings.ReplaceAll(t.text, "\n", "\n    "))
		}
	}
	if len(lines) > 0 {
		lines = append(lines, "")
	}
	return lines
}
