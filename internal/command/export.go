package command

import (
	"archive/zip"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/command/internal/trace"
	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/internal/life"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// aboutBundle is the README.txt of a bundle.
const aboutBundle = `What is known of a tree of actors, for a bug report. host export has written it.

  version.json    Trellis, its protocol, Go, and the commit, of the command
  system.json     the kernel and the machine
  config.json     the settings with which host serve was started, or those that were applied last
  tree.json       the actors, each below its host
  events.jsonl    the last event of each actor
  records.jsonl   what the actors have logged and printed, and what has become of them
  spans.jsonl     what was called, started and ended, as far as the host keeps spans
  metrics.json    what the actors use and do: counters, and how it was at that moment
  actors/         what host describe says of each
  dump.txt        what host dump says: goroutines, and open contexts
  errors.txt      what could not be had, and why; missing if there is nothing to say

What may be private: names of actors, programs, folders and users; what is logged and printed; texts of errors;
arguments of the main job (run.args in config.json). Left out: values of environment variables, arguments of
programs, and all that actors send to each other. Look through it before you hand it on.
`

// part is a file of a bundle.
type part struct {
	name  string
	write func(ctx context.Context, w io.Writer) error
}

func newExport(p *program) *cobra.Command {
	file := ""
	cmd := p.joining(&cobra.Command{
		Use:   "export",
		Short: "Write all that is known of the tree of a host that serves into one file, for a bug report",
		Long: "Write all that is known of the tree of a host that serves into a zip file: config, tree, events, records,\n" +
			"spans, metrics, a description of each actor, a dump, versions and the kernel. README.txt in it says what is where, and what\n" +
			"may be private. Values of environment variables and arguments of programs are left out. Only this user can read it.",
		Example: "  host export -o bundle.zip",
		Args:    noArgs,
	}, func(ctx context.Context, _ []string) error {
		return p.toFile(file, func(w io.Writer) error { return p.bundle(ctx, w) })
	})
	cmd.Flags().StringVarP(&file, "output", "o", "bundle.zip", "the file")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if file == "" {
			return &usageError{errors.New("--output: expected the name of a file, got \"\"")}
		}
		return nil
	}
	return cmd
}

// bundle writes the parts that can be had.
func (p *program) bundle(ctx context.Context, to io.Writer) error {
	z := zip.NewWriter(to)
	parts, failed := p.parts(ctx)
	for _, part := range parts {
		p.progress.say("writing " + part.name)
		w, err := z.CreateHeader(&zip.FileHeader{Name: part.name, Method: zip.Deflate, Modified: time.Now()})
		if err != nil {
			return err
		}
		switch err = part.write(ctx, w); {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			failed = append(failed, fmt.Errorf("%s: %w", part.name, err))
		}
	}
	if len(failed) > 0 {
		w, err := z.Create("errors.txt")
		if err != nil {
			return err
		}
		for _, failure := range failed {
			if _, err := fmt.Fprintf(w, "%s\n", fault.Line(failure)); err != nil {
				return err
			}
		}
	}
	return z.Close()
}

func (p *program) parts(ctx context.Context) (parts []part, failed []error) {
	parts = []part{
		{"README.txt", func(_ context.Context, w io.Writer) error { _, err := io.WriteString(w, aboutBundle); return err }},
		{"version.json", func(_ context.Context, w io.Writer) error { return writeJSON(w, thisBuild()) }},
		{"system.json", func(_ context.Context, w io.Writer) error { return writeJSON(w, thisSystem()) }},
		{"config.json", func(ctx context.Context, w io.Writer) error {
			all, err := settings.Call(ctx, life.Parent(ctx), none{})
			return errors.Join(err, writeJSON(w, all))
		}},
		{"tree.json", func(ctx context.Context, w io.Writer) error {
			all, err := present(ctx, "")
			return errors.Join(err, writeJSON(w, document.Listing{Version: document.Version, Actors: document.Nested(all)}))
		}},
		{"events.jsonl", writeEvents},
		{"records.jsonl", writeRecords},
		{"spans.jsonl", writeSpans},
		{"metrics.json", writeMetrics},
	}
	tree := joinedTree(ctx)
	entries, err := tree.Entries(ctx, "")
	if err != nil {
		failed = append(failed, fmt.Errorf("actors: %w", err))
	}
	for a := range tree.Each(ctx, entries, wire.OrderDescribe) {
		name := "actors/" + strings.ReplaceAll(orRoot(a.Path), "/", ".") + ".json"
		parts = append(parts, part{name, func(_ context.Context, w io.Writer) error { return writeJSON(w, document.Describe(a)) }})
	}
	return append(parts, part{"dump.txt", func(ctx context.Context, w io.Writer) error { return tree.Dump(ctx, w, "") }}), failed
}

