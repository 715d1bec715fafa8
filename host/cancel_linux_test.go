package host_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// onceVar names a file: the process that makes it serves, each later one hangs before
// its handshake.
const onceVar = "HOST_TEST_ONCE"

func init() {
	role("serves once", func() {
		f, err := os.OpenFile(os.Getenv(onceVar), os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			select {}
		}
		_ = f.Close()
		sdk.Serve(goodEndpoints()...)
	})
}

// servesOnce is an actor that comes up once. Its restart takes as long as it may.
func servesOnce(t testing.TB, name string) host.Spec {
	s := restarting(t, name, config.Permanent)
	s.Env[roleVar], s.Env[onceVar] = "serves once", filepath.Join(t.TempDir(), "up")
	return s
}

// returns fails the test if f does not return before the test's own deadline.
func returns(t *testing.T, what string, f func() error) (err error) {
	t.Helper()
	running := task.Start(func() { err = f() })
	ctx := t.Context()
	if deadline, ok := t.Deadline(); ok {
		within, cancel := context.WithDeadline(ctx, deadline.Add(-time.Until(deadline)/10)) // what is left is for the clean-up
		defer cancel()
		ctx = within
	}
	select {
	case <-running.Done():
		return err
	case <-ctx.Done():
		t.Fatalf("%s does not return", what)
		return nil
	}
}

// killed kills the actor's process and returns when it is in a state.
func killed(ctx context.Context, t testing.TB, p *host.Portal, then directory.State) {
	t.Helper()
	dead := kill(t, p, syscall.SIGKILL)
	reaped := false
	await(ctx, t, string(then), func(e directory.Event) bool {
		reaped = reaped || e.To == directory.Reaped && e.Actor.Is(dead)
		return reaped && e.To == then
	})
}

// R2: Cancel of an actor that is being restarted returns when the start has been given
// up.
func TestP14_CancelDuringARestart(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p := startAll(ctx, t, n, servesOnce(t, "phoenix"))[0]
		killed(ctx, t, p, directory.Starting)
		if err := returns(t, "Cancel", func() error { return p.Cancel(context.Background(), "done") }); err != nil {
			t.Errorf("got %v", err)
		}
		<-p.Done()
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// P14: whoever has seen that an actor is stopping finds that it takes no new calls: the
// event and the refusal are one change.
func TestP14_NoNewCallsOnceItIsStopping(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s := spec(t, "good", "good")
		s.Grace = config.Duration(time.Hour) // the task below ends only when all has been looked at
		p := startAll(ctx, t, n, s)[0]
		looked := make(chan struct{})
		running, called := make(chan struct{}), make(chan error, 1)
		n.Go(func() {
			_, err := forever.Open(ctx, p, none{}, func(context.Context, *contract.Opener[none, none, none, none]) error {
				close(running)
				<-looked
				return nil
			})
			called <- err
		})
		<-running
		n.Go(func() { _ = p.Cancel(ctx, "done") }) // the nursery's end tells the rest
		await(ctx, t, "stopping", func(e directory.Event) bool { return e.To == directory.Stopping })
		if _, err := p.Conn(ctx); !errors.Is(err, fault.ErrActorClosing) {
			t.Errorf("its connection: %v", err)
		}
		if _, err := echo.Call(ctx, p, "x"); !errors.Is(err, fault.ErrActorClosing) {
			t.Errorf("a call: %v", err)
		}
		close(looked)
		<-called // cancelled, or ended as it should: both are right
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// R7: who an actor is can be asked while its process is being started. It is the race
// detector that fails this test.
func TestP14_IDDuringARestart(t *testing.T) {
	_, err := open(t, host.Options{Supervision: config.Supervision{MaxRestarts: 100}}, func(ctx context.Context, n *host.Nursery) error {
		p := startAll(ctx, t, n, restarting(t, "phoenix", config.Permanent))[0]
		old := kill(t, p, syscall.SIGKILL)
		for id := p.ID(); id.Is(old) || id.PID == 0; id = p.ID() {
			if id.Name != "phoenix" {
				t.Errorf("got %v", id)
			}
		}
		return p.Cancel(ctx, "done")
	})
	if err != nil {
		t.Error(err)
	}
}

// T7: as that of a context, the Cancel of an actor is not cut short by the end of its
// caller's ctx: not even by that of a scope into this actor, which it ends itself.
func TestP05_CancelIsShieldedFromItsCaller(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p := startAll(ctx, t, n, spec(t, "good", "good"), spec(t, "good", "good"))
		over, end := context.WithCancel(ctx)
		end()
		if err := p[0].Cancel(over, "done"); err != nil {
			t.Errorf("with a ctx that is over: %v", err)
		}
		var cancel error
		_, err := forever.Open(ctx, p[1], none{}, func(ctx context.Context, _ *contract.Opener[none, none, none, none]) error {
			cancel = p[1].Cancel(ctx, "done")
			return nil
		})
		if cancelled, ok := fault.Cancelled(err); cancel != nil || !ok || !cancelled.Canceller.Is(n.Self()) {
			t.Errorf("from a scope into it: %v, and the scope ended with %v", cancel, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// An actor that was too slow has ended all the same, once it has.
func TestP05_CancelOfAnActorThatIsGoneIsNoError(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s := spec(t, "stuck", "good")
		s.CancelTimeout, s.Grace, s.TermTimeout = config.Duration(50*time.Millisecond), config.Duration(time.Millisecond), config.Duration(time.Millisecond)
		p := startAll(ctx, t, n, s)[0]
		called := hold(ctx, n, stuck, p)
		if err := p.Cancel(ctx, "done"); !errors.Is(err, fault.ErrActorTooSlow) {
			t.Errorf("got %v", err)
		}
		<-p.Done()
		if err := p.Cancel(ctx, "done"); err != nil {
			t.Errorf("when it is gone: %v", err)
		}
		<-called
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// U6: each event says whose it is, the first one, too.
func TestV10_EachEventNamesItsActor(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p := startAll(ctx, t, n, spec(t, "good", "good"))[0]
		who := p.ID()
		if err := p.Cancel(ctx, "done"); err != nil {
			return err
		}
		seen := 0
		await(ctx, t, "its end", func(e directory.Event) bool {
			if seen++; !e.Actor.Is(who) || e.Actor.Name != "good" {
				t.Errorf("%v is of %v", e, e.Actor)
			}
			return e.To == directory.Gone
		})
		if seen < 5 {
			t.Errorf("only %d events", seen)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// vanishing is an argument whose encoding ends the goroutine that does it, as a test's
// FailNow does.
type vanishing struct{ A string }

func (vanishing) MarshalCBOR() ([]byte, error) {
	runtime.Goexit()
	return nil, nil
}

// P14: a one-shot has a result whatever becomes of the goroutine that runs it.
func TestP14_AOneShotWhoseGoroutineVanishesHasAResult(t *testing.T) {
	_, err := open(t, host.Options{}, func(_ context.Context, n *host.Nursery) error {
		shot := host.Run(n, spec(t, "shot", "good"), contract.Func[vanishing, string]("echo"), vanishing{"x"})
		if err := returns(t, "Wait", func() error { _, err := shot.Wait(context.Background()); return err }); !errors.Is(err, fault.ErrGoexit) {
			t.Errorf("got %v", err)
		}
		return nil
	})
	if !errors.Is(err, fault.ErrGoexit) {
		t.Errorf("the nursery: %v", err)
	}
}
