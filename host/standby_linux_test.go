package host_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

func init() {
	role("hooked", func() {
		sdk.OnExit(func() { note("hook") })
		sdk.Serve(goodEndpoints()...)
	})
	role("root with spares", func() {
		self, err := os.Executable()
		if err == nil {
			err = rootWithSpares(self)
		}
		fmt.Println("ended:", err)
		os.Exit(1)
	})
}

func rootWithSpares(self string) error {
	s := host.Spec{
		Name: "a", Command: []string{self}, Restart: config.Permanent, Standby: 3,
		Env: map[string]string{roleVar: "good", "GORACE": "atexit_sleep_ms=0"},
	}
	return host.OpenTree(context.Background(), host.Options{Name: "root"}, []host.Spec{s}, func(ctx context.Context, _ *host.Tree) error {
		events := inTurn(ctx)
		defer events.stop()
		for range s.Standby {
			if _, err := events.next(directory.Standby); err != nil {
				return err
			}
		}
		fmt.Println("up")
		<-ctx.Done()
		return context.Cause(ctx)
	})
}

// eventsInTurn are the events of a nursery, one after the other.
type eventsInTurn struct {
	pull func() (directory.Event, error, bool)
	stop func()
}

func inTurn(ctx context.Context) eventsInTurn {
	pull, stop := iter.Pull2(host.Events(ctx))
	return eventsInTurn{pull, stop}
}

// next is the next event to a state.
func (t eventsInTurn) next(to directory.State) (directory.Event, error) {
	for {
		e, err, ok := t.pull()
		switch {
		case err != nil:
			return e, err
		case !ok:
			return e, errors.New("there are no more events")
		case e.To == to:
			return e, nil
		}
	}
}

// restarted runs an actor with a spare, does something to the two of them, kills the actor, and
// returns the process of the spare and that of the restarted actor, when another spare is ready.
func restarted(t *testing.T, s host.Spec, do func(ctx context.Context, spare actor.ID) error) (spare, now actor.ID) {
	t.Helper()
	s.Restart, s.Standby = config.Permanent, 1
	_, err := open(t, host.Options{Supervision: config.Supervision{MaxRestarts: 100}}, func(ctx context.Context, n *host.Nursery) error {
		events := inTurn(ctx)
		defer events.stop()
		p, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		e, err := events.next(directory.Standby)
		if err != nil {
			return err
		}
		if spare = e.Actor; e.Memory < 1<<20 {
			t.Errorf("the spare has %d bytes in memory", e.Memory)
		}
		if err := errors.Join(do(ctx, spare), syscall.Kill(p.ID().PID, syscall.SIGKILL)); err != nil {
			return err
		}
		if e, err = events.next(directory.Ready); err != nil {
			return err
		}
		now = e.Actor
		if _, err := events.next(directory.Standby); err != nil {
			return err
		}
		if s.GoPlugin == nil {
			if id, err := whoami.Call(ctx, p, none{}); err != nil || !id.Is(now) {
				t.Errorf("the actor says that it is %v, the events that it is %v; %v", id, now, err)
			}
		} else if _, err := p.Version(ctx); err != nil {
			t.Error(err)
		}
		return p.Cancel(ctx, "done")
	})
	if err != nil {
		t.Error(err)
	}
	return spare, now
}

func nothing(context.Context, actor.ID) error { return nil }

func TestV01_AfterKill9TheSparesProcessIsTheActors(t *testing.T) {
	for name, s := range map[string]host.Spec{"actor": spec(t, "a", "good"), "foreign program": foreign(t, "foreign")} {
		t.Run(name, func(t *testing.T) {
			if spare, now := restarted(t, s, nothing); !now.Is(spare) || now.PID != spare.PID {
				t.Errorf("the actor is %v (%d), expected the spare %v (%d)", now, now.PID, spare, spare.PID)
			}
		})
	}
}

