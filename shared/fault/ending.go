package fault

import (
	"context"
	"errors"
	"slices"
)

// Ending is how a task has ended: what it returned, and all that bears on whose failure
// that is. It is the one place where this is decided, for the two tasks of a dialog, for
// a nursery, and for a group of either. It is a value without a lock; its methods call those
// of the errors, which may be an author's, and so are not called under a lock either.
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

// EndingOf is the ending of a task that has returned err and had ctx.
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

// IsCause reports whether the task returned the very error that it was told to end with.
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
	case parts.echo && !IsCancel(e.Cause):
		return &settled{cause: e.Cause, also: parts.real}
	}
	return e.Body
}

// Rest is what failed in the task's clean-up, if it was relayed beside its failure and says
// more than that the task was told to end.
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
	others = slices.DeleteFunc(others, func(err error) bool { return err == nil })
	if len(others) > 0 && IsCancel(first) {
		return Join(others...)
	}
	return Join(append([]error{first}, others...)...)
}

// first is the failure that comes before all others.
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
func (e Ending) second(first error) error {
	if e.Remote == nil || identical(e.Remote, first) || holds(first, e.Remote) || IsCancel(e.Remote) || isLoss(e.Remote) {
		return nil
	}
	if remote, ok := e.Remote.(*RemoteError); ok && first != nil && holds(remote, first) {
		return nil
	}
	return e.Remote
}

// holds reports whether cause, perhaps relayed, is somewhere in err.
func holds(err, cause error) bool {
	return cause != nil && Ending{Body: err, Cause: cause}.parts().echo
}

func isLoss(err error) bool {
	_, died := errors.AsType[*ActorDied](err)
	_, lost := errors.AsType[*LinkLost](err)
	return died || lost
}

// settled is a failure together with what failed in the clean-up after it.
type settled struct {
	cause error
	also  []error
}

func (s *settled) Error() string   { return text(s.cause) }
func (s *settled) Unwrap() []error { return append([]error{s.cause}, s.also...) }
