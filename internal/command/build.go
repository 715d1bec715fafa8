package command

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
)

// build builds the tree's packages, if it has any, and shows how far that is: the
// first time may take minutes.
func (p *program) build(ctx context.Context, tree *config.Tree) ([]host.Spec, error) {
	return p.buildIn(ctx, filepath.Dir(p.settings.GetString("config")), tree)
}

func (p *program) buildIn(ctx context.Context, dir string, tree *config.Tree) ([]host.Spec, error) {
	b := &building{progress: p.progress, begun: time.Now()}
	defer p.progress.pulse(b.text)()
	actors, err := host.Build(ctx, dir, tree.Actors, b.tell)
	return adopted(actors), err
}

// buildPackages builds packages of a folder, and gives what became of each.
func (p *program) buildPackages(ctx context.Context, dir string, packages []string) (map[string]config.Built, error) {
	alone := &config.Tree{}
	for n, pkg := range packages {
		alone.Actors = append(alone.Actors, config.Actor{Name: fmt.Sprintf("p%d", n), Package: pkg})
	}
	actors, err := p.buildIn(ctx, dir, alone)
	if err != nil {
		return nil, err
	}
	all := map[string]config.Built{}
	for _, a := range actors {
		all[a.Built.Package] = *a.Built
	}
	return all, nil
}

// withPrograms are actors of a folder with what was built in the place of their packages, and with absolute paths.
func withPrograms(dir string, actors []config.Actor, programs map[string]config.Built) []config.Actor {
	out := make([]config.Actor, len(actors))
	for i, a := range actors {
		if b, is := programs[a.Package]; is {
			a.Built, a.Command, a.Package = &b, []string{b.Program}, ""
		}
		a.Actors = withPrograms(dir, a.Actors, programs)
		out[i] = adopt(a.Anchored(dir))
	}
	return out
}

// adopted are actors with this program around each MCP server.
func adopted(actors []config.Actor) []config.Actor {
	out := make([]config.Actor, len(actors))
	for i, a := range actors {
		a.Actors = adopted(a.Actors)
		out[i] = adopt(a)
	}
	return out
}

// adopt makes of an MCP server the plugin that this program is around it.
func adopt(a config.Actor) config.Actor {
	if a.MCP == nil {
		return a
	}
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0] // it is found as it was
	}
	a.Command, a.MCP = slices.Concat([]string{self, mcpPlugin}, a.Command), nil
	return a
}

// building is how far a build is.
type building struct {
	progress *progress
	begun    time.Time

	mu       sync.Mutex
	step     host.BuildStep
	compiled int
}

// tell takes the next step.
func (b *building) tell(step host.BuildStep) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.step = step
	switch {
	case step.Line == "" && step.Number == 1:
		b.progress.step("building " + plural(step.Of, "package"))
	case step.Line != "" && !strings.HasPrefix(step.Line, "go: "):
		b.compiled++
	}
}

// text is the step in one line; "" if there is nothing to build.
func (b *building) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.step.Of == 0 {
		return ""
	}
	text := fmt.Sprintf("building %s (%d of %d), %v", b.step.Package, b.step.Number, b.step.Of, time.Since(b.begun).Round(time.Second))
	if b.compiled > 0 {
		text += fmt.Sprintf(", %s compiled", plural(b.compiled, "package"))
	}
	if b.step.Line != "" {
		text += ": " + b.step.Line
	}
	return text
}
