package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/terminal"
	"github.com/seed-2ba35074/trellis/otlp"
)

func newDev(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dev [FOLDER]",
		Short: "Run a plugin, or the tree of a config file, and restart what is saved",
		Long: "Build and serve the plugin in FOLDER, or the tree of the config file, without its main job, and watch the files that\n" +
			"its packages are built from, as far as they are in the main module. When some are saved, build the packages that they belong\n" +
			"to, and restart the actors whose programs have become others, as Tree.Apply does. What does not build is told, and the old\n" +
			"processes go on. A config file that is saved is applied. When the tree ends by itself, the next save starts it again.\n\n" +
			"Other programs of this user can join it, and so can host call, stream and open; the actor of FOLDER has its name, and takes\n" +
			"their calls. Logs are for people.",
		Example: "  host dev ./plugins/greeter\n  host dev ./plugins/greeter --set actors.greeter.debug=true\n  host dev -c config.yaml",
		Args:    withArgs(0, 1),
	}
	at := atFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkAddress("--at", *at); err != nil {
			return err
		}
		folder, err := filepath.Abs(strings.Join(args, ""))
		if err != nil {
			return err
		}
		d := &dev{p: p, at: *at, stale: map[string]bool{}, built: map[string]config.Built{}}
		if d.dir = folder; len(args) == 0 {
			if d.file, err = filepath.Abs(p.settings.GetString("config")); err != nil {
				return err
			}
			d.dir = filepath.Dir(d.file)
		}
		return explain(cmd.Context(), d.run(cmd.Context()))
	}
	return cmd
}

// dev is one run of host dev. It is its goroutine's alone.
type dev struct {
	p       *program
	at      string
	dir     string // that packages are relative to
	file    string // the config; "": the plugin in dir is the tree
	tree    *config.Tree
	stale   map[string]bool         // packages that were saved since they were built
	built   map[string]config.Built // by package
	sources *sources
}

// run serves the tree, and again when that has ended and something was saved. What is wrong at the very beginning is
// not waited for.
func (d *dev) run(ctx context.Context) (err error) {
	defer d.p.progress.end()
	defer d.p.sayFarewell(ctx)()
	if err := d.load(ctx); err != nil {
		return err
	}
	if d.sources, err = watchSources(d.dir, d.file); err != nil {
		return err
	}
	defer d.sources.close()
	if err := d.linkSooner(ctx); err != nil {
		return err
	}
	if err := d.sources.watch(ctx, packagesOf(d.tree.Actors)); err != nil {
		return err
	}
	for {
		err := d.serve(ctx)
		if ctx.Err() != nil || errors.Is(err, host.ErrServed) {
			return err
		}
		d.tell(err)
		d.p.progress.step("not serving; the next save starts it again, Ctrl-C ends it")
		for again := false; !again; {
			if err := d.await(ctx); err != nil {
				return err
			}
			again = true
			if err := d.load(ctx); err != nil {
				d.tell(err)
				again = false
			}
		}
	}
}

// linkSooner leaves out what only debuggers read, unless an actor has one or GOFLAGS says how to link: that takes half of
// the time of a build. Traces of panics are the same without.
func (d *dev) linkSooner(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "env", "GOFLAGS")
	cmd.Dir, cmd.WaitDelay = d.dir, time.Second
	out, err := cmd.Output()
	flags := strings.TrimSpace(string(out))
	if err != nil || strings.Contains(flags, "-ldflags") || debugged(d.tree.Actors) {
		return err
	}
	return os.Setenv("GOFLAGS", strings.TrimSpace(flags+" -ldflags=-w"))
}

func debugged(actors []config.Actor) bool {
	return slices.ContainsFunc(actors, func(a config.Actor) bool { return a.Debug || debugged(a.Actors) })
}

func (d *dev) tell(err error) { _, _ = fmt.Fprintf(d.p.progress, "%+v\n", err) } // nowhere left to report to

// load reads the tree, without its main job.
func (d *dev) load(ctx context.Context) (err error) {
	var tree *config.Tree
	if d.file != "" {
		tree, err = d.p.load(ctx, read.Options{})
	} else {
		tree, err = d.plugin()
	}
	if err != nil {
		return err
	}
	if err := completeTelemetry(tree); err != nil {
		return err
	}
	tree.Run = nil
	d.tree = tree
	for _, pkg := range packagesOf(tree.Actors) {
		if _, known := d.built[pkg]; !known {
			d.stale[pkg] = true
		}
	}
	return nil
}

