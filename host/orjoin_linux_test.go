package host_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
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
		name := fmt.Sprint("p", n)
		body := func(ctx context.Context, _ *host.Nursery) error {
			here.Done()
			here.Wait() // nobody leaves before all have come
			path := directory.Here(ctx)
			if path == "" {
				mu.Lock()
				served++
				mu.Unlock()
				joined.Wait()
				return nil
			}
			defer joined.Done()
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
