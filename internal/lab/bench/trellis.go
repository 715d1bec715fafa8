package bench

import (
	"context"
	"iter"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/lab/bench/measure"
	"github.com/seed-2ba35074/trellis/internal/lab/bench/ours"
	"github.com/seed-2ba35074/trellis/internal/lab/bench/usage"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// trellisPeer is a plugin that is built with package sdk.
type trellisPeer struct {
	portal *host.Portal
	last   atomic.Uint64 // id of a held context
}

func (l *lab) startTrellis(ctx context.Context, subject string) (peer, error) {
	return startIn(ctx, l.nursery, l.spec(subject))
}

// spec describes a plugin of package sdk.
func (l *lab) spec(subject string) host.Spec {
	return host.Spec{
		Name: "measured", Command: []string{l.programs[subject]}, Env: l.role(subject),
		// As often as by default, but a machine that has no time left is not a failure here.
		Health: config.Health{Failures: 100},
	}
}

func startIn(ctx context.Context, n *host.Nursery, spec host.Spec) (peer, error) {
	portal, err := n.Start(ctx, spec)
	if err != nil {
		return nil, err
	}
	return &trellisPeer{portal: portal}, nil
}

// nurseryPeer is a plugin in a nursery of its own, which has other settings than that of most: no other plugin that is
// measured is in it.
type nurseryPeer struct {
	*trellisPeer

	nursery *task.Worker
	ended   chan struct{} // closed to end the nursery
	err     error         // of the nursery, when that has ended
}

func startInNursery(ctx context.Context, o host.Options, spec host.Spec) (*nurseryPeer, error) {
	outside, cancel := context.WithCancel(context.Background()) // of the nursery that all others are in
	stop := context.AfterFunc(ctx, cancel)
	p := &nurseryPeer{ended: make(chan struct{})}
	started := make(chan error, 1)
	p.nursery = task.Start(func() {
		defer cancel()
		defer stop()
		begun := false
		p.err = host.OpenNursery(outside, o, func(ctx context.Context, n *host.Nursery) error {
			begun = true
			found, err := startIn(ctx, n, spec)
			if err == nil {
				p.trellisPeer = found.(*trellisPeer)
			}
			started <- err
			if err == nil {
				select {
				case <-p.ended:
				case <-ctx.Done():
				}
				n.Cancel()
			}
			return err
		})
		if !begun {
			started <- p.err
		}
	})
	if err := <-started; err != nil {
		p.nursery.Wait()
		return nil, err
	}
	return p, nil
}

func (p *nurseryPeer) stop() error {
	close(p.ended)
	p.nursery.Wait()
	return p.err
}

// startFromStandby starts plugins of which a spare waits. They are in a nursery of their own, since
// their spares live for longer than they do.
func (l *lab) startFromStandby(ctx context.Context, times int) (all []sample, err error) {
	spec := l.spec(Trellis)
	spec.Name, spec.Standby = "spared", 1
	var starts []float64
	err = host.OpenNursery(ctx, host.Options{Log: slog.New(slog.DiscardHandler)}, func(ctx context.Context, n *host.Nursery) error {
		defer n.Cancel()
		since := time.Now()
		if _, err := startIn(ctx, n, spec); err != nil { // there are no spares before
			return err
		}
		for e, err := range host.Events(ctx) {
			if err != nil || e.Actor.Name != spec.Name || e.To != directory.Standby || e.Time.Before(since) {
				continue // it tells of other rounds, too
			}
			begun := time.Now()
			p, err := startIn(ctx, n, spec)
			if err == nil {
				err = firstCall(ctx, p)
			}
			starts = append(starts, float64(time.Since(begun)))
			if err != nil || len(starts) == times {
				return err
			}
			if err := p.stop(); err != nil {
				return err
			}
		}
		return context.Cause(ctx)
	})
	return []sample{{value: measure.Quantile(starts, 0.5)}}, err
}

func (p *trellisPeer) pids() []int { return []int{p.portal.ID().PID} }

func (p *trellisPeer) stop() error {
	err := p.portal.Cancel(context.Background(), "done")
	<-p.portal.Done()
	return err
}

func (p *trellisPeer) call(ctx context.Context, payload []byte) ([]byte, error) {
	return ours.Call.Call(ctx, p.portal, payload)
}

type end = contract.Opener[ours.None, []byte, []byte, ours.None]

func (p *trellisPeer) open(ctx context.Context) error {
	_, err := ours.Open.Open(ctx, p.portal, ours.None{}, func(context.Context, *end) error { return nil })
	return err
}

func (p *trellisPeer) pour(ctx context.Context, size int, each func() bool) error {
	return take(ours.Pour.Stream(ctx, p.portal, size), size, each)
}

// take reads messages of a size until each says that it is enough.
func take(messages iter.Seq2[[]byte, error], size int, each func() bool) error {
	for message, err := range messages {
		if err != nil {
			return err
		}
		if err := wrongSize(len(message), size); err != nil {
			return err
		}
		if !each() {
			return nil
		}
	}
	return errEnded
}

func (p *trellisPeer) echo(ctx context.Context, payload []byte, each func() bool) error {
	return p.echoWith(ctx, ours.Echo, ours.Owned, payload, each)
}

func (p *trellisPeer) echoWith(ctx context.Context, endpoint ours.Echoing, messages ours.Receiving, payload []byte, each func() bool) error {
	_, err := endpoint.Open(ctx, p.portal, ours.None{}, func(ctx context.Context, c *end) error {
		s, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		c.Go(func(ctx context.Context) error {
			for ctx.Err() == nil {
				if err := s.Send(ctx, payload); err != nil && ctx.Err() == nil {
					return err
				}
			}
			return nil
		})
		if err := take(messages(s, ctx), len(payload), each); err != nil {
			return err
		}
		return c.Cancel(ctx, "measured")
	})
	return err
}

// borrower borrows its messages, on both sides.
type borrower struct{ *trellisPeer }

func (b borrower) pour(ctx context.Context, size int, each func() bool) error {
	return take(ours.Pour.Borrow(ctx, b.portal, size), size, each)
}

func (b borrower) echo(ctx context.Context, payload []byte, each func() bool) error {
	return b.echoWith(ctx, ours.EchoBorrowed, ours.Borrowed, payload, each)
}

func (p *trellisPeer) cancelled(ctx context.Context) (float64, error) {
	id := p.last.Add(1)
	var begun time.Time
	_, err := ours.Hold.Open(ctx, p.portal, id, func(ctx context.Context, c *end) error {
		begun = time.Now()
		return c.Cancel(ctx, "measured")
	})
	if err != nil {
		return 0, err
	}
	at, err := ours.Ended.Call(ctx, p.portal, id)
	return usage.Since(begun, at), err
}

func (p *trellisPeer) use(ctx context.Context) (usage.Consumption, error) {
	return ours.Usage.Call(ctx, p.portal, ours.None{})
}

func (p *trellisPeer) hold(ctx context.Context) holding {
	h := &trellisHolding{portal: p.portal}
	h.ctx, h.cancel = context.WithCancelCause(ctx)
	return h
}

// trellisHolding owns a goroutine for each context, whose scope it is.
type trellisHolding struct {
	portal *host.Portal
	ctx    context.Context
	cancel context.CancelCauseFunc
	scopes task.Group
}

func (h *trellisHolding) grow(n int) error {
	opened := make(chan error, n)
	for range n {
		h.scopes.Go(func() {
			held := false
			_, err := ours.Hold.Open(h.ctx, h.portal, 0, func(ctx context.Context, _ *end) error {
				held = true
				opened <- nil
				<-ctx.Done()
				return context.Cause(ctx)
			})
			if !held {
				opened <- err
			}
		})
	}
	for range n {
		if err := <-opened; err != nil {
			return err
		}
	}
	return nil
}

func (h *trellisHolding) release() error {
	h.cancel(errMeasured)
	h.scopes.Close()
	return nil
}

// hibernating has contexts that need no goroutine in either process. Their scope has one.
type hibernating struct {
	portal *host.Portal
	group  *contract.Group
	scope  *task.Worker
	err    error // of the scope, when that has ended
}

func (p *trellisPeer) hibernate(ctx context.Context) holding {
	h := &hibernating{portal: p.portal}
	begun := make(chan struct{})
	h.scope = task.Start(func() {
		h.err = contract.OpenGroup(ctx, func(ctx context.Context, g *contract.Group) error {
			h.group = g
			close(begun)
			<-ctx.Done()
			return context.Cause(ctx)
		})
	})
	<-begun
	return h
}

func (h *hibernating) grow(n int) error {
	opened := make(chan error, n)
	for range n {
		held := false
		err := ours.Hibernate.OpenIn(h.group, h.portal, ours.None{}, func(_ context.Context, c *end) error {
			held = true
			opened <- nil
			return c.Hibernate(context.Cause)
		}, func(_ ours.None, err error) error {
			if !held {
				opened <- err
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	for range n {
		if err := <-opened; err != nil {
			return err
		}
	}
	return nil
}

func (h *hibernating) release() error {
	h.group.Cancel()
	h.scope.Wait()
	return h.err
}