func TestV01_AStoppedSpareIsKilledAndNotUsed(t *testing.T) {
	parallel(t)
	s := spec(t, "a", "good")
	s.Health = config.Health{Timeout: config.Duration(time.Second), Off: true} // only its spares are asked
	spare, now := restarted(t, s, func(ctx context.Context, spare actor.ID) error { return freeze(ctx, spare.PID) })
	if now.Is(spare) || now.PID == spare.PID {
		t.Errorf("the actor is %v, which was stopped", now)
	}
}

// A restart runs the program that the file is at that moment, as it does without a standby.
func TestV01_ASpareOfAReplacedProgramIsNotUsed(t *testing.T) {
	parallel(t)
	s := spec(t, "a", "good")
	program := filepath.Join(t.TempDir(), "program")
	replace := func() error {
		fresh := program + ".fresh"
		return errors.Join(copyFile(s.Command[0], fresh), os.Rename(fresh, program))
	}
	if err := replace(); err != nil {
		t.Fatal(err)
	}
	replaced := s
	replaced.Command = []string{program}
	spare, now := restarted(t, replaced, func(context.Context, actor.ID) error { return replace() })
	if now.Is(spare) {
		t.Errorf("the actor is %v, of the program that was replaced", now)
	}
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return writeProgram(to, text, 0o700)
}

// A spare ends by the steps of any end, in order: its program may have begun something.
func TestN17_ASparesExitHooksRun(t *testing.T) {
	s, read := diary(t, "hooked")
	ctx := host.WithEvents(t.Context())
	s.Restart, s.Standby = config.Permanent, 1
	err := host.OpenNursery(ctx, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		events := inTurn(ctx)
		defer events.stop()
		_, err := n.Start(ctx, s)
		if err == nil {
			_, err = events.next(directory.Standby)
		}
		n.Cancel()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(); strings.Count(got, "hook\n") != 2 {
		t.Errorf("the hooks of the actor and its spare have written %q", got)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel() // so that Events ends with what there is
	for e := range host.Events(ended) {
		if e.Step != "" {
			t.Errorf("force was used: %v", e)
		}
	}
}

// A spare that somebody else ends runs its exit hooks as an actor would, though it has none yet.
func TestN17_ASparesExitHooksRunAtASignal(t *testing.T) {
	parallel(t)
	for _, sig := range process.EndSignals() {
		t.Run(sig.String(), func(t *testing.T) {
			s, read := diary(t, "hooked")
			s.Restart, s.Standby = config.Permanent, 1
			_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
				events := inTurn(ctx)
				defer events.stop()
				defer n.Cancel()
				if _, err := n.Start(ctx, s); err != nil {
					return err
				}
				e, err := events.next(directory.Standby)
				if err != nil {
					return err
				}
				if err := syscall.Kill(e.Actor.PID, sig.(syscall.Signal)); err != nil {
					return err
				}
				if e, err = events.next(directory.Gone); err != nil {
					return err
				}
				died, ok := errors.AsType[*fault.ActorDied](e.Err)
				if got := read(); !ok || died.Signal != "" || died.ExitCode != 0 || got != "hook\n" {
					t.Errorf("the spare has ended with %v, and its hooks have written %q", e.Err, got)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// Spares are under the same protection as actors when nobody is left to end them.
func TestN07_SparesDieWithTheirHost(t *testing.T) {
	runtimeDirs := shortTemp(t)
	for range rounds(t) {
		root, out := program(t, "root with spares")
		said := bufio.NewScanner(out)
		if !said.Scan() || said.Text() != "up" {
			t.Fatalf("the tree is not up: %q", said.Text())
		}
		all := offspring(root.Process.Pid)
		if len(all) != 4 {
			t.Fatalf("%d processes, expected the actor and three spares", len(all))
		}
		for _, o := range all[2:] {
			if err := freeze(t.Context(), o.pid); err != nil {
				t.Fatal(err)
			}
		}
		_ = root.Process.Kill()
		_ = root.Wait()
		gone(t, all)
		sweep(t)
		if left := runtimeDirs(); len(left) > 0 {
			t.Errorf("%v are left after the next start", left)
		}
	}
}
