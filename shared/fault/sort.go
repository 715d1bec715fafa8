package fault

import (
	"cmp"
	"context"
)

// IsCancel reports whether err is nothing but somebody's wish that a task end.
func IsCancel(err error) bool { return err != nil && Ending{Body: err}.parts().onlyTold() }

// Cancelled returns the ContextCancelled that err is or carries, the first one if there are
// several.
func Cancelled(err error) (*ContextCancelled, bool) {
	c := Ending{Body: err}.parts().cancelled
	return c, c != nil
}

// parts is an error tree sorted by what its leaves say. What is neither the cause nor real is a
// cancel or an expected deadline, of which it is enough to know that it was there: a tree with no
// real part says nothing but that the task was to end.
type parts struct {
	echo      bool              // the cause itself was among them
	real      []error           // subtrees that tell of something else
	cancelled *ContextCancelled // the first one among them that is not the cause
}

// onlyTold reports whether the tree says nothing but that the task was to end.
func (p parts) onlyTold() bool { return len(p.real) == 0 }

// parts sorts the tree of Body.
func (e Ending) parts() parts {
	if e.Body == nil {
		return parts{}
	}
	w := walk{about: e, left: maxWalk}
	w.sort(e.Body)
	return w.parts
}

// maxWalk bounds the errors that a walk looks at: an error may wrap itself. It is far above what
// can come over a link (maxErrors), so that only an endless error meets it. What lies beyond
// counts as real: in doubt nothing is dropped.
const maxWalk = 100_000

// walk is one pass over a tree. It is made for one question, and used by the goroutine that asks.
type walk struct {
	parts

	about Ending
	left  int // errors that it may still look at
}

// sort sorts one node and what is below it. A single-cause wrapper belongs with
// what it wraps; a wrapper of several is taken apart.
//
// So fmt.Errorf("read: %w", ctx.Err()) is an echo, with its words; and of
// errors.Join(ctx.Err(), errDisk) only errDisk is real. The order of the questions matters: the
// cause is recognised before it is taken for a cancel, since it may be one, and an error is asked
// what it is before what it wraps, since a ContextCancelled wraps context.Canceled.
func (w *walk) sort(err error) {
	if w.left--; w.left < 0 {
		w.real = append(w.real, err)
		return
	}
	if w.same(err) || isDeadline(err) && isDeadline(w.about.Cause) {
		w.echo = true
		return
	}
	if w.isCancel(err) || w.about.Expired && isDeadline(err) {
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

// whole puts err, with the words around it, in place of what is real below it. before is how many
// real parts there were when the walk came to err, so those behind it are err's.
func (w *walk) whole(err error, before int) {
	if len(w.real) > before {
		w.real = append(w.real[:before], err)
	}
}

// sortRemote sorts as it would have been sorted where it arose: by what it wraps,
// else by what it is. It stays whole: even if only a part of it is real, what is passed on is the
// RemoteError itself, with its id, its origin and its path, which the parts do not have.
func (w *walk) sortRemote(r *RemoteError) {
	before, local := len(w.real), r.local().errs
	switch {
	case len(local) > 0 && w.isCancel(local[0]), w.about.Expired && isDeadline(r):
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

// same reports whether err is the cause, seen before and after a relay. Relayed errors are other
// values each time that they arrive, and are compared by their ids. Told is the id under which
// this side sent a cause of its own, which has none here, to the other task.
func (w *walk) same(err error) bool {
	if w.about.Cause == nil {
		return false
	}
	a, ok := err.(*RemoteError)
	if !ok || a.ID() == "" {
		return identical(err, w.about.Cause)
	}
	b, ok := w.about.Cause.(*RemoteError)
	return ok && a.ID() == b.ID() || a.ID() == w.about.Told || identical(err, w.about.Cause)
}

// isCancel reports whether err itself is a cancel, and remembers the first that says whose.
func (w *walk) isCancel(err error) bool {
	c, ok := err.(*ContextCancelled)
	w.cancelled = cmp.Or(w.cancelled, c)
	return ok || err == context.Canceled || claims(err, context.Canceled)
}

// isDeadline reports whether err is a deadline that has passed. A deadline travels
// with a call, so both ends may notice it by themselves: that is one failure. Of a remote error
// the name is enough, and its fields need not be read.
func isDeadline(err error) bool {
	if r, ok := err.(*RemoteError); ok {
		return r.orNil().node.GetName() == sentinelName(context.DeadlineExceeded)
	}
	return err == context.DeadlineExceeded || claims(err, context.DeadlineExceeded)
}
