package dialog

import (
	"context"
	"time"

	"github.com/seed-2ba35074/trellis/internal/panics"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Hibernation is what a task returns, as its error, to give its goroutine back. The task has not
// ended: it goes on with Next when there is news. That is when its ctx has ended, when there are
// messages in the stream that it has opened, when the peer sends no more, and when the peer's task
// has ended. Each is news once; after messages, all that has ended is news again. It is for callees,
// and for openers in [Dialog.ScopeIn]. It belongs to one dialog: for the task of any other, which
// may have got it as the failure of a scope inside, it is an error.
type Hibernation struct {
	of   *Dialog
	next Task
}

// Hibernate gives what the task of this side is to return, to go on with next.
func (d *Dialog) Hibernate(next Task) *Hibernation { return &Hibernation{d, next} }

// Error is what somebody sees who returns it from where nothing can go on later.
func (*Hibernation) Error() string {
	return "Hibernate is for handlers of contexts and for what OpenIn runs, which return what it gives as it is; elsewhere, wait"
}

// member is what a dialog has whose task may hibernate, beside that task. It is made by that task, or
// before it begins, and does not change.
type member struct {
	group    *task.Group     // its goroutines are of that
	unfollow func() bool     // callee: ends watch; opener: ends follow
	ended    func(err error) // opener: ScopeIn has it
	began    time.Duration   // callee: after the program
}

// news is what a task that hibernates has been told.
type news struct {
	ctxEnded, peerSilent, peerEnded bool

	messages uint32 // changes with each that has come and was kept, and with each that was taken
}

// stirred reports whether there is news for the task of this side, or whether it can begin. Whoever
// takes one message at a time is told of the next one, and of all ends after the last one; whoever
// takes none is told once for each packet with messages. The caller holds mu.
func (d *Dialog) stirred() bool {
	if !d.running {
		return d.settled()
	}
	now := news{ctxEnded: d.interrupted || d.ctx.Err() != nil, peerSilent: d.in.stopped, peerEnded: d.done}
	if d.in.attached {
		now.messages = -uint32(len(d.in.queue))
	}
	if d.in.attached && !d.in.deaf && !d.in.broken { // else what comes is dropped, and is not news
		now.messages += 2 * uint32(d.in.received)
	}
	if now.messages != d.heard.messages {
		d.heard = news{messages: now.messages}
		if len(d.in.queue) > 0 {
			return true
		}
	}
	fresh := now != d.heard
	d.heard = now
	return fresh
}

// perform runs the task of this side until it ends or hibernates. If it hibernates, carryOn will be
// called for the rest of it, perhaps before perform has returned. began is when it has begun, if it is a callee's.
func (d *Dialog) perform(began time.Duration) (payload []byte, err error, asleep bool) { //nolint:revive // asleep is about both
	for {
		err = panics.Catch(func() (err error) {
			payload, err = d.task(d.ctx, d)
			return err
		})
		h, ok := err.(*Hibernation) //nolint:errorlint // as it is
		if !ok || h.of != d || d.flows == nil {
			return payload, err, false
		}
		d.task = h.next
		if d.member == nil {
			d.member = &member{group: &d.table.tasks, unfollow: d.watch(), began: began}
		}
		if d.sleep() {
			return nil, nil, true
		}
		d.mustEnd() // that ctx has ended may be the news, and true only in a moment
	}
}

// watch rouses a callee whose ctx ends by itself, with its actor's base or at its deadline: the
// dialog does not hear of that. An opener does (follow). To watch over the base, which has all of
// the callees below it anyway, takes a quarter of the memory that the dialog's own ctx would.
func (d *Dialog) watch() (stop func() bool) {
	over := d.outer
	if !d.deadline.IsZero() {
		over = d.ctx
	}
	return context.AfterFunc(over, func() {
		<-d.ctx.Done() // in a moment
		d.mu.Lock()
		defer d.mu.Unlock()
		d.rouse()
	})
}

// sleep makes the task of this side one that hibernates, which counts in its group as if it ran. It
// reports false if there is news already.
func (d *Dialog) sleep() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asleep = !d.stirred()
	if d.asleep {
		d.turn.Store(nil) // the rest does not run on the link's reader, and may begin before that is told
		d.member.group.Keep()
	}
	return d.asleep
}

// rouse lets a task that hibernates go on, if there is news. The caller holds mu.
func (d *Dialog) rouse() {
	if d.asleep && d.stirred() {
		d.asleep = false
		d.member.group.Resume(d.carryOn)
	}
}

// carryOn is the rest of a task that has hibernated.
func (d *Dialog) carryOn() {
	d.mustEnd() // as perform does
	if !d.callee {
		d.runMember()
		return
	}
	asleep := false
	defer d.depart(&asleep)
	asleep = d.serve()
}

// ScopeIn is [Dialog.Scope] as a part of a group, from a goroutine of which it is called. It does not
// wait: body runs in goroutines of the group, and may hibernate. ended is called there, once, when
// both sides have ended, with what Scope would return, or a panic as an error.
func (d *Dialog) ScopeIn(group *task.Group, body Task, ended func(err error)) {
	d.lead(func(*Dialog) bool { return true }) // it does not wait
	d.answered()
	d.task, d.member = body, &member{group: group, unfollow: d.follow(d.outer), ended: ended}
	d.mu.Lock()
	defer d.mu.Unlock()
	group.Keep()
	d.asleep = true // until Started comes
	d.rouse()
}

// runMember runs the body of a scope in a group, or the rest of it, until it ends or hibernates. It
// does what Scope does, and in the same order.
func (d *Dialog) runMember() {
	var err error
	asleep := false
	defer func() {
		if !asleep {
			d.leaveScope(d.member.unfollow)
			panics.Attempt(func() error { return d.verdict(err) }, d.member.ended)
		}
	}()
	if d.opened() {
		err = fault.ErrGoexit
		if _, err, asleep = d.perform(0); asleep {
			return
		}
		err = d.bodyEnded(err)
	}
	d.drain()
}
