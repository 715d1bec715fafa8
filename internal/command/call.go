package command

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/host"
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
	return p.outputFlag(p.calling("func", &cobra.Command{
		Use:   "call NAME ENDPOINT [JSON]",
		Short: "Call a func of an actor of a host that serves, and print its result",
		Long: "Call a func of an actor of a host that serves, and print its result. NAME is that of an actor,\n" +
			"or its path; one that is just starting again is waited for (--wait). The arguments are JSON, {} if there are none;\n" +
			"- reads them from standard input.",
		Args: withArgs(2, 3),
	}, func(ctx context.Context, portal *directory.Portal, endpoint string, args json.RawMessage) error {
		result, err := contract.FuncByHand(endpoint).Call(ctx, portal, args)
		if err != nil {
			return err
		}
		return p.print(result)
	}))
}

func newStream(p *program) *cobra.Command {
	return p.calling("source", &cobra.Command{
		Use:   "stream NAME ENDPOINT [JSON]",
		Short: "Print what a source of an actor of a host that serves yields",
		Long: "Print what a source of an actor of a host that serves yields, one JSON value a line. The source\n" +
			"ends when nobody reads standard output any more, as behind | head -3. An actor that is just starting again is\n" +
			"waited for (--wait).",
		Args: withArgs(2, 3),
	}, func(ctx context.Context, portal *directory.Portal, endpoint string, args json.RawMessage) error {
		for message, err := range contract.SourceByHand(endpoint).Stream(ctx, portal, args) {
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

// calling makes a command that calls an endpoint of a kind.
func (p *program) calling(kind string, cmd *cobra.Command, do func(ctx context.Context, portal *directory.Portal, endpoint string, args json.RawMessage) error) *cobra.Command {
	patience := cmd.Flags().Duration("wait", 5*time.Second, "how long an actor is waited for that is there and not ready, such as 1m; 0: not at all")
	return p.joining(completing(kind, cmd), func(ctx context.Context, args []string) error {
		payload, err := arguments(args[2:])
		if err != nil {
			return err
		}
		portal, err := p.callee(ctx, args[0], *patience)
		if err != nil {
			return err
		}
		if err := serves(&portal.Entry, args[1], kind); err != nil {
			return err
		}
		err = do(ctx, portal, args[1], payload)
		if _, misfit := errors.AsType[*fault.ContractError](err); misfit && len(args) == 2 {
			p.progress.step("no arguments were given, and so they are {}; host describe " + portal.Entry.Path + " says what it takes")
		}
		return err
	})
}

// callee finds the actor of a call. One that is there, as between two processes, is waited for.
func (p *program) callee(ctx context.Context, name string, patience time.Duration) (*directory.Portal, error) {
	portal, err := directory.Find(ctx, name)
	if patience <= 0 || !errors.Is(err, directory.ErrNotFound) {
		return portal, err
	}
	coming, failed := comes(ctx, name)
	if coming == nil {
		return nil, cmp.Or(failed, err)
	}
	p.progress.step(fmt.Sprintf("waiting for %s, which is %s", coming.Path, coming.State))
	limited, stop := context.WithTimeoutCause(ctx, patience, &lateError{patience, coming.Path + " has not become ready", "--wait"})
	defer stop()
	matters := func(e *directory.Event) bool { return e.To.Callable() || e.To == directory.Gone }
	failed = awaitChange(limited, name, matters, func() (bool, error) {
		if portal, err = directory.Find(limited, name); !errors.Is(err, directory.ErrNotFound) {
			return true, err
		}
		coming, failed := comes(limited, name)
		return coming == nil && failed == nil, err // what has failed is that the time is over, or the host
	})
	return portal, late(limited, cmp.Or(failed, err))
}

// comes is an actor of a name that is not ready, and may become so; nil if there is none.
func comes(ctx context.Context, name string) (*directory.Entry, error) {
	all, err := directory.Query(ctx, name)
	if errors.Is(err, directory.ErrNotFound) {
		return nil, nil //nolint:nilnil // as said above
	}
	i := slices.IndexFunc(all, func(e directory.Entry) bool {
		return e.State != directory.Gone && e.State != directory.Standby && !e.Last.Joined
	})
	if err != nil || i < 0 {
		return nil, err
	}
	return &all[i], nil
}

// serves is why an actor cannot be called at an endpoint: one of another kind, or that is not there, is known before
// it is called.
func serves(e *directory.Entry, endpoint, kind string) error {
	var names []string
	for _, known := range e.Endpoints {
		if known.Name == endpoint && known.Kind != kind {
			return &usageError{fmt.Errorf("%s of %s is a %s; use %s", words.Quote(endpoint), e.Path, known.Kind, commandFor[known.Kind])}
		}
		names = append(names, known.Name)
	}
	if !slices.Contains(names, endpoint) {
		return &absentError{fmt.Errorf("%s serves no endpoint %s; it serves %s%s", e.Path, words.Quote(endpoint),
			orNone(words.List(names, ", ")), words.DidYouMean(endpoint, names))}
	}
	return nil
}

// absentError is the failure of a command that names an endpoint, or an actor, which is not there.
type absentError struct{ error }

func newWait(p *program) *cobra.Command {
	var state string
	var why error // nobody was there
	join := func(s *site, ctx context.Context, do func(context.Context) error) error {
		nobody := fmt.Errorf("%w: %s", host.ErrNoHost, s.at)
		var joined atomic.Bool
		defer p.progress.pulse(func() string {
			if !p.progress.drawn || joined.Load() {
				return ""
			}
			return "waiting: " + nobody.Error()
		})()
		err := s.joinLater(ctx, func(ctx context.Context) error {
			joined.Store(true)
			return do(ctx)
		})
		if !joined.Load() {
			why = nobody
		}
		if _, is := errors.AsType[*lateError](err); is && why != nil {
			err = fmt.Errorf("%w; %w", err, why)
		}
		return err
	}
	cmd := p.outputFlag(p.joiningBy(join, completing("", &cobra.Command{
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
		missing := p.missing(ctx, args[0])
		found, err := await(ctx, args[0])
		if why = missing(); err != nil || found == nil {
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

// missing looks, at once and now and then until stop is called, why an actor cannot be called that is waited for. A terminal
// shows it, so that nobody waits for a name that is misspelt; stop gives what was seen last, nil if the actor was ready.
func (p *program) missing(ctx context.Context, name string) (stop func() error) {
	var why error // of one look at a time: the first one, those of the pulse, and stop when they have ended
	look := func() string {
		if _, err := directory.Find(ctx, name); ctx.Err() == nil {
			why = err
		}
		if why == nil || !p.progress.drawn {
			return ""
		}
		return "waiting: " + fault.Line(why)
	}
	look()
	end := p.progress.pulse(look)
	return func() error {
		end()
		p.progress.end()
		return why
	}
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
