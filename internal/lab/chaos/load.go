//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// The kinds of tasks. A host runs each with each of its children; the root runs
// kindDeep with each child of a child.
const (
	kindCall   = "call"    // one call after the other
	kindTicks  = "ticks"   // a one-way stream
	kindHold   = "hold"    // a context on which nothing happens
	kindTalk   = "talk"    // a context with a two-way stream
	kindPull   = "pull"    // a context whose callee opens one and calls, the other way
	kindUpHold = "up-hold" // the callee's side of that one
	kindChurn  = "churn"   // contexts that are opened and cancelled
	kindDeep   = "deep"    // a context through a child into its child
)

const (
	pace       = 40 * time.Millisecond // of each task
	longest    = 64 << 10              // message of a talk, in bytes
	retryPause = 2 * time.Millisecond  // after a failure
)

// load keeps a host's children busy.
type load struct {
	p     *player
	tasks task.Group
}

// begin starts the tasks of a host. They end with ctx.
func (l *load) begin(ctx context.Context, t *host.Tree) error {
	for _, child := range childrenOf(l.p.name) {
		portal, err := t.Portal(child)
		if err != nil {
			return err
		}
		for kind, once := range map[string]func(context.Context, contract.Portal, string, func(string)) error{
			kindCall: callOften, kindTicks: listen, kindHold: holdOn, kindTalk: talkOn, kindPull: letPull, kindChurn: churn,
		} {
			l.start(ctx, Task{Kind: kind, Target: child}, portal, once)
		}
		if l.p.name != root {
			continue
		}
		for _, grandchild := range childrenOf(child) {
			l.start(ctx, Task{Kind: kindDeep, Target: grandchild}, portal, holdDeep)
		}
	}
	return nil
}

// start runs a task again and again, and reports each of its failures.
func (l *load) start(ctx context.Context, t Task, portal contract.Portal, once func(context.Context, contract.Portal, string, func(string)) error) {
	l.tasks.Go(func() {
		for ctx.Err() == nil {
			err := once(ctx, portal, t.Target, func(peer string) {
				if t.Peer != peer {
					t.Peer = peer
					l.p.opened(t)
				}
			})
			if ctx.Err() != nil {
				return
			}
			l.p.failed(t, err)
			t.Peer = ""
			pause(ctx, retryPause)
		}
	})
}

func callOften(ctx context.Context, p contract.Portal, _ string, opened func(string)) error {
	for {
		peer, err := echo.Call(ctx, p, none{})
		if err != nil {
			return err
		}
		opened(peer)
		if !step(ctx) {
			return context.Cause(ctx)
		}
	}
}

func listen(ctx context.Context, p contract.Portal, _ string, opened func(string)) error {
	for peer, err := range ticks.Stream(ctx, p, none{}) {
		if err != nil {
			return err
		}
		opened(peer)
	}
	return nil
}

func holdOn(ctx context.Context, p contract.Portal, _ string, opened func(string)) error {
	_, err := hold.Open(ctx, p, none{}, func(ctx context.Context, o *contract.Opener[none, none, none, none]) error {
		opened(o.Peer().Short())
		<-ctx.Done()
		return context.Cause(ctx)
	})
	return err
}

func letPull(ctx context.Context, p contract.Portal, child string, opened func(string)) error {
	_, err := pull.Open(ctx, p, child, func(ctx context.Context, o *contract.Opener[none, none, none, none]) error {
		opened(o.Peer().Short())
		<-ctx.Done()
		return context.Cause(ctx)
	})
	return err
}

func holdDeep(ctx context.Context, p contract.Portal, leaf string, opened func(string)) error {
	_, err := deep.Open(ctx, p, leaf, func(ctx context.Context, o *contract.Opener[string, none, none, none]) error {
		opened(o.Value())
		<-ctx.Done()
		return context.Cause(ctx)
	})
	return err
}

// talkOn sends messages of all sizes and compares what comes back.
func talkOn(ctx context.Context, p contract.Portal, _ string, opened func(string)) error {
	_, err := talk.Open(ctx, p, none{}, func(ctx context.Context, o *contract.Opener[none, []byte, []byte, none]) error {
		s, err := o.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		opened(o.Peer().Short())
		for n := byte(0); ; n++ {
			m := bytes.Repeat([]byte{n}, rand.IntN(longest)) //nolint:gosec // any size will do
			if err := s.Send(ctx, m); err != nil {
				return err
			}
			got, err := s.Recv(ctx)
			if err != nil {
				return err
			}
			if !bytes.Equal(m, got) {
				return fmt.Errorf("%w: %d bytes of %d were sent, %d bytes came", errCorrupt, len(m), n, len(got))
			}
			if !step(ctx) {
				return context.Cause(ctx)
			}
		}
	})
	return err
}

// churn cancels what it opens, which is not a failure.
func churn(ctx context.Context, p contract.Portal, _ string, opened func(string)) error {
	for {
		_, err := hold.Open(ctx, p, none{}, func(ctx context.Context, o *contract.Opener[none, none, none, none]) error {
			opened(o.Peer().Short())
			return o.Cancel(ctx, "enough")
		})
		if err != nil {
			return err
		}
		if !step(ctx) {
			return context.Cause(ctx)
		}
	}
}
