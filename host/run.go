package host

import (
	"context"
	"errors"

	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// OneShot is an actor that was started to run one endpoint. A goroutine of the nursery's
// owns it: it sets value and err, once, before it closes done, and ends when the actor is
// gone. The OneShot itself may be kept for as long as somebody wants its result.
type OneShot[Result any] struct {
	done  chan struct{}
	value Result
	err   error
}

// Run starts an actor, runs one endpoint in it, and ends the actor as soon as the
// result is in. It does not wait. A failure is the nursery's as well, which returns it
// and, with the default strategy, cancels the others.
func Run[Args, Result any](n *Nursery, spec Spec, e contract.FuncEndpoint[Args, Result], args Args) *OneShot[Result] {
	shot := &OneShot[Result]{done: make(chan struct{})}
	if err := n.enter(); err != nil {
		shot.deliver(shot.value, err)
		return shot
	}
	n.tasks.Go(func() {
		defer n.leave()
		defer func() { // the author's code that encodes Args may call runtime.Goexit
			if !isClosed(shot.done) {
				shot.end(n, fault.ErrGoexit)
			}
		}()
		c, err := n.addOneShot(spec)
		if err == nil {
			err = c.awaitUp(n.ctx)
		}
		if err != nil {
			shot.end(n, err)
			return
		}
		// The actor is gone before the one-shot is counted as over, so that the nursery does
		// not end in between. dismiss is deferred later than this and so runs first.
		defer func() { <-c.gone }()
		defer c.dismiss("its one task is done")
		value, err := e.Call(n.ctx, newPortal(c), args)
		if err != nil {
			shot.end(n, err)
			return
		}
		shot.deliver(value, nil)
	})
	return shot
}

// end delivers a failure, and tells the nursery of it unless the nursery itself
// was the reason: it took no more children, or ended the actor.
func (s *OneShot[Result]) end(n *Nursery, err error) {
	var none Result
	s.deliver(none, err)
	if n.ctx.Err() != nil && (errors.Is(err, fault.ErrActorClosing) || fault.EndingOf(n.ctx, err).Echo()) {
		return
	}
	n.fail(err)
}

// deliver sets the result. It is called exactly once.
func (s *OneShot[Result]) deliver(value Result, err error) {
	s.value, s.err = value, err
	close(s.done)
}

// Wait returns the result. It may be called any number of times, before and after
// the result is there, from anywhere; everyone gets the same. The end of ctx gives
// its cause and changes nothing.
func (s *OneShot[Result]) Wait(ctx context.Context) (Result, error) {
	if err := task.Await(ctx, s.done); err != nil && !isClosed(s.done) { // a result that is there is always given
		var none Result
		return none, err
	}
	return s.value, s.err
}

// addOneShot takes the actor in as a child that no strategy restarts or ends with others,
// and whose failure is reported by the one-shot, which knows the error of the call, and
// not by the table, which knows only how the process ended.
func (n *Nursery) addOneShot(spec Spec) (*child, error) {
	if err := checkAlone(spec, true); err != nil {
		return nil, err
	}
	return n.add(n.ctx, &child{spec: spec, childState: childState{oneShot: true}})
}
