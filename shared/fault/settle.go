package fault

import "context"

// settled is a failure together with what failed in the clean-up after it.
type settled struct {
	cause error
	also  []error
}

func (s *settled) Error() string   { return text(s.cause) }
func (s *settled) Unwrap() []error { return append([]error{s.cause}, s.also...) }

// Settle decides what a task failed with that was told to end because of cause
// and then returned err.
//
// A task that only reports being told (it returns ctx.Err(), the cause, or either
// wrapped) failed with the cause itself. A real failure beats a cancel and is
// returned as it is. If cause was itself a failure and err holds both it and
// something else, the cause stays what it was, and the rest goes along with it.
func Settle(err, cause error) error {
	if err == nil || cause == nil {
		return err
	}
	parts := dissect(err, cause)
	if e, ok := cause.(*expired); ok {
		cause = e.error
	}
	switch {
	case len(parts.real) == 0:
		return cause
	case parts.echo && !IsCancel(cause):
		return &settled{cause: cause, also: parts.real}
	}
	return err
}

// Reason makes the cause of a task's end ready for Settle, Echoes and Holds. A ctx
// that a deadline has ended may have a cause of its own, as context.WithTimeoutCause
// gives it, and yet its Err is context.DeadlineExceeded: of a task that had that ctx,
// it says no more than context.Canceled does of others.
func Reason(ctx context.Context, cause error) error {
	if cause == nil || isDeadline(cause) || ctx.Err() != context.DeadlineExceeded {
		return cause
	}
	return &expired{cause}
}

// expired is a cause beside which a deadline adds nothing.
type expired struct{ error }

func (e *expired) Unwrap() error { return e.error }

// Echoes reports whether err says nothing but that cause, or a cancel, happened.
func Echoes(err, cause error) bool { return len(dissect(err, cause).real) == 0 }

// Holds reports whether cause itself, perhaps relayed, is somewhere in err.
func Holds(err, cause error) bool { return cause != nil && dissect(err, cause).echo }

// IsCancel reports whether err is nothing but somebody's wish that a task end.
func IsCancel(err error) bool { return err != nil && len(dissect(err, nil).real) == 0 }

// parts is an error tree sorted by what its leaves say.
type parts struct {
	echo bool    // the cause itself was among them
	real []error // subtrees that tell of something else
}

// dissect sorts the tree of err.
func dissect(err, cause error) parts {
	if err == nil {
		return parts{}
	}
	w := walk{cause: cause, left: maxWalk}
	if e, ok := cause.(*expired); ok {
		w.cause, w.expired = e.error, true
	}
	w.sort(err)
	return w.parts
}

// maxWalk bounds the errors that a walk looks at: an error may wrap itself.
const maxWalk = 100_000

type walk struct {
	parts

	cause   error
	expired bool // a deadline adds nothing
	left    int
}

// sort sorts one node and what is below it. A single-cause wrapper belongs with
// what it wraps; a wrapper of several is taken apart.
func (w *walk) sort(err error) {
	if w.left--; w.left < 0 {
		w.real = append(w.real, err)
		return
	}
	if same(err, w.cause) || isDeadline(err) && isDeadline(w.cause) {
		w.echo = true
		return
	}
	if isCancelNode(err) || w.expired && isDeadline(err) {
		return
	}
	if r, ok := err.(*RemoteError); ok && r != nil {
		w.sortRemote(r)
		return
	}
	causes := unwrap(err)
	if len(causes) == 0 {
		w.real = append(w.real, err)
		return
	}
	before := len(w.real)
	w.all(causes)
	if len(causes) == 1 {
		w.whole(err, before)
	}
}

func (w *walk) all(errs []error) {
	for _, err := range errs {
		w.sort(err)
	}
}

// whole puts err, with the words around it, in place of what is real below it.
func (w *walk) whole(err error, before int) {
	if len(w.real) > before {
		w.real = append(w.real[:before], err)
	}
}

// sortRemote sorts as it would have been sorted where it arose: by what it wraps,
// else by what it is. It stays whole.
func (w *walk) sortRemote(r *RemoteError) {
	before, local := len(w.real), r.local().errs
	switch {
	case len(local) > 0 && isCancelNode(local[0]), w.expired && isDeadline(r):
	case len(r.causes) > 0:
		w.all(r.causes)
	case len(local) > 0:
		w.sort(local[0])
	default:
		w.real = append(w.real, r)
	}
	w.all(r.also)
	w.whole(r, before)
}

// same reports whether both are one failure, seen before and after a relay.
func same(err, cause error) bool {
	if cause == nil {
		return false
	}
	a, ok := err.(*RemoteError)
	if !ok {
		return Identical(err, cause)
	}
	b, ok := cause.(*RemoteError)
	return ok && a.ID() != "" && a.ID() == b.ID() || Identical(err, cause)
}

// Identical is err == cause that does not panic on types that cannot be compared.
func Identical(err, cause error) (eq bool) {
	defer func() {
		if recover() != nil {
			eq = false
		}
	}()
	return err == cause
}

// isCancelNode reports whether err itself is a cancel.
func isCancelNode(err error) bool {
	if _, ok := err.(*ContextCancelled); ok {
		return true
	}
	return err == context.Canceled || claims(err, context.Canceled)
}

// isDeadline reports whether err is a deadline that has passed. A deadline travels
// with a call, so both ends may notice it by themselves: that is one failure.
func isDeadline(err error) bool {
	if r, ok := err.(*RemoteError); ok {
		return r.rec().Name == sentinelName(context.DeadlineExceeded)
	}
	return err == context.DeadlineExceeded || claims(err, context.DeadlineExceeded)
}

// Also is what failed in the clean-up after a remote failure; nil if nothing did.
func Also(err error) error {
	r, ok := err.(*RemoteError)
	if !ok || r == nil {
		return nil
	}
	return Join(r.also...)
}

// Cancelled returns the ContextCancelled that err is or carries.
func Cancelled(err error) (*ContextCancelled, bool) {
	w := walk{left: maxWalk}
	c := w.find(err)
	return c, c != nil
}

// find is errors.As that ends on an error which wraps itself.
func (w *walk) find(err error) *ContextCancelled {
	if w.left--; w.left < 0 || err == nil {
		return nil
	}
	if c, ok := err.(*ContextCancelled); ok {
		return c
	}
	for _, cause := range unwrap(err) {
		if c := w.find(cause); c != nil {
			return c
		}
	}
	return nil
}
