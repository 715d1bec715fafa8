package host

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// childOf is the child of a nursery at a path.
func childOf(n *Nursery, path string) (found *child) {
	n.look(func() {
		for _, c := range n.children {
			if c.member.Path() == path {
				found = c
			}
		}
	})
	return found
}

// D22: an agent that has joined, and has not said yet what it takes, is drained when it has.
func TestD22_AnAgentIsDrainedThatHasJustJoined(t *testing.T) {
	tempdir.Use(t)
	say, dismissed := make(chan struct{}), make(chan struct{})
	joined, leave := context.WithCancel(t.Context())
	defer leave()
	agent := func() error {
		return Join(joined, "default", JoinOptions{Name: "b", Endpoints: []contract.Handler{
			agentState.Handle(func(ctx context.Context, _ struct{}) iter.Seq2[agentInfo, error] {
				return func(yield func(agentInfo, error) bool) {
					select {
					case <-say:
						yield(agentInfo{Host: "b"}, nil)
						<-ctx.Done()
					case <-ctx.Done():
					}
				}
			}),
			agentLaunch.Handle(func(context.Context, launchOrder, *launchCallee) (none struct{}, err error) {
				return none, errors.New("never")
			}),
			agentDo.Handle(func(_ context.Context, o processOrder) (a processAnswer, err error) {
				if o.Do == doLeave {
					close(dismissed)
				}
				return a, nil
			}),
		}}, func(ctx context.Context) error {
			select {
			case <-dismissed: // it leaves in order, and its answer with it
			case <-ctx.Done():
			}
			return ctx.Err()
		})
	}
	err := OpenNursery(t.Context(), Options{Serve: "default"}, func(ctx context.Context, n *Nursery) error {
		joining := task.Start(func() { _ = agent() }) // it is told to leave
		defer joining.Wait()
		defer leave()
		if _, err := directory.WaitFor(ctx, "b"); err != nil {
			return err
		}
		hasty, stop := context.WithCancelCause(ctx)
		early := errors.New("before it has said anything")
		stop(early)
		if err := childOf(n, "b").drain(hasty, "the test"); !errors.Is(err, early) {
			t.Errorf("D22: %v", err)
		}
		close(say)
		_, err := n.order(ctx, wire.OrderRequest{Name: "b", Do: wire.OrderDrain})
		if c := childOf(n, "b"); c != nil {
			t.Errorf("D22: it is there after it was drained")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// lines is a writer that hands on what is written.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	select {
	case l <- string(b):
	default:
	}
	return len(b), nil
}

// O02: of an actor that waits for an agent it is known why.
func TestO02_WhyAnActorWaitsForAnAgent(t *testing.T) {
	said := make(lines, 100)
	err := OpenNursery(t.Context(), Options{Log: slog.New(slog.NewTextHandler(said, nil))}, func(ctx context.Context, n *Nursery) error {
		starting := task.Start(func() {
			_, _ = n.Start(ctx, Spec{Name: "worker", Command: []string{"/worker"}, On: &config.On{}, StartTimeout: config.Duration(time.Hour)}) // it ends with the nursery
		})
		defer starting.Wait()
		defer n.Cancel()
		for !strings.Contains(<-said, "an actor waits for an agent") {
		}
		a := childOf(n, "worker").inspect(ctx, wire.OrderLook)
		if want := "it waits for an agent: no agent has joined this host; "; a.State != directory.Starting || !strings.HasPrefix(a.Reason, want) {
			t.Errorf("O02: it is %s: %s, want %s", a.State, a.Reason, want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