// notInNames is what actors' names do not have.
var notInNames = regexp.MustCompile(`[^a-z0-9_-]+`)

// plugin is the tree of one plugin, which takes calls from programs that join.
func (d *dev) plugin() (*config.Tree, error) {
	name := notInNames.ReplaceAllString(strings.ToLower(filepath.Base(d.dir)), "-")
	if name = strings.Trim(name, "-_"); name == "" {
		name = "plugin"
	}
	text := fmt.Sprintf("actors: [{name: %q, package: %q, callers: [parent, joined]}]", name, strings.ReplaceAll(d.dir, "$", "$$"))
	return read.Parse(d.dir, []byte(text), read.Options{Set: d.p.set})
}

func packagesOf(actors []config.Actor) (all []string) {
	for _, a := range actors {
		if a.Package != "" {
			all = append(all, a.Package)
		}
		all = append(all, packagesOf(a.Actors)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// serve builds and runs the tree until that ends.
func (d *dev) serve(ctx context.Context) (err error) {
	if err := d.build(ctx); err != nil {
		return err
	}
	machines, err := d.p.fleetOf(d.tree)
	if err != nil {
		return err
	}
	leave, err := d.p.registryOf(ctx, d.tree, machines)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, leave()) }()
	options := host.Options{Supervision: d.tree.Supervision, Telemetry: d.tree.Telemetry, Hurry: d.p.signals.hurry, Serve: d.at, Fleet: machines}
	d.p.progress.step("starting " + plural(countProcesses(d.tree.Actors), "process"))
	return otlp.Run(ctx, d.tree.Telemetry, func(ctx context.Context) error {
		return host.OpenTree(ctx, options, otlp.Equip(ctx, withPrograms(d.dir, d.tree.Actors, d.built)), d.follow)
	})
}

// follow has a tree run what is saved, until that or the tree ends.
func (d *dev) follow(ctx context.Context, t *host.Tree) error {
	for {
		d.p.progress.step("serving; a save builds and restarts, Ctrl-C ends it")
		if err := d.await(ctx); err != nil {
			return err
		}
		if err := d.refresh(ctx, t); err != nil && ctx.Err() == nil {
			d.tell(err)
		}
	}
}

// await returns when something was saved.
func (d *dev) await(ctx context.Context) error {
	saved, err := d.sources.await(ctx)
	for _, pkg := range saved {
		d.stale[pkg] = true
	}
	return err
}

// refresh has the tree run what was saved.
func (d *dev) refresh(ctx context.Context, t *host.Tree) error {
	begun := time.Now()
	if err := d.load(ctx); err != nil {
		return fmt.Errorf("%w\nnothing was changed", err)
	}
	if err := d.build(ctx); err != nil {
		return fmt.Errorf("%w\nthe old processes go on", err)
	}
	want := *d.tree
	want.Actors = otlp.Equip(ctx, withPrograms(d.dir, d.tree.Actors, d.built))
	changes, err := t.Apply(ctx, want)
	if err == nil {
		_, err = fmt.Fprintf(d.p.progress, "%sdone in %v\n", told(changes), time.Since(begun).Round(time.Millisecond))
	}
	return err
}

// told is what has been done, a line for each actor.
func told(changes []host.Change) string {
	var out strings.Builder
	for _, c := range changes {
		failed := ""
		if c.Err != nil {
			failed = " failed: " + terminal.Line(c.Err.Error())
		}
		fmt.Fprintf(&out, "%s: %s%s\n", cmp.Or(c.Path, "the host"), c.Do, failed)
	}
	return cmp.Or(out.String(), "nothing to do\n")
}

// build builds what is stale, and looks anew from which files packages are built.
func (d *dev) build(ctx context.Context) error {
	stale := slices.Sorted(maps.Keys(d.stale))
	if len(stale) == 0 {
		return nil
	}
	var unknown error
	listing := task.Start(func() { unknown = d.sources.watch(ctx, stale) }) // beside it: a save is to be served soon
	programs, err := d.p.buildPackages(ctx, d.dir, stale)
	listing.Wait()
	if err = cmp.Or(err, unknown); err != nil {
		return err
	}
	maps.Copy(d.built, programs)
	for pkg := range programs {
		delete(d.stale, pkg)
	}
	return nil
}
