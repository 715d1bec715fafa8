package fault

import (
	"context"
	"errors"
)

// Ending is how a task has ended: what it returned, and all that bears on whose failure
// that is. It is the one place where this is decided, for the two tasks of a dialog, for
// a nursery, and for a group of either. It is a value without a lock; its methods call those
// of the errors, which may be an author's, and so are not called under a lock either.
//
// The difficulty is that a task which is told to end nearly always returns an error, and that
// this error says nothing new: ctx.Err(), the cause, the cause in other words, or the cause
// after it has been to another process and back. Counted as failures, these would multiply
// with every level of a tree. What is dropped, though, must never be a failure that nobody
// else reports. So each error is compared with the cause by identity, node by node (see
// [walk]), and never by its text.
type Ending struct {
	Body    error  // what the task returned
	Cause   error  // why it was told to end before; nil if it was not
	Expired bool   // a deadline has ended its ctx: that one has passed adds nothing to Cause
	Told    string // the ID by which another task was told of Cause, if it was: Body may be its echo
	Asked   bool   // the task has called Cancel itself: to end because of that is not a failure

	Remote error   // what the task at the other side has ended with
	Clean  bool    // Remote is only the answer to Cancel
	Others []error // failures of what else belonged to the task
}

// EndingOf is the ending of a task that has returned err and had ctx. It looks at the ctx when
// it is called, so it is called as soon as the task has returned: a ctx that ends later was not
// why the task did.
//
// Expired is taken from ctx.Err and not from the cause. context.WithTimeoutCause gives a ctx a
// cause of its own, while the callee, to which only the time of the deadline is sent, answers
// with DeadlineExceeded; the two are one failure.
func EndingOf(ctx context.Context, err error) Ending {
	e := Ending{Body: err}
	if over := ctx.Err(); over != nil {
		e.Cause, e.Expired = context.Cause(ctx), over == context.DeadlineExceeded
	}
	return e
}

// Echo reports whether the task says nothing but that it was told to end, in whatever
// words: it has returned ctx.Err(), the cause, or either wrapped.
func (e Ending) Echo() bool {
	return e.Body == nil || e.Cause != nil && e.parts().onlyTold()
}

// IsCause reports whether the task returned the very error that it was told to end with. It is
// narrower than [Ending.Echo], for which words around the cause make no difference.
func (e Ending) IsCause() bool { return identical(e.Body, e.Cause) }

// Failure is what the task itself has failed with. A task that only reports being told
// failed with the cause itself. A real failure beats a cancel and is returned as it is. If
// the cause was itself a failure, and the task reports it and something else, the cause
// stays what it was, and the rest goes along with it.
func (e Ending) Failure() error {
	if e.Body == nil || e.Cause == nil && !e.Asked {
		return e.Body // and nothing of it is asked
	}
	switch parts := e.parts(); {
	case e.Asked && parts.onlyTold() && (e.Cause == nil || IsCancel(e.Cause)):
		return nil
	case e.Cause == nil:
		return e.Body
	case parts.onlyTold():
		return e.Cause
	// Here the task reports the failure that ended it together with one of its own. Were it
	// returned as it is, the owner could not see that a part of it is known already.
	case parts.echo && !IsCancel(e.Cause):
		return &settled{cause: e.Cause, also: parts.real}
	}
	return e.Body
}

// Rest is what failed in the task's clean-up, if it was relayed beside its failure and says
// more than that the task was told to end. The failure itself may be an echo that is dropped;
// what failed in the clean-up after it was seen by nobody else, and must not go with it.
func (e Ending) Rest() error {
	remote, ok := e.Body.(*RemoteError)
	if !ok || remote == nil {
		return nil
	}
	if e.Body = Join(remote.also...); e.Echo() {
		return nil
	}
	return e.Body
}

// Verdict is what the whole ends with: one failure, or all that have nothing to do with each
// other, joined. The words that the task has put around the cause stay. What only says that
// somebody wanted the end yields to everything else.
//
// If the peer has only answered a Cancel, the end is the one that was wanted, and a cancel in
// Body is no failure either. A real failure in Body stays one.
func (e Ending) Verdict() error {
	if e.Clean {
		if e.Body == nil || IsCancel(e.Body) {
			return nil
		}
		return e.Body
	}
	first := e.first()
	others := []error{e.second(first)}
	for _, err := range e.Others {
		if first == nil || !holds(first, err) {
			others = append(others, err)
		}
	}
	if rest := Join(others...); rest != nil && IsCancel(first) {
		return rest
	}
	return Join(append([]error{first}, others...)...)
}

// first is the failure that comes before all others: the task's own, unless that is an echo
// which has lost the cause. An error that is or wraps the cause is kept for the words in it; a
// bare ctx.Err() says less than the cause does, and is replaced by it.
func (e Ending) first() error {
	cause := e.Cause
	if overdue, ok := e.Remote.(*Overdue); ok && cause != nil {
		cause = overdue // which names the cause, too
	}
	switch {
	case e.Body == nil && cause == nil:
		return e.Remote
	case e.Body == nil, cause != nil && e.Echo() && !holds(e.Body, cause): // it returned ctx.Err()
		return cause
	}
	return e.Body
}

// second is the failure of the other side, if it is another one than the first. That its
// actor is gone adds nothing to another failure: whoever owns that actor reports it.
//
// Either may hold the other. The first holds the remote one if this task has waited for the
// remote task and passed its error on; the remote one holds the first if that was what the
// remote task was told to end with.
func (e Ending) second(first error) error {
	if e.Remote == nil || identical(e.Remote, first) || holds(first, e.Remote) || IsCancel(e.Remote) || isLoss(e.Remote) {
		return nil
	}
	if remote, ok := e.Remote.(*RemoteError); ok && first != nil && holds(remote, first) {
		return nil
	}
	return e.Remote
}

// holds reports whether cause, perhaps relayed, is somewhere in err. It is not errors.Is, which
// would match every error that has the same sentinel below it: two calls that both failed with
// io.EOF are two failures.
func holds(err, cause error) bool {
	return cause != nil && Ending{Body: err, Cause: cause}.parts().echo
}

// isLoss reports whether err says only that the peer is gone. ActorUnhealthy and ActorStuck match
// ErrActorLost as well, and are not among them: they say why the host has ended the actor.
func isLoss(err error) bool {
	_, died := errors.AsType[*ActorDied](err)
	_, lost := errors.AsType[*LinkLost](err)
	_, gone := errors.AsType[*HostLost](err)
	return died || lost || gone
}

// settled is a failure together with what failed in the clean-up after it. Its text is that of
// the failure alone, so that the wrapping does not show. [packer.add] takes it apart and marks
// the rest as "also", which is how a RemoteError has the two again at the far end.
type settled struct {
	cause error
	also  []error
}

func (s *settled) Error() string   { return text(s.cause) }
func (s *settled) Unwrap() []error { return append([]error{s.cause}, s.also...) }
