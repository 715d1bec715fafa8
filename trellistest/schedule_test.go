package trellistest_test

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// A slow link is not a slow plugin: a cancel that is answered at once succeeds in any schedule.
func TestExploreDoesNotBlameAPluginForTheDelaysOfItsCancels(t *testing.T) {
	trellistest.Explore(t, 100, func(t *testing.T, s *trellistest.Schedule) {
		a := trellistest.Serve(t, upload.Handle(func(ctx context.Context, _ struct{}, c *uploadCallee) (int, error) {
			if err := c.Started(struct{}{}); err != nil {
				return 0, err
			}
			<-ctx.Done()
			return 0, context.Cause(ctx)
		}))
		_, err := upload.Open(t.Context(), a, struct{}{}, func(ctx context.Context, c *uploadOpener) error { return c.Cancel(ctx, "enough") })
		if err != nil && !s.Excuses(err) {
			t.Error(err)
		}
	})
}

// Nor is a handler slow that asks its parent for something before it opens its stream.
func TestExploreDoesNotBlameAPluginForTheDelayBeforeItsStream(t *testing.T) {
	trellistest.Explore(t, 100, func(t *testing.T, s *trellistest.Schedule) {
		a := trellistest.Plugin{
			Parent: []contract.Handler{greet.Handle(hello)},
			Endpoints: []contract.Handler{upload.Handle(func(ctx context.Context, _ struct{}, c *uploadCallee) (int, error) {
				if err := c.Started(struct{}{}); err != nil {
					return 0, err
				}
				if _, err := greet.Call(ctx, sdk.Parent(ctx), "Ada"); err != nil {
					return 0, err
				}
				stream, err := c.Stream(contract.StreamOptions{})
				if err != nil {
					return 0, err
				}
				n := 0
				for _, err := range stream.All(ctx) {
					if n++; err != nil {
						return n, err
					}
				}
				return n, nil
			})},
		}.Serve(t)
		if n, err := send(t.Context(), a, make([]string, 100)); !s.Excuses(err) && (err != nil || n != 100) {
			t.Errorf("%d, %v", n, err)
		}
	})
}

// What was to become of an actor excuses nothing until it has.
func TestScheduleExcusesWhatHasHappened(t *testing.T) {
	const calls = 300 // of two frames each: more than any schedule waits for
	happened := 0
	trellistest.Explore(t, 50, func(t *testing.T, s *trellistest.Schedule) {
		a := trellistest.Serve(t, greet.Handle(hello))
		if s.Excuses(fault.ErrActorLost) {
			t.Error("nothing has been sent, and the loss of the actor is excused")
		}
		for range calls {
			_, err := greet.Call(t.Context(), a, "Ada")
			if err == nil {
				continue
			}
			if !s.Excuses(err) {
				t.Error(err)
			}
			happened++
			return
		}
		if s.Excuses(fault.ErrActorLost) {
			t.Error("the actor lives, and its loss is excused")
		}
	})
	if happened == 0 || happened == 50 {
		t.Errorf("something has happened with %d seeds of 50", happened)
	}
}

// A test that is about hours says so.
func TestScheduleLimit(t *testing.T) {
	trellistest.Explore(t, 20, func(t *testing.T, s *trellistest.Schedule) {
		s.Limit(48 * time.Hour)
		a := trellistest.Serve(t, greet.Handle(func(ctx context.Context, name string) (string, error) {
			select {
			case <-time.After(24 * time.Hour):
				return hello(ctx, name)
			case <-ctx.Done():
				return "", context.Cause(ctx)
			}
		}))
		if _, err := greet.Call(t.Context(), a, "Ada"); err != nil && !s.Excuses(err) {
			t.Error(err)
		}
	})
}

// The end of an actor takes as long as its Grace says.
func TestPluginGrace(t *testing.T) {
	trellistest.Bubble(t, func(t *testing.T) {
		ends := func(grace time.Duration) []string {
			return record(func(t testing.TB) {
				a := trellistest.Plugin{Grace: grace, Endpoints: []contract.Handler{greet.Handle(func(ctx context.Context, name string) (string, error) {
					sdk.OnExit(func() { <-time.After(time.Minute) }) // it writes its cache to a slow disk
					return hello(ctx, name)
				})}}.Serve(t)
				if _, err := greet.Call(t.Context(), a, "Ada"); err != nil {
					t.Errorf("%v", err)
				}
			})
		}
		if problems := ends(2 * time.Minute); len(problems) > 0 {
			t.Errorf("%q", problems)
		}
		wantOne(t, ends(30*time.Second), "it has not ended 30s after it was told to")
		wantOne(t, ends(0), "it has not ended 10s after it was told to")
		<-time.After(time.Minute) // the hooks that were given up
	})
}

// An actor's methods are what a test needs, and nothing of it is of a type that it cannot name.
func TestActorExportsItsFaultsAlone(t *testing.T) {
	for _, field := range reflect.VisibleFields(reflect.TypeFor[trellistest.Actor]()) {
		if field.IsExported() && field.Name != "Faults" {
			t.Errorf("the field %s is exported", field.Name)
		}
	}
}

func TestDirectionString(t *testing.T) {
	if s := trellistest.Direction(7).String(); s != "direction 7" {
		t.Error(s)
	}
}
