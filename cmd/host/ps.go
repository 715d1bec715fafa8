package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// shapesVersion is that of the documents that commands print with -o json (docs/joining.md). A field may
// be added without another version.
const shapesVersion = 1

// listing is the document of host ps, and of host tree, whose actors have actors.
type listing struct {
	Version int      `json:"version"`
	Actors  []*shown `json:"actors"`
}

// shown is an actor in a document.
type shown struct {
	Path      string               `json:"path"`
	Name      string               `json:"name"`
	UUID      string               `json:"uuid"`
	PID       int                  `json:"pid,omitempty"`
	State     directory.State      `json:"state"`
	Epoch     int                  `json:"epoch"`
	Joined    bool                 `json:"joined,omitempty"`
	Reason    string               `json:"reason,omitempty"`
	Used      directory.Usage      `json:"used,omitzero"` // by the last process, if there is none now
	Endpoints []directory.Endpoint `json:"endpoints"`
	Actors    []*shown             `json:"actors,omitempty"`
}

func show(e *directory.Entry) *shown {
	endpoints := e.Endpoints
	if endpoints == nil {
		endpoints = []directory.Endpoint{}
	}
	return &shown{
		Path: e.Path, Name: e.Actor.Name, UUID: e.Actor.UUID, PID: e.Actor.PID,
		State: e.State, Epoch: e.Epoch, Joined: e.Last.Joined, Reason: e.Last.Reason, Used: e.Last.Used, Endpoints: endpoints,
	}
}

// isCommand reports whether an event is about this command or another one, which come and go: one may
// have left, and its host not have told that yet.
func isCommand(e *directory.Event) bool {
	return e.Joined && e.Actor.Name == caller && !strings.Contains(e.Path, "/")
}

// present are the actors of the tree, without commands.
func present(ctx context.Context, name string) (all []*shown, err error) {
	entries, err := directory.Query(ctx, name)
	all = []*shown{}
	for _, e := range entries {
		if !isCommand(&e.Last) {
			all = append(all, show(&e))
		}
	}
	return all, err
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
			return p.printJSON(listing{shapesVersion, nested(all)})
		}
		return p.table(all, byDepth)
	}))
}

// nested puts each actor below its host. They come in the order of their paths, a host first.
func nested(all []*shown) (top []*shown) {
	top = []*shown{}
	at := map[string]*shown{}
	for _, a := range all {
		at[a.Path] = a
		if host := at[treepath.Host(a.Path)]; host != nil {
			host.Actors = append(host.Actors, a)
		} else {
			top = append(top, a)
		}
	}
	return top
}

// listed prints actors with their paths.
func (p *program) listed(all []*shown) error {
	if p.output == "json" {
		return p.printJSON(listing{shapesVersion, all})
	}
	return p.table(all, byPath)
}

func byPath(a *shown) string { return a.Path }

// byDepth is an actor's own part of its path, indented below its host.
func byDepth(a *shown) string {
	return strings.Repeat("  ", strings.Count(a.Path, "/")) + treepath.Last(a.Path)
}

// table prints actors for people.
func (p *program) table(all []*shown, label func(*shown) string) error {
	tab := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	writeRows(tab, all, label)
	return tab.Flush()
}

func writeRows(w io.Writer, all []*shown, label func(*shown) string) {
	_, _ = fmt.Fprintf(w, "ACTOR\tSTATE\tPID\tPROCESSES\tENDPOINTS\n") // Flush reports it
	for _, a := range all {
		names := make([]string, len(a.Endpoints))
		for i, e := range a.Endpoints {
			names[i] = e.Name
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\n", label(a), a.State, a.PID, a.Epoch, orNone(strings.Join(names, ", ")))
	}
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
		for e, err := range directory.From(ctx).Watch(ctx, strings.Join(args, "")) {
			lagged, behind := errors.AsType[*fault.Lagged](err)
			switch {
			case behind:
				p.progress.step(lagged.Error())
				continue
			case err != nil:
				return err
			case e.Path == "" && !follow: // these were all
				return nil
			case e.Path == "", isCommand(&e):
				continue
			}
			text, err := json.Marshal(e)
			if err == nil {
				err = p.line(text)
			}
			if err != nil {
				return err
			}
		}
		return context.Cause(ctx)
	})
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with every event that comes")
	return cmd
}
