package command

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
	"github.com/seed-2ba35074/trellis/internal/life"
	"github.com/seed-2ba35074/trellis/otlp"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// planning and applying are endpoints of host serve: how the tree that it runs differs from another one, and that it
// shall become that one. The host says what differs, so that what its config says of the environments of actors does not
// leave it.
var (
	planning = contract.Func[wanted, *plan]("plan")
	applying = contract.Func[wanted, *plan]("apply")
)

// wanted is a config file that somebody has.
type wanted struct {
	Folder   string                  `json:"folder"` // of the file, absolute
	Tree     string                  `json:"tree"`   // as JSON
	Shown    string                  `json:"shown"`  // the same, with variables instead of their values
	Programs map[string]config.Built `json:"programs,omitempty"`
}

func newPlan(p *program) *cobra.Command {
	return p.joiningWithFile(planning, &cobra.Command{
		Use:   "plan",
		Short: "Show how a config file differs from what a host that serves runs",
		Long: "Show how a config file differs from what a host that serves runs, which is what host apply would change: actors\n" +
			"that are new or gone, other numbers of replicas, other settings, other programs, for which packages are built.\n" +
			"Nothing else is done. Values of environment variables are not shown, also where the file puts them elsewhere (${NAME}).\n" +
			"Other settings of fleet are shown, which the next start of the host takes; what the file says of telemetry and of the main\n" +
			"job is not compared.",
		Example: "  host plan\n  host plan --set actors.greeter.replicas=2 -o json",
		Args:    noArgs,
	})
}

func newApply(p *program) *cobra.Command {
	return p.joiningWithFile(applying, &cobra.Command{
		Use:   "apply",
		Short: "Change what a host that serves runs to what a config file says",
		Long: "Change what a host that serves runs to what a config file says, build packages for that, and wait until it is done.\n" +
			"Actors that are new are started, those that are not in the file are ended, and those with other settings or another\n" +
			"program are restarted, with those that the strategy of their supervisor restarts with them. All others go on. What\n" +
			"it hosts itself, an actor changes without a restart of its own. What could not be done is told, and the rest is done. What\n" +
			"differs of fleet, such as agents to be started, is told as well, and waits for the next start of the host.",
		Example: "  host apply\n  host apply --set actors.greeter.replicas=2",
		Args:    noArgs,
	})
}

// joiningWithFile makes a command that has a host compare its tree with the config file, or become it. The file is read
// before the host is looked for, and packages are built after that.
func (p *program) joiningWithFile(do contract.FuncEndpoint[wanted, *plan], cmd *cobra.Command) *cobra.Command {
	var tree *config.Tree
	var file wanted
	joins := p.outputFlag(p.joining(cmd, func(ctx context.Context, _ []string) (err error) {
		if file.Programs, err = p.buildPackages(ctx, file.Folder, packagesOf(tree.Actors)); err != nil {
			return err
		}
		p.progress.end()
		found, err := do.Call(ctx, life.Parent(ctx), file)
		if errors.Is(err, fault.ErrNotExposed) {
			return errors.New("the host that serves there is not host serve, but a program that has made its tree by itself: it cannot be compared with a file")
		}
		if err != nil {
			return err
		}
		return p.printPlan(found, cmd.Name() == "apply")
	}))
	join := joins.RunE
	joins.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		if tree, file, err = p.wanted(cmd.Context()); err != nil {
			return err
		}
		return join(cmd, args)
	}
	return joins
}

// printPlan prints what is to be changed, or what was. Something that could not be done makes the command fail.
func (p *program) printPlan(found *plan, done bool) (err error) {
	failed, n := found.failed(), len(found.Changes)
	switch {
	case p.output == "json":
		err = p.printJSON(found)
	case n == 0:
		_, err = fmt.Fprint(p.stdout, found)
	case done:
		_, err = fmt.Fprintf(p.stdout, "%s\n%s applied\n", found, plural(n-failed, "change"))
	default:
		_, err = fmt.Fprintf(p.stdout, "%s\nhost apply changes what runs.\n", found)
	}
	if err == nil && failed > 0 {
		err = fmt.Errorf("%s could not be done; another host apply tries again", plural(failed, "change"))
	}
	return err
}

