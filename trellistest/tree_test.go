package trellistest_test

import (
	"context"
	"errors"
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
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/trellistest"
)

var (
	hang  = contract.Func[struct{}, struct{}]("hang")
	crash = contract.Func[int, struct{}]("crash")
	below = contract.Func[string, string]("below")
)

// greetings are the endpoints of "greeter": a good one, one that ignores its ctx until its
// process is dead, and one that takes its process with it.
func greetings() []contract.Handler {
	return []contract.Handler{
		greet.Handle(func(_ context.Context, name string) (string, error) { return "Hello, " + name + "!", nil }),
		hang.Handle(func(ctx context.Context, n struct{}) (struct{}, error) {
			<-trellistest.ProcessOf(ctx).Dead()
			return n, ctx.Err()
		}),
		crash.Handle(func(ctx context.Context, code int) (struct{}, error) {
			p := trellistest.ProcessOf(ctx)
			p.Stderr("famous last words")
			p.Die(code)
			return struct{}{}, nil
		}),
		below.Handle(func(ctx context.Context, name string) (string, error) {
			leaf, err := host.FromContext(ctx).Portal("leaf")
			if err != nil {
				return "", err
			}
			return greet.Call(ctx, leaf, name)
		}),
	}
}

// A call into an actor that dies fails with how it died, and the next call waits for the next
// process.
func TestV06_CallsAndDeaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := trellistest.Host(t, family(config.Supervision{}, "a"), greeter())
		first := h.Process("a").ID()
		_, err := crash.Call(t.Context(), h.Portal("a"), 7)
		died, ok := errors.AsType[*fault.ActorDied](err)
		if !ok || died.ExitCode != 7 || !died.ID.Is(first) || !slices.Equal(died.LastLog, []string{"famous last words"}) {
			t.Errorf("the call got %+v", died)
		}
		text, err := greet.Call(t.Context(), h.Portal("a"), "Ada")
		if text != "Hello, Ada!" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
		if next := h.Portal("a").ID(); next.Is(first) || next.PID == first.PID || !next.Is(h.Process("a").ID()) {
			t.Errorf("the answer came from %v; before it was %v", next, first)
		}
		h.Process("a").Kill(syscall.SIGSEGV)
		h.WantEvents(
			trellistest.Ended("a", directory.Crashed), trellistest.Restarting("a"),
			trellistest.Ended("a", directory.Crashed), trellistest.Restarting("a"),
		)
	})
}

// An actor that hangs fails its checks, heeds no SIGTERM, and is killed and replaced.
func TestV07_FrozenProcessIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := trellistest.Host(t, family(config.Supervision{}, "a"), greeter())
		h.WantEvents(trellistest.Started("a"))
		h.Process("a").Freeze()
		_, err := greet.Call(t.Context(), h.Portal("a"), "Ada")
		if sick, ok := errors.AsType[*fault.ActorUnhealthy](err); !ok || sick.Checks != 3 {
			t.Errorf("the call got %v", err)
		}
		h.WantEvents(
			trellistest.Unhealthy("a"), trellistest.Unhealthy("a"), trellistest.Unhealthy("a"),
			trellistest.Stopping("a", directory.Sick), trellistest.Forced("a", "SIGTERM"), trellistest.Forced("a", "SIGKILL"),
			trellistest.Ended("a", directory.Sick), trellistest.Started("a"),
		)
	})
}

// One that comes back to itself in time is healthy again, and what was sent to it is answered.
func TestV07_ThawedProcessGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := trellistest.Host(t, family(config.Supervision{}, "a"), greeter())
		p := h.Process("a")
		p.Freeze()
		called := make(chan error)
		go func() {
			_, err := greet.Call(t.Context(), h.Portal("a"), "Ada")
			called <- err
		}()
		h.WantEvents(trellistest.Unhealthy("a"), trellistest.Unhealthy("a"))
		p.Thaw()
		if err := <-called; err != nil {
			t.Error(err)
		}
		h.WantEvents(trellistest.Healthy("a"), trellistest.No(trellistest.Ended("a", "")))
	})
}

