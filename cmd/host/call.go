package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// commandFor is the command for each kind of endpoint.
var commandFor = map[string]string{"func": "host call", "source": "host stream", "context": "host open"}

func newCall(p *program) *cobra.Command {
	return p.outputFlag(p.joining(completing("func", &cobra.Command{
		Use:   "call NAME ENDPOINT [JSON]",
		Short: "Call a func of an actor of a host that serves, and print its result",
		Long: "Call a func of an actor of a host that serves, and print its result. NAME is that of an actor,\n" +
			"or its path. The arguments are JSON, {} if there are none; - reads them from standard input.",
		Args: withArgs(2, 3),
	}), func(ctx context.Context, args []string) error {
		portal, payload, err := callee(ctx, args, "func")
		if err != nil {
			return err
		}
		result, err := contract.FuncByHand(args[1]).Call(ctx, portal, payload)
		if err != nil {
			return err
		}
		return p.print(result)
	}))
}

func newStream(p *program) *cobra.Command {
	return p.joining(completing("source", &cobra.Command{
		Use:   "stream NAME ENDPOINT [JSON]",
		Short: "Print what a source of an actor of a host that serves yields",
		Long: "Print what a source of an actor of a host that serves yields, one JSON value a line. The source\n" +
			"ends when nobody reads standard output any more, as behind | head -3.",
		Args: withArgs(2, 3),
	}), func(ctx context.Context, args []string) error {
		portal, payload, err := callee(ctx, args, "source")
		if err != nil {
			return err
		}
		for message, err := range contract.SourceByHand(args[1]).Stream(ctx, portal, payload) {
			if err == nil {
				err = p.line(message)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// callee finds the actor of a call, and checks its arguments. An endpoint of another kind, or that is not
// there, is known before it is called.
func callee(ctx context.Context, args []string, kind string) (*directory.Portal, json.RawMessage, error) {
	payload, err := arguments(args[2:])
	if err != nil {
		return nil, nil, err
	}
	portal, err := directory.Find(ctx, args[0])
	if err != nil {
		return nil, nil, err
	}
	var names []string
	for _, e := range portal.Entry.Endpoints {
		if e.Name == args[1] && e.Kind != kind {
			return nil, nil, &usageError{fmt.Errorf("%s of %s is a %s; use %s", words.Quote(e.Name), portal.Entry.Path, e.Kind, commandFor[e.Kind])}
		}
		names = append(names, e.Name)
	}
	if !slices.Contains(names, args[1]) {
		return nil, nil, &absentError{fmt.Errorf("%s serves no endpoint %s; it serves %s%s", portal.Entry.Path, words.Quote(args[1]),
			orNone(words.List(names, ", ")), words.DidYouMean(args[1], names))}
	}
	return portal, payload, nil
}

// absentError is the failure of a command that names an endpoint, or an actor, which is not there.
type absentError struct{ error }

func newWait(p *program) *cobra.Command {
	var state string
	cmd := p.outputFlag(p.joiningBy(joinLater, completing("", &cobra.Command{
		Use:   "wait NAME",
		Short: "Wait until an actor of a host that serves is ready",
		Long: "Wait until a host serves and an actor of it is ready; with --for healthy, until one is whose last health\n" +
			"check has passed; or, with --for gone, until no actor of the name is there. It does not wait for longer\n" +
			"than --timeout.",
		Args: withArgs(1, 1),
	}), func(ctx context.Context, args []string) error {
		await, known := awaiting[state]
		if !known {
			return &usageError{fmt.Errorf("--for: expected ready, healthy or gone, got %q", state)}
		}
		found, err := await(ctx, args[0])
		if err != nil || found == nil {
			return err
		}
		return p.listed([]*document.Actor{document.OfEntry(found)})
	}))
	cmd.Flags().StringVar(&state, "for", "ready", "ready, healthy or gone")
	if err := cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions([]string{"ready", "healthy", "gone"}, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag above
	}
	return cmd
}

// awaiting is how host wait waits for each state. It gives the actor that has it; nil if it is gone.
var awaiting = map[string]func(ctx context.Context, name string) (*directory.Entry, error){
	"ready": awaitReady, "healthy": awaitHealthy,
	"gone": func(ctx context.Context, name string) (*directory.Entry, error) { return nil, awaitGone(ctx, name) },
}

func awaitReady(ctx context.Context, name string) (*directory.Entry, error) {
	portal, err := directory.WaitFor(ctx, name)
	if err != nil {
		return nil, err
	}
	return &portal.Entry, nil
}

func awaitHealthy(ctx context.Context, name string) (*directory.Entry, error) {
	return awaitAsked(ctx, name, func(path string) error {
		_, err := order(ctx, wire.OrderRequest{Path: path, Do: wire.OrderAwaitHealth})
		return err
	})
}

// awaitAsked asks the host of an actor that is ready. One that has gone meanwhile may be followed by another one.
func awaitAsked(ctx context.Context, name string, ask func(path string) error) (found *directory.Entry, err error) {
	if _, err := awaitReady(ctx, name); err != nil {
		return nil, err
	}
	comes := func(e *directory.Event) bool { return e.To.Callable() || e.To == directory.Gone }
	err = awaitChange(ctx, name, comes, func() (bool, error) {
		portal, err := directory.Find(ctx, name)
		if err == nil {
			err = ask(portal.Entry.Path)
		}
		if err == nil {
			var now []directory.Entry
			if now, err = directory.Query(ctx, treepath.Exact(portal.Entry.Path)); err == nil {
				found = &now[0]
			}
		}
		if errors.Is(err, directory.ErrNotFound) {
			return false, nil
		}
		return true, err
	})
	if err == nil && found == nil {
		err = fmt.Errorf("%w: the tree has ended", directory.ErrNotFound)
	}
	return found, err
}

// awaitGone returns when no actor of a name is there.
func awaitGone(ctx context.Context, name string) error {
	goes := func(e *directory.Event) bool { return e.To == directory.Gone }
	return awaitChange(ctx, name, goes, func() (bool, error) {
		all, err := present(ctx, name)
		if errors.Is(err, directory.ErrNotFound) {
			return true, nil
		}
		return err != nil || len(all) == 0, err
	})
}

// awaitChange looks at actors of a name, and again after each event that matters, until look has seen what it looks for. It
// looks once it follows, and so misses none.
func awaitChange(ctx context.Context, name string, matters func(*directory.Event) bool, look func() (done bool, err error)) error {
	follows := false
	for e, err := range directory.From(ctx).Watch(ctx, name) {
		_, behind := errors.AsType[*fault.Lagged](err)
		follows = follows || err == nil && e.Path == ""
		switch {
		case err != nil && !behind:
			return err
		case err == nil && e.Path != "" && (!follows || !matters(&e)):
			continue
		}
		if done, err := look(); done {
			return err
		}
	}
	return context.Cause(ctx)
}
