package host_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/control"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/rundir"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// either are the options of a program that serves, or joins whoever does.
func either(name string) host.Options {
	o := serving()
	o.Name, o.OrJoin = name, true
	return o
}

// D04: of programs that begin at once, one serves and all others join it: they are in one tree, and find each other.
func TestD04_OneServesOrJoins(t *testing.T) {
	tempdir.Use(t)
	const programs = 6
	var served int
	var mu sync.Mutex
	var here, joined, all sync.WaitGroup
	here.Add(programs)
	joined.Add(programs - 1)
	for n := range programs {
		name, serves := fmt.Sprint("p", n), false
		body := func(ctx context.Context, _ *host.Nursery) error {
			here.Done()
			here.Wait() // nobody leaves before all have come
			path := directory.Here(ctx)
			if serves = path == ""; serves {
				mu.Lock()
				served++
				mu.Unlock()
				joined.Wait() // whoever has not left would be told of the end
				return nil
			}
			entries, err := directory.Query(ctx, "")
			if path != name || len(entries) < 1 || err != nil {
				t.Errorf("D04: %s is at %q, and sees %v, %v", name, path, entries, err)
			}
			p, err := directory.Find(ctx, name)
			if err != nil {
				return err
			}
			if s, err := echo.Call(ctx, p, name); err != nil || s != name {
				t.Errorf("D04: %s calls itself through the tree: %q, %v", name, s, err)
			}
			return nil
		}
		all.Go(func() {
			if err := host.OpenNursery(t.Context(), either(name), body); err != nil {
				t.Errorf("D04: %s: %v", name, err)
			}
			if !serves {
				joined.Done()
			}
		})
	}
	all.Wait()
	if served != 1 {
		t.Errorf("D04: %d serve", served)
	}
}

// D04: when the one that serves ends, a program that has joined it is told, and serves the next time.
func TestD04_TheNextOneServes(t *testing.T) {
	tempdir.Use(t)
	first, end := context.WithCancel(t.Context())
	serves, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		err := host.OpenNursery(first, either("first"), func(ctx context.Context, _ *host.Nursery) error {
			close(serves)
			<-ctx.Done()
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("D04: the first one: %v", err)
		}
	}()
	<-serves
	err := host.OpenNursery(t.Context(), either("second"), func(ctx context.Context, _ *host.Nursery) error {
		if here := directory.Here(ctx); here != "second" {
			t.Errorf("D04: the second one is at %q", here)
		}
		end()
		<-ctx.Done()
		return nil
	})
	if asked, ok := fault.Cancelled(err); !ok || asked.Canceller.Name != "first" {
		t.Errorf("D04: the second one was told %v", err)
	}
	<-over
	err = host.OpenNursery(t.Context(), either("second"), func(ctx context.Context, _ *host.Nursery) error {
		if here := directory.Here(ctx); here != "" {
			t.Errorf("D04: nobody else serves, and it is at %q", here)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// D04: a host that has the address, and cannot be reached there, is not tried for ever.
func TestD04_AHostWithoutItsSocket(t *testing.T) {
	tempdir.Use(t)
	path, err := rundir.Socket("default")
	if err != nil {
		t.Fatal(err)
	}
	release, err := rundir.Occupy(path)
	if err != nil {
		t.Fatal(err)
	}
	defer release(false)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		err := host.OpenNursery(ctx, either("second"), func(context.Context, *host.Nursery) error {
			t.Error("D04: it is in a tree")
			return nil
		})
		if !errors.Is(err, host.ErrNoHost) || !errors.Is(err, host.ErrServed) {
			t.Errorf("D04: the address is taken, and nobody listens there: %v", err)
		}
	})
}

// D04: whoever is about to join a host that ends meanwhile, in whatever way, serves itself.
func TestD04_TheHostEndsMeanwhile(t *testing.T) {
	boot := func(lease time.Duration) *wire.BootRequest {
		return &wire.BootRequest{
			Self: wire.FromID(actor.NewID("second")), Parent: wire.FromID(actor.NewID("first")), Path: "second", Broker: 1, Lease: int64(lease),
		}
	}
	for how, end := range map[string]func(ctx context.Context, c *control.Caller) error{
		"it refuses": func(ctx context.Context, c *control.Caller) error {
			c.Refuse(ctx, &fault.NurseryClosed{}, actor.NewID("first"))
			return nil
		},
		"its ctx ends": func(ctx context.Context, c *control.Caller) error {
			c.Refuse(ctx, context.Canceled, actor.NewID("first"))
			return nil
		},
		"it cuts the connection": func(_ context.Context, c *control.Caller) error {
			c.Close()
			return nil
		},
		"it cuts the link": func(ctx context.Context, c *control.Caller) error {
			link, err := c.Admit(ctx, boot(0))
			if err == nil {
				link.Abort()
			}
			return err
		},
		"it cuts the link before anything could begin": func(ctx context.Context, c *control.Caller) error {
			link, err := c.Admit(ctx, boot(time.Minute))
			if err == nil {
				link.Abort()
			}
			return err
		},
	} {
		t.Run(how, func(t *testing.T) {
			tempdir.Use(t)
			first, err := control.Listen("default")
			if err != nil {
				t.Fatal(err)
			}
			var ending sync.WaitGroup
			ending.Go(func() {
				c, err := first.Accept()
				if err == nil {
					_, err = c.Hear(t.Context())
				}
				first.Close()
				if err == nil {
					err = end(t.Context(), c)
				}
				if err != nil {
					t.Error(err)
				}
			})
			defer ending.Wait()
			if err := host.OpenNursery(t.Context(), either("second"), isRoot(t)); err != nil {
				t.Errorf("D04: %v", err)
			}
		})
	}
}

func isRoot(t *testing.T) func(ctx context.Context, _ *host.Nursery) error {
	return func(ctx context.Context, _ *host.Nursery) error {
		if here := directory.Here(ctx); here != "" {
			t.Errorf("D04: nobody else serves, and it is at %q", here)
		}
		return nil
	}
}

// D04: programs that come while one ends all run what they are to, in its tree, or their own, or the next one's.
func TestD04_TheyComeAsOneEnds(t *testing.T) {
	for range 20 {
		tempdir.Use(t)
		first, end := context.WithCancel(t.Context())
		serves := make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() {
			_ = host.OpenNursery(first, either("first"), func(ctx context.Context, _ *host.Nursery) error {
				close(serves)
				<-ctx.Done()
				return nil
			})
		})
		<-serves
		ran := make([]bool, 3)
		for n := range ran {
			all.Go(func() {
				_ = host.OpenNursery(t.Context(), either(fmt.Sprint("next", n)), func(context.Context, *host.Nursery) error {
					ran[n] = true
					return nil
				})
			})
		}
		end()
		all.Wait()
		if slices.Contains(ran, false) {
			t.Fatalf("D04: have run: %v", ran)
		}
	}
}