// SIGTERM that comes while a process is frozen is heeded when it is thawed.
func TestSIGTERMWaitsForTheThaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := trellistest.Host(t, family(config.Supervision{}, "a"), greeter())
		p := h.Process("a")
		p.Freeze()
		p.Terminate()
		time.Sleep(time.Second)
		h.WantEvents(trellistest.No(trellistest.Ended("a", "")))
		p.Thaw()
		h.WantEvents(trellistest.Ended("a", directory.Finished))
	})
}

// A handler that ignores its ctx meets every rung of the ladder, each when its bound is over.
func TestN08_RungsOfTheTeardown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := trellistest.Host(t, family(config.Supervision{}, "a"), greeter())
		called := make(chan error, 1)
		go func() {
			_, err := hang.Call(context.WithoutCancel(t.Context()), h.Portal("a"), struct{}{})
			called <- err
		}()
		synctest.Wait()
		begun := time.Now()
		if err := h.End(); err != nil {
			t.Error(err)
		}
		if err := <-called; !errors.Is(err, fault.ErrActorLost) {
			t.Errorf("the call got %v", err)
		}
		h.WantEvents(trellistest.Stopping("a", directory.Requested),
			trellistest.Forced("a", "SIGTERM"), trellistest.Forced("a", "SIGKILL"), trellistest.Ended("a", directory.Requested))
		var forced []time.Duration
		for _, e := range h.Events() {
			if e.Step != "" {
				forced = append(forced, e.Time.Sub(begun))
			}
		}
		if want := []time.Duration{5500 * time.Millisecond, 7100 * time.Millisecond}; !slices.Equal(forced, want) {
			t.Errorf("force was used after %v, want %v", forced, want)
		}
	})
}

// A start that takes too long fails, and says at which stage, and what it waited for.
func TestN06_SlowStart(t *testing.T) {
	for stage, told := range map[trellistest.Stage]string{
		trellistest.StageProgram: "program", trellistest.StageHandshake: "handshake",
		trellistest.StageBoot: "boot", trellistest.StageLink: "boot",
	} {
		t.Run(string(stage), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slow := greeter()
				slow.Starting = trellistest.Slow(stage, time.Hour)
				begun := time.Now()
				err := trellistest.Host(t, family(config.Supervision{}, "a"), slow).Wait()
				start, ok := errors.AsType[*host.StartError](err)
				if !ok || start.Stage != told || start.Lasting || time.Since(begun) > time.Minute+2*time.Second {
					t.Errorf("after %v: %v", time.Since(begun), err)
				}
			})
		})
	}
}

// A start that takes its time succeeds within its bound.
func TestN06_SlowStartInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := greeter()
		slow.Starting = trellistest.Slow(trellistest.StageBoot, 50*time.Second)
		h := trellistest.Host(t, family(config.Supervision{}, "a"), slow)
		h.WantEvents(trellistest.Started("a"))
	})
}

// A start may fail at any stage, by an error or by a death.
func TestN06_FailedStart(t *testing.T) {
	failures := map[string]func(ctx context.Context) error{
		"error": func(context.Context) error { return errors.New("no license") },
		"death": func(ctx context.Context) error {
			trellistest.ProcessOf(ctx).Stderr("no license")
			trellistest.ProcessOf(ctx).Die(3)
			return nil
		},
	}
	for _, stage := range []trellistest.Stage{trellistest.StageHandshake, trellistest.StageBoot, trellistest.StageLink} {
		for name, fail := range failures {
			t.Run(string(stage)+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					plugin := greeter()
					plugin.Starting = func(ctx context.Context, s trellistest.Stage) error {
						if s == stage {
							return fail(ctx)
						}
						return nil
					}
					err := trellistest.Host(t, family(config.Supervision{}, "a"), plugin).Wait()
					if start, ok := errors.AsType[*host.StartError](err); !ok || start.Lasting || !strings.Contains(start.Error(), "no license") {
						t.Errorf("the tree ended with %v", err)
					}
				})
			})
		}
	}
}

