package host_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

var (
	// noted is a leaf's task that notes who has cancelled it.
	noted = contract.Context[none, none, none, none, none]("noted")
	// relayed is noted of a leaf that its handler starts itself; the leaf is an argument.
	relayed = contract.Context[host.Spec, none, none, none, none]("relayed")
)

func init() {
	role("noting", func() {
		sdk.Serve(noted.Handle(func(ctx context.Context, n none, c *contract.Callee[none, none, none]) (none, error) {
			if err := c.Started(n); err != nil {
				return n, err
			}
			<-ctx.Done()
			cancelled, _ := fault.Cancelled(context.Cause(ctx))
			note(fmt.Sprint(cancelled))
			return n, ctx.Err()
		}))
	})
	role("relaying", func() {
		sdk.Serve(relayed.Handle(serveRelayed))
	})
	role("relaying tree", func() { sdk.Plugin{Hosts: holdsItsLeaf}.Serve() })
}

// openNoted holds a task of a leaf until it ends.
func openNoted(ctx context.Context, leaf contract.Portal, running func()) error {
	_, err := noted.Open(ctx, leaf, none{}, func(ctx context.Context, _ *contract.Opener[none, none, none, none]) error {
		running()
		<-ctx.Done()
		return ctx.Err()
	})
	return err
}

func serveRelayed(ctx context.Context, leaf host.Spec, c *contract.Callee[none, none, none]) (none, error) {
	return none{}, host.OpenNursery(ctx, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p, err := n.Start(ctx, leaf)
		if err != nil {
			return err
		}
		return openNoted(ctx, p, func() { _ = c.Started(none{}) })
	})
}

// holdsItsLeaf is host.Subtree with a task in the leaf that nothing but the end of the
// leaf ends.
func holdsItsLeaf(ctx context.Context, tree []byte, serve func(context.Context) error) error {
	var held *task.Worker
	err := host.Subtree(ctx, tree, func(ctx context.Context) error {
		p, err := host.FromContext(ctx).Portal("leaf")
		if err != nil {
			return err
		}
		running := make(chan struct{})
		held = task.Start(func() { _ = openNoted(context.WithoutCancel(ctx), p, func() { close(running) }) })
		<-running
		return serve(ctx)
	})
	held.Wait()
	return err
}

// TestC11_CancellerIsWhoAskedFirst: an actor that is cancelled cancels others, and on
// every way that reaches them they hear of the first one. One way is the context into the
// leaf, the other one the end of the leaf's nursery; whichever is faster.
func TestC11_CancellerIsWhoAskedFirst(t *testing.T) {
	parallel(t)
	const unneeded = "it is not needed any more"
	for name, ask := range map[string]func(ctx context.Context, n *host.Nursery, p *host.Portal) error{
		"portal":  func(ctx context.Context, _ *host.Nursery, p *host.Portal) error { return p.Cancel(ctx, unneeded) },
		"nursery": func(_ context.Context, n *host.Nursery, _ *host.Portal) error { n.Cancel(); return nil },
	} {
		reason := map[string]string{"portal": unneeded, "nursery": "its nursery was cancelled"}[name]
		t.Run(name+" of a nursery in a handler", func(t *testing.T) {
			leaf, read := diary(t, "noting")
			const times = 8
			_, err := open(t, host.Options{Name: "root"}, func(ctx context.Context, n *host.Nursery) error {
				p, err := n.Start(ctx, spec(t, "mid", "relaying"))
				if err != nil {
					return err
				}
				var running task.Group
				for range times {
					started := make(chan struct{})
					n.Go(func() {
						_, _ = relayed.Open(context.WithoutCancel(ctx), p, leaf, func(ctx context.Context, _ *contract.Opener[none, none, none, none]) error {
							close(started)
							<-ctx.Done()
							return ctx.Err()
						})
					})
					running.Go(func() { <-started })
				}
				running.Close()
				return ask(ctx, n, p)
			})
			checkCanceller(t, err, read(), reason, times)
		})
		t.Run(name+" of an actor with a tree", func(t *testing.T) {
			leaf, read := diary(t, "noting")
			leaf.Name = "leaf"
			mid := spec(t, "mid", "relaying tree")
			mid.Actors = []host.Spec{leaf}
			_, err := open(t, host.Options{Name: "root"}, func(ctx context.Context, n *host.Nursery) error {
				p, err := n.Start(ctx, mid)
				if err != nil {
					return err
				}
				return ask(ctx, n, p)
			})
			checkCanceller(t, err, read(), reason, 1)
		})
	}
}

func checkCanceller(t *testing.T, err error, notes, reason string, times int) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(notes), "\n")
	if err != nil || len(lines) != times || slices.ContainsFunc(lines, func(s string) bool {
		return !strings.HasPrefix(s, "cancelled by root@") || !strings.Contains(s, reason)
	}) {
		t.Errorf("the nursery gave %v; want root %d times, because %s, got:\n%s", err, times, reason, notes)
	}
}