// wanted is the tree of the program's config file, and the same for a host.
func (p *program) wanted(ctx context.Context) (*config.Tree, wanted, error) {
	var shown config.Tree
	tree, err := p.load(ctx, read.Options{Raw: &shown})
	if err != nil {
		return nil, wanted{}, err
	}
	file, err := asWanted(tree, &shown, p.settings.GetString("config"))
	return tree, file, err
}

func asWanted(tree, shown *config.Tree, file string) (wanted, error) {
	text, err := json.Marshal(tree)
	raw, errRaw := json.Marshal(shown)
	folder, errFolder := filepath.Abs(filepath.Dir(file))
	return wanted{Folder: folder, Tree: string(text), Shown: string(raw)}, errors.Join(err, errRaw, errFolder)
}

// read gives what a file says, and how that is shown, and the tree that is to run, with the programs that were built.
func (w *wanted) read() (t *trees, run config.Tree, err error) {
	t = new(trees)
	if err := errors.Join(json.Unmarshal([]byte(w.Tree), &t.are), json.Unmarshal([]byte(w.Shown), &t.shown)); err != nil {
		return nil, run, err
	}
	run = t.are
	run.Actors = withPrograms(w.Folder, t.are.Actors, w.Programs)
	t.are.Actors = withPrograms(w.Folder, t.are.Actors, nil)
	return t, run, nil
}

// planner answers for host serve. It belongs to one run. What it runs is set once, before up is closed; mu guards the
// file, which is the last one that was applied.
type planner struct {
	first wanted // the file that the tree was started with
	up    chan struct{}
	turn  chan struct{}   // cap 1: full while a file is applied, so that the last one is that which the tree has become
	ctx   context.Context //nolint:containedctx // of the run, in which foreign programs are equipped
	tree  *host.Tree

	mu   sync.Mutex
	file wanted
}

func newPlanner(file wanted) *planner {
	return &planner{first: file, file: file, up: make(chan struct{}), turn: make(chan struct{}, 1)}
}

// begin says which tree runs, once all of it is up.
func (r *planner) begin(ctx context.Context, t *host.Tree) {
	r.ctx, r.tree = ctx, t
	close(r.up)
}

// handlers are the endpoints of host serve.
func (r *planner) handlers() []contract.Handler {
	return []contract.Handler{
		planning.Handle(func(ctx context.Context, w wanted) (*plan, error) { return r.change(ctx, w, false) }).Callers("joined"),
		applying.Handle(func(ctx context.Context, w wanted) (*plan, error) { return r.change(ctx, w, true) }).Callers("joined"),
		settings.Handle(r.settings).Callers("joined"),
	}
}

// now is the file that the tree was started with, or that was applied last.
func (r *planner) now() wanted {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.file
}

// change is the handler of planning, and of applying. It waits until the tree is up: nothing can be said before. What a
// host that could not be asked has still of an older file is not shown, as the last one does not say it.
func (r *planner) change(ctx context.Context, w wanted, apply bool) (*plan, error) {
	select {
	case <-r.up:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if apply {
		select {
		case r.turn <- struct{}{}:
			defer func() { <-r.turn }()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	file := r.now()
	first, _, errFirst := r.first.read()
	have, _, errHave := file.read()
	want, run, errWant := w.read()
	if err := cmp.Or(errFirst, errHave, errWant); err != nil {
		return nil, err
	}
	run.Actors = otlp.Equip(r.ctx, run.Actors)
	do := r.tree.Plan
	if apply {
		do = r.tree.Apply
	}
	changes, err := do(ctx, run)
	if err != nil {
		return nil, err
	}
	if apply {
		r.mu.Lock()
		r.file = w
		r.mu.Unlock()
	}
	return shownPlan(first, have, want, changes), nil
}
