package bench

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

type none = struct{}

// What the Trellis plugin serves.
var (
	callEnd  = contract.Func[[]byte, []byte]("call")
	openEnd  = contract.Context[none, none, []byte, []byte, none]("open")
	pourEnd  = contract.Source[int, []byte]("pour")
	echoEnd  = contract.Context[none, none, []byte, []byte, none]("echo")
	holdEnd  = contract.Context[uint64, none, []byte, []byte, none]("hold")
	endedEnd = contract.Func[uint64, int64]("ended")
	useEnd   = contract.Func[none, [2]uint64]("use")
)

func serveTrellis() {
	var ended moments
	sdk.Serve(
		callEnd.Handle(func(_ context.Context, payload []byte) ([]byte, error) { return payload, nil }),
		openEnd.Handle(func(_ context.Context, _ none, c *contract.Callee[none, []byte, []byte]) (none, error) {
			return none{}, c.Started(none{})
		}),
		pourEnd.Handle(func(_ context.Context, size int) iter.Seq2[[]byte, error] { return endless(make([]byte, size)) }),
		echoEnd.Handle(func(ctx context.Context, _ none, c *contract.Callee[none, []byte, []byte]) (none, error) {
			if err := c.Started(none{}); err != nil {
				return none{}, err
			}
			return none{}, sendBack(ctx, c)
		}),
		holdEnd.Handle(func(ctx context.Context, id uint64, c *contract.Callee[none, []byte, []byte]) (none, error) {
			if err := c.Started(none{}); err != nil {
				return none{}, err
			}
			<-ctx.Done()
			ended.note(id)
			return none{}, context.Cause(ctx)
		}),
		endedEnd.Handle(ended.take),
		useEnd.Handle(func(context.Context, none) ([2]uint64, error) {
			c := ownConsumption()
			return [2]uint64{c.memory, c.allocations}, nil
		}),
	)
}

// endless yields one message for ever.
func endless(message []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for yield(message, nil) {
		}
	}
}

func sendBack(ctx context.Context, c *contract.Callee[none, []byte, []byte]) error {
	s, err := c.Stream(contract.StreamOptions{})
	if err != nil {
		return err
	}
	for message, err := range s.All(ctx) {
		if err == nil {
			err = s.Send(ctx, message)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// trellisPeer is a plugin that is built with package sdk.
type trellisPeer struct {
	portal *host.Portal
	last   atomic.Uint64 // id of a held context
}

func (l *lab) startTrellis(ctx context.Context) (peer, error) {
	portal, err := l.nursery.Start(ctx, host.Spec{
		Name: "measured", Command: []string{l.self}, Env: map[string]string{roleVar: Trellis},
		// As often as by default, but a machine that has no time left is not a failure here.
		Health: config.Health{Failures: 100},
	})
	if err != nil {
		return nil, err
	}
	return &trellisPeer{portal: portal}, nil
}

func (p *trellisPeer) pid() int { return p.portal.ID().PID }

func (p *trellisPeer) stop() error {
	err := p.portal.Cancel(context.Background(), "done")
	<-p.portal.Done()
	return err
}

func (p *trellisPeer) call(ctx context.Context, payload []byte) ([]byte, error) {
	return callEnd.Call(ctx, p.portal, payload)
}

type end = contract.Opener[none, []byte, []byte, none]

func (p *trellisPeer) open(ctx context.Context) error {
	_, err := openEnd.Open(ctx, p.portal, none{}, func(context.Context, *end) error { return nil })
	return err
}

func (p *trellisPeer) pour(ctx context.Context, size int, each func() bool) error {
	for message, err := range pourEnd.Stream(ctx, p.portal, size) {
		if err != nil {
			return err
		}
		if len(message) != size {
			return fmt.Errorf("a message has %d bytes, expected %d", len(message), size)
		}
		if !each() {
			return nil
		}
	}
	return errEnded
}

func (p *trellisPeer) echo(ctx context.Context, payload []byte, each func() bool) error {
	_, err := echoEnd.Open(ctx, p.portal, none{}, func(ctx context.Context, c *end) error {
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
		for message, err := range s.All(ctx) {
			if err != nil {
				return err
			}
			if len(message) != len(payload) {
				return fmt.Errorf("a message has %d bytes, expected %d", len(message), len(payload))
			}
			if !each() {
				return c.Cancel(ctx, "measured")
			}
		}
		return errEnded
	})
	return err
}

func (p *trellisPeer) cancelled(ctx context.Context) (float64, error) {
	id := p.last.Add(1)
	var begun time.Time
	_, err := holdEnd.Open(ctx, p.portal, id, func(ctx context.Context, c *end) error {
		begun = time.Now()
		return c.Cancel(ctx, "measured")
	})
	if err != nil {
		return 0, err
	}
	at, err := endedEnd.Call(ctx, p.portal, id)
	return since(begun, at), err
}

func (p *trellisPeer) use(ctx context.Context) (consumption, error) {
	u, err := useEnd.Call(ctx, p.portal, none{})
	return consumption{memory: u[0], allocations: u[1]}, err
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
			_, err := holdEnd.Open(h.ctx, h.portal, 0, func(ctx context.Context, _ *end) error {
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
