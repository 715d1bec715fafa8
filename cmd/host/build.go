package main

import (
	"context"
	"fmt"
	"path/filepath"
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
	return host.Build(ctx, dir, tree.Actors, b.tell)
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
