package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// present are the actors of the tree, without commands.
func present(ctx context.Context, name string) (all []*document.Actor, err error) {
	entries, err := directory.Query(ctx, name)
	return document.OfEntries(entries), err
}

func newPs(p *program) *cobra.Command {
	return p.outputFlag(p.joining(completing("", &cobra.Command{
		Use:   "ps [NAME]",
		Short: "List the actors of a host that serves",
		Args:  withArgs(0, 1),
	}), func(ctx context.Context, args []string) error {
		all, err := present(ctx, strings.Join(args, ""))
		if err != nil {
			return err
		}
		return p.listed(all)
	}))
}

func newTree(p *program) *cobra.Command {
	return p.outputFlag(p.joining(&cobra.Command{
		Use:   "tree",
		Short: "Show the actors of a host that serves, each below its own host",
		Args:  noArgs,
	}, func(ctx context.Context, _ []string) error {
		all, err := present(ctx, "")
		if err != nil {
			return err
		}
		if p.output == "json" {
			return p.printJSON(document.Listing{Version: document.Version, Actors: document.Nested(all)})
		}
		return p.table(all, byDepth)
	}))
}

// listed prints actors with their paths.
func (p *program) listed(all []*document.Actor) error {
	if p.output == "json" {
		return p.printJSON(document.Listing{Version: document.Version, Actors: all})
	}
	return p.table(all, byPath)
}

func byPath(a *document.Actor) string { return a.Path }

// byDepth is an actor's own part of its path, indented below its host.
func byDepth(a *document.Actor) string {
	return strings.Repeat("  ", strings.Count(a.Path, "/")) + treepath.Last(a.Path)
}

// table prints actors for people.
func (p *program) table(all []*document.Actor, label func(*document.Actor) string) error {
	tab := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	writeRows(tab, all, label)
	return tab.Flush()
}

func writeRows(w io.Writer, all []*document.Actor, label func(*document.Actor) string) {
	elsewhere := slices.ContainsFunc(all, func(a *document.Actor) bool { return a.Host != "" })
	_, _ = fmt.Fprintf(w, "ACTOR\t%sSTATE\tPID\tPROCESSES\tENDPOINTS\n", hostColumn(elsewhere, "HOST")) // Flush reports it
	for _, a := range all {
		names := make([]string, len(a.Endpoints))
		for i, e := range a.Endpoints {
			names[i] = e.Name
		}
		_, _ = fmt.Fprintf(w, "%s\t%s%s\t%s\t%d\t%s\n", label(a), hostColumn(elsewhere, orNone(a.Host)), a.State, pid(a.PID), a.Epoch, orNone(strings.Join(names, ", ")))
	}
}

// pid is a process in a table: - where there is none, as while it starts, and where the host does not know it, as that of an agent.
func pid(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// hostColumn is a cell of a column that is only there if some actor runs on another machine.
func hostColumn(there bool, text string) string {
	if !there {
		return ""
	}
	return text + "\t"
}

func newEvents(p *program) *cobra.Command {
	var follow bool
	cmd := p.joining(completing("", &cobra.Command{
		Use:   "events [NAME]",
		Short: "Print the last event of each actor of a host that serves, and follow",
		Long: "Print the last event of each actor of a host that serves, one JSON object a line, and, with\n" +
			"--follow, every one that comes, until Ctrl-C.",
		Args: withArgs(0, 1),
	}), func(ctx context.Context, args []string) error {
		said, name := false, strings.Join(args, "")
		for e, err := range directory.From(ctx).Watch(ctx, name) {
			lagged, behind := errors.AsType[*fault.Lagged](err)
			switch {
			case behind:
				p.progress.step(lagged.Error())
				continue
			case err != nil:
				return err
			case e.Path == "" && !follow: // these were all
				if !said {
					_, err = present(ctx, name)
				}
				return err
			case e.Path == "", document.IsCommand(&e):
				continue
			}
			text, err := json.Marshal(e)
			if err == nil {
				err = p.line(text)
			}
			if err != nil {
				return err
			}
			said = true
		}
		return context.Cause(ctx)
	})
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with every event that comes")
	return cmd
}
