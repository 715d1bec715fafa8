//go:build linux

package host

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// liar is an agent that runs nothing, and says things about itself and about what it runs.
type liar struct {
	info   agentInfo
	launch func(ctx context.Context, s *contract.Stream[launchNews, struct{}]) error
	full   *atomic.Int32 // how often it still has no room; nil: never
	told   func()        // that it had none; may be nil
	hangs  chan struct{} // it answers nothing from when this is closed; may be nil
}

// lie joins as an agent, until ctx ends.
func (l liar) lie(ctx context.Context) error {
	return Join(ctx, "default", JoinOptions{Name: "liar", Endpoints: []contract.Handler{
		agentState.Handle(func(ctx context.Context, _ struct{}) iter.Seq2[agentInfo, error] {
			return func(yield func(agentInfo, error) bool) {
				for yield(l.info, nil) && ctx.Err() == nil {
				}
			}
		}),
		agentLaunch.Handle(func(ctx context.Context, _ launchOrder, c *launchCallee) (none struct{}, err error) {
			if l.full != nil && l.full.Add(-1) >= 0 {
				if l.told != nil {
					l.told()
				}
				return none, fmt.Errorf("%w: there is no room", fault.ErrOverloaded)
			}
			if err := c.Started(none); err != nil {
				return none, err
			}
			s, err := c.Stream(contract.StreamOptions{})
			if err != nil {
				return none, err
			}
			return none, l.launch(ctx, s)
		}),
		agentDo.Handle(func(ctx context.Context, _ processOrder) (processAnswer, error) {
			if l.hangs != nil && isClosed(l.hangs) {
				<-ctx.Done()
			}
			return processAnswer{Boot: []byte("nonsense")}, nil
		}),
	}}, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
}

// D23: an agent that lies costs its host no more than the start of the actor.
func TestD23_AnAgentThatLies(t *testing.T) {
	labels := map[string]string{}
	for i := range 1000 {
		labels[fmt.Sprint(i)] = "x"
	}
	good := agentInfo{Host: "liar"}
	long := strings.Repeat("x", 1<<20)
	for name, test := range map[string]struct {
		liar
		want string
	}{
		"too many labels": {liar{info: agentInfo{Host: "liar", Labels: labels}}, "no agent has joined"},
		"no name":         {liar{info: agentInfo{Host: "\x1b[2J"}}, "no agent has joined"},
		"runs nothing": {liar{info: good, launch: func(context.Context, *contract.Stream[launchNews, struct{}]) error { return nil }},
			"it has ended the actor"},
		"refuses": {liar{info: good, launch: func(context.Context, *contract.Stream[launchNews, struct{}]) error { return errors.New("never") }}, "never"},
		"says much of an end": {liar{info: good, launch: func(ctx context.Context, s *contract.Stream[launchNews, struct{}]) error {
			lines := make([]string, 30)
			for i := range lines {
				lines[i] = long
			}
			return errors.Join(s.Send(ctx, launchNews{Started: &launchResult{PID: 1}}), s.Send(ctx, launchNews{Exit: &process.Exit{Code: 7, LastLog: lines, Panic: long}}),
				s.Send(ctx, launchNews{Exit: &process.Exit{}}), s.Send(ctx, launchNews{Started: &launchResult{PID: 2}}), s.Send(ctx, launchNews{Reaped: true}))
		}}, "cannot parse"},
		"boots nothing": {liar{info: good, launch: func(ctx context.Context, s *contract.Stream[launchNews, struct{}]) error {
			err := s.Send(ctx, launchNews{Started: &launchResult{PID: 1}})
			<-ctx.Done()
			return err
		}}, "cannot parse"},
	} {
		t.Run(name, func(t *testing.T) {
			tempdir.Use(t)
			joined, leave := context.WithCancel(t.Context())
			err := OpenNursery(t.Context(), Options{Serve: "default", Fleet: &Fleet{Lease: 200e6}}, func(ctx context.Context, n *Nursery) error {
				lying := task.Start(func() { _ = test.lie(joined) }) // it is told to end, or thrown out
				defer lying.Wait()
				defer leave()
				patience := config.Duration(5e9)
				if strings.HasPrefix(test.want, "no agent") {
					patience = 1e9
				}
				_, err := n.Start(ctx, Spec{Name: "worker", Command: []string{"/worker"}, On: &config.On{}, StartTimeout: patience})
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("D23: %.1000v", err)
				}
				return nil
			})
			leave()
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// D22: an agent that has no room after all, as other hosts use it too, is asked again when it may have some, and the start goes on.
func TestD22_AnAgentWithoutRoom(t *testing.T) {
	tempdir.Use(t)
	joined, leave := context.WithCancel(t.Context())
	defer leave()
	l := liar{agentInfo{Host: "liar"}, func(context.Context, *contract.Stream[launchNews, struct{}]) error { return errors.New("never") }, new(atomic.Int32), nil, nil}
	l.full.Store(2)
	err := OpenNursery(t.Context(), Options{Serve: "default", Fleet: &Fleet{Lease: 200e6}}, func(ctx context.Context, n *Nursery) error {
		joining := task.Start(func() { _ = l.lie(joined) }) // it is told to end
		defer joining.Wait()
		defer leave()
		_, err := n.Start(ctx, Spec{Name: "worker", Command: []string{"/worker"}, On: &config.On{}})
		if err == nil || !strings.Contains(err.Error(), "never") || l.full.Load() != -1 {
			t.Errorf("D22: after %d more refusals: %v", l.full.Load(), err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// D22: a start that is given up when an agent has refused it does not wait for a lease that it never had.
func TestD22_AStartThatWasRefusedIsGivenUp(t *testing.T) {
	tempdir.Use(t)
	joined, leave := context.WithCancel(t.Context())
	defer leave()
	starting, giveUp := context.WithCancel(t.Context())
	l := liar{info: agentInfo{Host: "liar"}, full: new(atomic.Int32), told: giveUp}
	l.full.Store(1 << 20)
	err := OpenNursery(t.Context(), Options{Serve: "default", Fleet: &Fleet{Lease: time.Hour}}, func(_ context.Context, n *Nursery) error {
		joining := task.Start(func() { _ = l.lie(joined) }) // it is told to end
		defer joining.Wait()
		defer leave()
		if _, err := n.Start(starting, Spec{Name: "worker", Command: []string{"/worker"}, On: &config.On{}}); !errors.Is(err, context.Canceled) {
			t.Errorf("D22: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// D22: an agent that hangs while it starts a program is waited for no longer than it takes to notice that.
func TestD22_AnAgentThatHangs(t *testing.T) {
	tempdir.Use(t)
	joined, leave := context.WithCancel(t.Context())
	defer leave()
	asked := make(chan struct{}) // before that, it would not be chosen
	hangs := liar{info: agentInfo{Host: "liar"}, hangs: asked, launch: func(ctx context.Context, _ *contract.Stream[launchNews, struct{}]) error {
		close(asked)
		<-ctx.Done()
		return ctx.Err()
	}}
	err := OpenNursery(t.Context(), Options{Serve: "default", Fleet: &Fleet{Lease: 200e6}}, func(ctx context.Context, n *Nursery) error {
		lying := task.Start(func() { _ = hangs.lie(joined) }) // it is told to end
		defer lying.Wait()
		defer leave()
		_, err := n.Start(ctx, Spec{Name: "worker", Command: []string{"/worker"}, On: &config.On{}, StartTimeout: config.Duration(time.Hour)})
		failed, ok := errors.AsType[*StartError](err)
		lost, gone := errors.AsType[*fault.HostLost](err)
		if !ok || failed.Stage != "program" || !gone || lost.Host != "liar" || lost.Reason != errSilent.Error() {
			t.Errorf("D22: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// D23: what an agent says of an end is kept within the bounds of any process.
func TestD23_ALongEnd(t *testing.T) {
	lines := make([]string, 1000)
	for i := range lines {
		lines[i] = strings.Repeat("x", 1<<16)
	}
	e := clipped(process.Exit{Code: 3, LastLog: lines, Panic: lines[0], Limit: lines[0]})
	if e.Code != 3 || len(e.LastLog) != mostLastLines || len(e.LastLog[0]) > longestLine || len(e.Panic) > longestLine || len(e.Limit) > longestLine {
		t.Errorf("D23: %d lines, the first of %d bytes, %d, %d", len(e.LastLog), len(e.LastLog[0]), len(e.Panic), len(e.Limit))
	}
}
