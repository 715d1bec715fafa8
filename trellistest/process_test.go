package trellistest_test

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// What is on its way to a process when it dies arrives nowhere, and does not keep its code going.
func TestADeadProcessReceivesNothing(t *testing.T) {
	for _, delay := range []time.Duration{time.Second, time.Hour} {
		t.Run(delay.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				plugin := trellistest.Plugin{Name: "greeter", Endpoints: []contract.Handler{
					greet.Handle(func(_ context.Context, name string) (string, error) {
						t.Errorf("%s was called by a process that is dead", name)
						return name, nil
					}),
				}}
				wantNone(t, record(func(r testing.TB) {
					h := trellistest.Host(r, family(config.Supervision{}, "a"), plugin)
					p := h.Process("a")
					p.Delay(delay)
					go func() { _, _ = greet.Call(context.Background(), h.Portal("a"), "greet") }()
					synctest.Wait()
					p.Die(1)
					h.WantEvents(trellistest.Started("a"), trellistest.Ended("a", directory.Crashed), trellistest.Started("a"))
					time.Sleep(10 * time.Second)
				}))
			})
		})
	}
}

// What holds up the links of a tree when its test ends is over by then: its actors are asked to
// end, and no force is used.
func TestALinkInATreeIsMendedWhenTheTestEnds(t *testing.T) {
	for name, disturb := range map[string]func(p *trellistest.Process){
		"Stall":  func(p *trellistest.Process) { p.Stall(trellistest.ToActor) },
		"Delay":  func(p *trellistest.Process) { p.Delay(time.Hour) },
		"Freeze": (*trellistest.Process).Freeze,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var h *trellistest.Tree
				wantNone(t, record(func(r testing.TB) {
					h = trellistest.Host(r, family(config.Supervision{}, "a"), greeter())
					disturb(h.Process("a"))
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					if _, err := greet.Call(ctx, h.Portal("a"), "Ada"); err == nil {
						t.Error("the call was answered")
					}
				}))
				for _, e := range h.Events() {
					if e.Step != "" {
						t.Errorf("force was used: %v", e)
					}
				}
			})
		})
	}
}

// A child whose parent dies before the child is there never comes to be.
func TestN07_ParentDiesBeforeItsChildIsExecuted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wantNone(t, record(func(r testing.TB) {
			var programs *trellistest.Programs
			middle, leaf := greeter(), greeter()
			middle.Name, middle.Hosts = "middle", host.Subtree
			leaf.Starting = func(_ context.Context, stage trellistest.Stage) error {
				if stage == trellistest.StageProgram {
					programs.Process("middle").Kill(syscall.SIGKILL)
				}
				return nil
			}
			programs = trellistest.NewPrograms(r, middle, leaf)
			h := programs.Open(host.Options{}, []host.Spec{{
				Name: "middle", Command: []string{"middle"},
				Actors: []host.Spec{{Name: "leaf", Command: []string{"greeter"}}},
			}})
			if err := h.Wait(); err == nil {
				t.Error("the tree ended well")
			}
			if n := len(h.Processes("leaf")); n != 0 {
				t.Errorf("%d processes of the child were executed", n)
			}
		}))
	})
}

// The code of a start that was given up is waited for as any other, also if there was no
// process yet.
func TestCodeOfAStartThatWasGivenUp(t *testing.T) {
	for _, stage := range []trellistest.Stage{trellistest.StageProgram, trellistest.StageBoot} {
		t.Run(string(stage), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				run := func(starting func(p *trellistest.Process)) []string {
					return record(func(r testing.TB) {
						plugin := greeter()
						plugin.Starting = func(ctx context.Context, s trellistest.Stage) error {
							if s == stage {
								starting(trellistest.ProcessOf(ctx))
							}
							return nil
						}
						if err := trellistest.Host(r, family(config.Supervision{}, "a"), plugin).Wait(); err == nil {
							t.Error("the start has succeeded")
						}
					})
				}
				stop := make(chan struct{})
				wantOne(t, run(func(*trellistest.Process) { <-stop }), "its code goes on", "TestCodeOfAStartThatWasGivenUp")
				close(stop)
				wantNone(t, run(func(p *trellistest.Process) { <-p.Dead() }))
			})
		})
	}
}

// What a process prints when it is dead is seen by nobody.
func TestADeadProcessPrintsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plugin := greeter()
		plugin.Starting = func(ctx context.Context, stage trellistest.Stage) error {
			if stage == trellistest.StageHandshake {
				p := trellistest.ProcessOf(ctx)
				p.Stderr("last words")
				p.Die(3)
				p.Stderr("a ghost speaks")
			}
			return nil
		}
		err := trellistest.Host(t, family(config.Supervision{}, "a"), plugin).Wait()
		if err == nil || !strings.Contains(err.Error(), "last words") || strings.Contains(err.Error(), "ghost") {
			t.Errorf("the tree ended with %v", err)
		}
	})
}

// Any goroutine may ask for the end of a tree, and for its events.
func TestATreeIsAskedByManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := trellistest.Host(t, family(config.Supervision{}, "a"), greeter())
		asked := make(chan int)
		for range 3 {
			go func() {
				n := len(h.Events())
				_ = h.End()
				asked <- n
			}()
		}
		h.WantEvents(trellistest.Started("a"))
		var counts []int
		for range 3 {
			counts = append(counts, <-asked)
		}
		if slices.Contains(counts, 0) {
			t.Errorf("some have seen no event: %v", counts)
		}
	})
}
