package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
	"github.com/seed-2ba35074/trellis/internal/life"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// planning is an endpoint of host serve: how the tree that it runs differs from another one. The host compares,
// so that what its config says of the environments of actors does not leave it.
var planning = contract.Func[wanted, *plan]("plan")

// wanted is a config file that somebody has.
type wanted struct {
	Folder string `json:"folder"` // of the file, absolute
	Tree   string `json:"tree"`   // as JSON
	Shown  string `json:"shown"`  // the same, with variables instead of their values
}

func newPlan(p *program) *cobra.Command {
	return p.outputFlag(p.joiningWithFile(&cobra.Command{
		Use:   "plan",
		Short: "Show how a config file differs from what a host that serves runs",
		Long: "Show how a config file differs from what a host that serves runs: actors that are new or gone, other numbers of\n" +
			"replicas, other settings. Nothing is changed. Values of environment variables are not shown, also where the file\n" +
			"puts them elsewhere (${NAME}), and whether a package would be built anew is not looked at.",
		Example: "  host plan\n  host plan --set actors.greeter.replicas=2 -o json",
		Args:    noArgs,
	}, func(_ context.Context, found *plan) error {
		if p.output == "json" {
			return p.printJSON(found)
		}
		_, err := fmt.Fprint(p.stdout, found)
		return err
	}))
}

func newApply(p *program) *cobra.Command {
	return p.outputFlag(p.joiningWithFile(&cobra.Command{
		Use:   "apply",
		Short: "Change what a host that serves runs to what a config file says",
		Long: "Change what a host that serves runs to what a config file says, and wait for that: start replicas, and end those\n" +
			"that are too many, and actors that are not in the file. What else differs (host plan shows it) only a new start\n" +
			"of host serve changes; if there is any of that, nothing is done.",
		Example: "  host apply\n  host apply --set actors.greeter.replicas=2",
		Args:    noArgs,
	}, func(ctx context.Context, found *plan) error {
		if stays := found.beyondApply(); len(stays) > 0 {
			return fmt.Errorf("nothing was changed, since not all can be while the host runs: start host serve again, or undo these changes: %s", strings.Join(stays, ", "))
		}
		for _, c := range found.Changes {
			p.progress.step(fmt.Sprintf("%s: from %s to %d", c.Actor, plural(*c.From, "replica"), *c.To))
			if _, err := order(ctx, wire.OrderRequest{Do: wire.OrderScale, Name: c.Actor, Replicas: *c.To}); err != nil {
				return err
			}
		}
		if p.output == "json" {
			return p.printJSON(found)
		}
		_, err := fmt.Fprintf(p.stdout, "%s\n", applied(len(found.Changes)))
		return err
	}))
}

func applied(n int) string {
	if n == 0 {
		return "no difference"
	}
	return plural(n, "change") + " applied"
}

// joiningWithFile makes a command that compares its config file with what a host runs. The file is read before the
// host is looked for.
func (p *program) joiningWithFile(cmd *cobra.Command, do func(ctx context.Context, found *plan) error) *cobra.Command {
	var file wanted
	joins := p.joining(cmd, func(ctx context.Context, _ []string) error {
		found, err := planning.Call(ctx, life.Parent(ctx), file)
		if errors.Is(err, fault.ErrNotExposed) {
			return errors.New("the host that serves there is not host serve, but a program that has made its tree by itself: it cannot be compared with a file")
		}
		if err != nil {
			return err
		}
		return do(ctx, found)
	})
	join := joins.RunE
	joins.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		if _, file, err = p.wanted(cmd.Context()); err != nil {
			return err
		}
		return join(cmd, args)
	}
	return joins
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
	return wanted{folder, string(text), string(raw)}, errors.Join(err, errRaw, errFolder)
}

// read gives what a file says, and how that is shown. Paths are those of the file's folder if that is not the same as
// another one.
func (w *wanted) read(beside string) (t trees, err error) {
	err = errors.Join(json.Unmarshal([]byte(w.Tree), &t.are), json.Unmarshal([]byte(w.Shown), &t.shown))
	if err == nil {
		err = t.are.Check()
	}
	if w.Folder != beside {
		for i := range t.are.Actors {
			t.are.Actors[i] = t.are.Actors[i].Anchored(w.Folder)
		}
	}
	return t, err
}

// planner answers for host serve. It belongs to one run. Its file is what that was started with; its tree is set
// once, before up is closed.
type planner struct {
	file wanted
	up   chan struct{}
	tree *host.Tree
}

func newPlanner(file wanted) *planner { return &planner{file: file, up: make(chan struct{})} }

// begin says which tree runs, once all of it is up.
func (r *planner) begin(t *host.Tree) {
	r.tree = t
	close(r.up)
}

// handlers are the endpoints of host serve.
func (r *planner) handlers() []contract.Handler {
	return []contract.Handler{planning.Handle(r.plan).Callers("joined"), settings.Handle(r.settings).Callers("joined")}
}

// plan is the handler of planning. It waits until the tree is up: nothing can be said before.
func (r *planner) plan(ctx context.Context, w wanted) (*plan, error) {
	select {
	case <-r.up:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	have, errHave := r.file.read(w.Folder)
	want, errWant := w.read(r.file.Folder)
	if err := errors.Join(errHave, errWant); err != nil {
		return nil, err
	}
	return difference(&have, &want, r.running), nil
}

// running is how many replicas of an actor there are, those that are between two processes included.
func (r *planner) running(name string) (n int) {
	all, err := r.tree.Portals(name)
	if err != nil {
		return 0 // there are none
	}
	for _, p := range all {
		if p.State() != directory.Gone {
			n++
		}
	}
	return n
}
