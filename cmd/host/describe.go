package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// described is the document of host describe.
type described struct {
	Version   int       `json:"version"`
	Name      string    `json:"name"`
	UUID      string    `json:"uuid"`
	Endpoints []*served `json:"endpoints"`
}

// served is an endpoint that an actor serves, with a JSON Schema for each of its parts.
type served struct {
	Name    string                    `json:"name"`
	Kind    string                    `json:"kind"`
	Callers []string                  `json:"callers,omitempty"`
	Schemas map[string]map[string]any `json:"schemas"`
	Shape   []string                  `json:"shape"`

	optional []string // lines of fields that may be left out, which the shape only tells
}

func newDescribe(p *program) *cobra.Command {
	return p.outputFlag(p.joining(completing("", &cobra.Command{
		Use:   "describe NAME",
		Short: "Say what an actor of a host that serves takes and gives",
		Long: "Say what an actor of a host that serves takes and gives: its endpoints with their types, and, with -o json,\n" +
			"a JSON Schema for each. NAME is that of the only actor that has it, or a path.",
		Args: withArgs(1, 1),
	}), func(ctx context.Context, args []string) error {
		answer, err := order(ctx, wire.OrderRequest{Name: args[0], Do: wire.OrderDescribe})
		if err != nil {
			return err
		}
		var boot wire.BootResponse
		if err := proto.Unmarshal(answer, &boot); err != nil {
			return err
		}
		d := describe(&boot)
		if p.output == "json" {
			return p.printJSON(d)
		}
		for _, e := range d.Endpoints {
			if _, err := fmt.Fprintf(p.stdout, "%s %s\n%s", e.Kind, e.Name, indented(slices.Sorted(slices.Values(slices.Concat(e.Shape, e.optional))))); err != nil {
				return err
			}
		}
		return nil
	}))
}

func describe(boot *wire.BootResponse) *described {
	d := &described{Version: shapesVersion, Name: boot.Self.GetName(), UUID: boot.Self.GetUuid(), Endpoints: []*served{}}
	for _, e := range boot.Endpoints {
		s := parseShape(e.Shape)
		shown := &served{Name: e.Name, Kind: dialog.KindName(e.Kind), Callers: e.Callers, Schemas: map[string]map[string]any{}, Shape: []string{}}
		for _, part := range s.parts() {
			shown.Schemas[part] = s.schemaOf(part)
		}
		for line := range strings.Lines(e.Shape) {
			line = strings.TrimSuffix(line, "\n")
			if optional, is := strings.CutPrefix(line, "#+ "); is {
				shown.optional = append(shown.optional, s.noted(optional))
			} else if !strings.HasPrefix(line, "#") {
				shown.Shape = append(shown.Shape, line)
			}
		}
		d.Endpoints = append(d.Endpoints, shown)
	}
	return d
}

func indented(lines []string) string {
	var out strings.Builder
	for _, line := range lines {
		out.WriteString("  " + line + "\n")
	}
	return out.String()
}