func orRoot(path string) string { return cmp.Or(path, trace.Root) }

func writeJSON(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(v)
}

// system is the document of what the machine is.
type system struct {
	Version    int    `json:"version"`
	System     string `json:"system"`
	Kernel     string `json:"kernel,omitempty"`
	Processors int    `json:"processors"`
	PageSize   int    `json:"page_size"`
}

func thisSystem() *system {
	s := &system{Version: document.Version, System: runtime.GOOS + "/" + runtime.GOARCH, Processors: runtime.NumCPU(), PageSize: os.Getpagesize()}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease") // where there is Linux
	s.Kernel = strings.TrimSpace(string(kernel))
	return s
}

// writeEvents writes the last event of each actor.
func writeEvents(ctx context.Context, w io.Writer) error {
	entries, err := directory.Query(ctx, "")
	for _, e := range entries {
		if !document.IsCommand(&e.Last) {
			err = errors.Join(err, json.NewEncoder(w).Encode(e.Last))
		}
	}
	return err
}

// writeRecords writes all records that are kept.
func writeRecords(ctx context.Context, w io.Writer) error {
	all := telemetry.From(ctx).Watch(ctx, telemetry.Filter{Level: slog.LevelDebug})
	return writeAll(w, all, func(r *telemetry.Record) any { return document.OfRecord(r) })
}

// writeSpans writes all spans that are kept.
func writeSpans(ctx context.Context, w io.Writer) error {
	return writeAll(w, telemetry.From(ctx).WatchSpans(ctx, telemetry.Filter{}), func(s *telemetry.Span) any { return s })
}

// writeAll writes what a loop gives, a line each, and how many it has missed.
func writeAll[T any](w io.Writer, all iter.Seq2[T, error], shown func(*T) any) error {
	out := json.NewEncoder(w)
	for one, err := range all {
		if _, lagged := errors.AsType[*fault.Lagged](err); lagged {
			err = out.Encode(map[string]string{"missed": err.Error()})
		} else if err == nil {
			err = out.Encode(shown(&one))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeMetrics writes what telemetry.Measure gives.
func writeMetrics(ctx context.Context, w io.Writer) error {
	all, err := measure(ctx)
	return errors.Join(err, writeJSON(w, struct {
		Version int                 `json:"version"`
		Time    time.Time           `json:"time"`
		Actors  []telemetry.Metrics `json:"actors"`
	}{document.Version, time.Now(), all}))
}

// settings is an endpoint of host serve: what it was started with, or what was applied last, without what may be secret.
var settings = contract.Func[none, map[string]string]("settings")

type none = struct{}

// settings is the handler of that.
func (r *planner) settings(context.Context, none) (map[string]string, error) {
	var tree config.Tree
	if err := json.Unmarshal([]byte(r.now().Tree), &tree); err != nil {
		return nil, err
	}
	withoutArguments(tree.Actors)
	all := flat(tree)
	for key, value := range all {
		if secret.MatchString(key) {
			all[key] = hidden(value)
		}
	}
	return all, nil
}

func withoutArguments(actors []config.Actor) {
	for i := range actors {
		a := &actors[i]
		if n := len(a.Command) - 1; n > 0 {
			a.Command = append(slices.Clone(a.Command[:1]), fmt.Sprintf("(%d arguments, not shown)", n))
		}
		withoutArguments(a.Actors)
	}
}
