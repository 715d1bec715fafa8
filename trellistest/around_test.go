package trellistest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// What a plugin needs lasts as long as its service, in the tree or beside it. Its loss is the actor's failure, which comes back, and
// without it no actor comes up.
func TestWhatAPluginNeedsIsAroundItsService(t *testing.T) {
	errLost := errors.New("the connection is lost")
	for name, hosts := range map[string]bool{"alone": false, "around what it hosts": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				made, left := 0, 0
				var lose context.CancelCauseFunc
				p := greeter()
				p.Around = func(ctx context.Context, serve func(ctx context.Context) error) error {
					if made++; made > 2 {
						return errors.New("no third one")
					}
					ctx, lose = context.WithCancelCause(ctx)
					defer func() { left++ }()
					return serve(ctx)
				}
				spec := host.Spec{Name: "greeter", Command: []string{"greeter"}, Restart: config.Permanent}
				if hosts {
					p.Hosts, spec.Actors = host.Subtree, []host.Spec{{Name: "leaf", Command: []string{"leaf"}}}
				}
				leaf := greeter()
				leaf.Name = "leaf"
				programs := trellistest.NewPrograms(t, p, leaf)
				err := host.OpenTree(programs.Context(), host.Options{}, []host.Spec{spec}, func(ctx context.Context, _ *host.Tree) error {
					lose(errLost)
					for e, err := range directory.Watch(ctx, "greeter") {
						if err != nil {
							return err
						}
						if e.To == directory.Ready && e.Epoch == 2 {
							break
						}
					}
					if made != 2 || left != 1 {
						t.Errorf("%d were made, and %d let go", made, left)
					}
					lose(errLost)
					<-ctx.Done()
					return context.Cause(ctx)
				})
				if err == nil || !strings.Contains(err.Error(), "no third one") {
					t.Errorf("got %v, want what was needed in vain", err)
				}
				if left != 2 {
					t.Errorf("%d were made, and %d let go", made, left)
				}
			})
		})
	}
}