// A program that no plugin stands for is missing, as one that is not on the disk.
func TestN06_MissingProgram(t *testing.T) {
	tree := family(config.Supervision{}, "a")
	tree.Actors[0].Command = []string{"./bin/parser"}
	err := trellistest.Host(t, tree, greeter()).Wait()
	start, ok := errors.AsType[*host.StartError](err)
	if !ok || start.Stage != "program" || !start.Lasting || !strings.Contains(err.Error(), "it has greeter") {
		t.Errorf("the tree ended with %v", err)
	}
}

// Those that others need start first and end last.
func TestV09_Dependencies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := family(config.Supervision{}, "app", "db")
		tree.Actors[0].DependsOn = map[string]config.Condition{"db": config.Healthy}
		h := trellistest.Host(t, tree, greeter())
		h.WantEvents(trellistest.Started("db"), trellistest.Started("app"))
		if err := h.End(); err != nil {
			t.Error(err)
		}
		h.WantEvents(trellistest.Ended("app", directory.Requested), trellistest.Ended("db", directory.Requested))
	})
}

// A plugin that hosts plugins does so here, too; and when its process is killed, they are gone.
func TestN07_ChildrenDieWithTheirHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		middle := greeter()
		middle.Name, middle.Hosts = "middle", host.Subtree
		tree := config.Tree{Actors: []config.Actor{{
			Name: "middle", Package: "./plugins/middle", Restart: config.Permanent,
			Actors: []config.Actor{{Name: "leaf", Package: "./plugins/greeter"}},
		}}}
		h := trellistest.Host(t, tree, middle, greeter())
		text, err := below.Call(t.Context(), h.Portal("middle"), "Ada")
		if text != "Hello, Ada!" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
		leaf := h.Process("leaf")
		h.Process("middle").Kill(syscall.SIGKILL)
		<-leaf.Dead()
		h.WantEvents(trellistest.Ended("middle", directory.Crashed), trellistest.Restarting("middle"))
		if text, err = below.Call(t.Context(), h.Portal("middle"), "Ada"); text != "Hello, Ada!" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
	})
}

// What is wrong with the list of events is said side by side.
func TestWantEventsReports(t *testing.T) {
	for name, c := range map[string]struct {
		want  []trellistest.Expected
		words []string
	}{
		"another one": {[]trellistest.Expected{trellistest.Started("b")}, []string{"started b  ≠  started a"}},
		"one more":    {[]trellistest.Expected{trellistest.Ended("a", directory.Crashed)}, []string{"ended a crashed  =  ended a crashed", "  ≠  ended c crashed"}},
		"refused": {
			[]trellistest.Expected{trellistest.Started("a"), trellistest.No(trellistest.Ended("a", ""))},
			[]string{"started a  =  started a", "≠  ended a crashed", "all events since the last look:"},
		},
		"missing": {
			[]trellistest.Expected{trellistest.Unhealthy("a")},
			[]string{"unhealthy a  ≠  \n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wantOne(t, record(func(r testing.TB) {
					tree := family(config.Supervision{}, "a")
					if name == "one more" {
						tree = family(config.Supervision{}, "a", "c")
					}
					for i := range tree.Actors {
						tree.Actors[i].Backoff = config.Backoff{Initial: config.Duration(time.Hour), Max: config.Duration(time.Hour)}
					}
					h := trellistest.Host(r, tree, greeter())
					h.Process("a").Die(1)
					synctest.Wait()
					if name == "one more" {
						h.Process("c").Die(1)
					}
					h.WantEvents(c.want...)
				}), append(c.words, "the events of the tree are not those that are expected")...)
			})
		})
	}
}

// A tree that fails without being asked is the failure of its test.
func TestHostReportsTheFailureOfItsTree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wantOne(t, record(func(r testing.TB) {
			h := trellistest.Host(r, family(config.Supervision{MaxRestarts: 1}, "a"), greeter())
			for range 2 {
				h.Process("a").Die(1)
				time.Sleep(time.Second)
			}
		}), "the tree has failed", "Wait or End")
	})
}
