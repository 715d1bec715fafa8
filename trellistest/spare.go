package trellistest

import (
	"context"
	"slices"
)

// Spares are the processes of an actor's standby, in the order of their starts: those that live,
// and were not told yet that they are the actor.
func (p *Programs) Spares(actor string) []*Process {
	return slices.DeleteFunc(p.Processes(actor), func(one *Process) bool {
		_, dead := (system{one}).Exit()
		return dead || one.isBooted()
	})
}

// isBooted reports whether it is an actor's, and not a spare.
func (p *Process) isBooted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.booted
}

// becomesActor is the moment from which on it is not a spare.
func (g program) becomesActor() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.booted = true
}

// Current is nil: nobody can replace it.
func (g program) Current() error { return nil }

// Stop ends a process that has not become an actor: it has nothing to do before that.
func (g program) Stop(ctx context.Context) error {
	if err := g.awake(ctx); err != nil {
		return err
	}
	g.Die(0)
	return nil
}
