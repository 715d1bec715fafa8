package command

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/internal/inspect"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

func newDescribe(p *program) *cobra.Command {
	return p.outputFlag(p.joining(completing("", &cobra.Command{
		Use:   "describe NAME",
		Short: "Say what is known of an actor of a host that serves",
		Long: "Say what is known of an actor of a host that serves, on one screen: its process and program, what it is doing and\n" +
			"why, restarts, health, what it uses, its open contexts and what they wait for, its last records, and what it\n" +
			"takes and gives: its endpoints with their types, and, with -o json, a JSON Schema for each. Lines are cut at\n" +
			"160 characters, or at COLUMNS. NAME is that of the only actor that has it, or a path.",
		Example: "  host describe parser\n  host describe census/parser -o json",
		Args:    withArgs(1, 1),
	}), func(ctx context.Context, args []string) error {
		a, err := joinedTree(ctx).Actor(ctx, wire.OrderRequest{Name: args[0], Do: wire.OrderDescribe})
		if err != nil {
			return err
		}
		d := document.Describe(a)
		if p.output == "json" {
			return p.printJSON(d)
		}
		return p.describe(d, time.Now())
	}))
}

// joinedTree is how the tree is asked that a command has joined. Commands are not a part of it.
func joinedTree(ctx context.Context) inspect.Tree {
	return inspect.Tree{Registry: directory.From(ctx), Records: telemetry.From(ctx), Ask: order, Without: document.IsCommand}
}

// describe prints an actor for people.
func (p *program) describe(d *document.Description, now time.Time) error {
	var out strings.Builder
	for _, line := range append(d.Lines(now), endpointLines(d)...) {
		out.WriteString(cutLine(line, columns()) + "\n")
	}
	_, err := fmt.Fprint(p.stdout, out.String())
	return err
}

// endpointLines are what an actor serves, with its types below.
func endpointLines(d *document.Description) (lines []string) {
	for _, e := range d.Endpoints {
		lines = append(lines, e.Kind+" "+e.Name)
		for _, line := range slices.Sorted(slices.Values(slices.Concat(e.Shape, e.Optional))) {
			lines = append(lines, "  "+line)
		}
	}
	return lines
}

// columns is how wide what is printed may be.
func columns() int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n >= 40 {
		return n
	}
	return 160
}

// cutLine is a line of at most so many characters.
func cutLine(line string, most int) string {
	if utf8.RuneCountInString(line) <= most {
		return line
	}
	return string([]rune(line)[:most-1]) + "…"
}
