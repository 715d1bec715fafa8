package task

import (
	"context"
	"time"
)

// A loop over what comes may look so many times without a pause, and gets that back at one look in each pace.
const (
	pace  = 20 * time.Millisecond
	looks = 16
)

type unhurried struct{} // the key of a mark of a ctx

// Unhurried returns a ctx whose loops are paced. They are those of viewers; whoever decides by what comes has it at once.
func Unhurried(ctx context.Context) context.Context { return context.WithValue(ctx, unhurried{}, true) }

// Pace keeps a loop of a viewer from being woken for each thing that comes when many do: it looks 50 times a second then, and has at once what
// comes in a quiet time. It belongs to one goroutine.
type Pace struct {
	rests bool
	due   time.Time
}

// PaceOf is the pace of a loop in ctx: one that does not rest, unless it is [Unhurried].
func PaceOf(ctx context.Context) Pace { return Pace{rests: ctx.Value(unhurried{}) != nil} }

// Rest is called after a look that has found something, and waits until the next one is due: not at all as long as there are
// few, and for 20 ms at most. The end of ctx and early, which may be closed or give something, end it.
func (p *Pace) Rest(ctx context.Context, early <-chan struct{}) {
	if !p.rests {
		return
	}
	now := time.Now()
	if first := now.Add(-looks * pace); p.due.Before(first) {
		p.due = first
	} else if p.due.After(now) {
		p.due = now // it has rested less than it was to
	}
	p.due = p.due.Add(pace)
	if !p.due.After(now) {
		return
	}
	timer := time.NewTimer(p.due.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-early:
	case <-ctx.Done():
	}
}
