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
}

func newPlan(p *program) *cobra.Command {
	return p.outputFlag(p.joiningWithFile(&cobra.Command{
		Use:   "plan",
		Short: "Show how a config file differs from what a host that serves runs",
		Long: "Show how a config file differs from what a host that serves runs: actors that are new or gone, other numbers of\n" +
			"replicas, other settings. Nothing is changed. Values of environment variables are not shown, and whether a\n" +
			"package would be built anew is not looked at.",
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
		tree, err := p.load(cmd.Context(), read.Options{})
		if err != nil {
			return err
		}
		if file, err = asWanted(tree, p.settings.GetString("config")); err != nil {
			return err
		}
		return join(cmd, args)
	}
	return joins
}

func asWanted(tree *config.Tree, file string) (w wanted, err error) {
	text, err := json.Marshal(tree)
	if err == nil {
		w.Tree = string(text)
		w.Folder, err = filepath.Abs(filepath.Dir(file))
	}
	return w, err
}

// planner answers for host serve. It belongs to one run. Its file is what that was started with; its tree is set
// once, before up is closed.
type planner struct {
	file wanted
	up   chan struct{}
	tree *host.Tree
}

func newPlanner() *planner { return &planner{up: make(chan struct{})} }

// begin says which tree runs, once all of it is up.
func (r *planner) begin(t *host.Tree) {
	r.tree = t
	close(r.up)
}

// handlers are the endpoints of host serve.
func (r *planner) handlers() []contract.Handler {
	return []contract.Handler{planning.Handle(r.plan).Callers("joined")}
}

// plan is the handler of planning. It waits until the tree is up: nothing can be said before.
func (r *planner) plan(ctx context.Context, w wanted) (*plan, error) {
	select {
	case <-r.up:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	var have, want config.Tree
	if err := errors.Join(json.Unmarshal([]byte(r.file.Tree), &have), json.Unmarshal([]byte(w.Tree), &want)); err != nil {
		return nil, err
	}
	if err := want.Check(); err != nil {
		return nil, err
	}
	if w.Folder != r.file.Folder {
		anchor(have.Actors, r.file.Folder)
		anchor(want.Actors, w.Folder)
	}
	return difference(&have, &want, r.running), nil
}

func anchor(actors []config.Actor, folder string) {
	for i := range actors {
		actors[i] = actors[i].Anchored(folder)
	}
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
