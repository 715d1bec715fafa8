package fault

import (
	"context"
	"errors"
)

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
	switch {
	case len(parts.real) == 0:
		return cause
	case parts.echo && !IsCancel(cause):
		return &settled{cause: cause, also: parts.real}
	}
	return err
}

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

// dissect sorts the tree of err. A single-cause wrapper belongs with what it
// wraps; a wrapper of several is taken apart.
func dissect(err, cause error) parts {
	if err == nil {
		return parts{}
	}
	if same(err, cause) || isDeadline(err) && isDeadline(cause) {
		return parts{echo: true}
	}
	if isCancelNode(err) {
		return parts{}
	}
	causes := unwrap(err)
	if len(causes) == 0 {
		return parts{real: []error{err}}
	}
	var p parts
	for _, c := range causes {
		if c == nil {
			continue
		}
		sub := dissect(c, cause)
		p.echo = p.echo || sub.echo
		p.real = append(p.real, sub.real...)
	}
	if len(causes) == 1 && len(p.real) > 0 || isRemote(err) && len(p.real) > 0 {
		p.real = []error{err} // keep the words around it
	}
	return p
}

// same reports whether both are one failure, seen before and after a relay.
func same(err, cause error) bool {
	if cause == nil {
		return false
	}
	a, ok := err.(*RemoteError) //nolint:errorlint // this node only
	if !ok {
		return identical(err, cause)
	}
	b, ok := cause.(*RemoteError) //nolint:errorlint // this node only
	return ok && a.record.ID != "" && a.record.ID == b.record.ID || identical(err, cause)
}

// identical is err == cause that does not panic on uncomparable types.
func identical(err, cause error) (eq bool) {
	defer func() {
		if recover() != nil {
			eq = false
		}
	}()
	return err == cause //nolint:errorlint // identity is meant
}

func isRemote(err error) bool {
	_, ok := err.(*RemoteError) //nolint:errorlint // this node only
	return ok
}

func isCancelNode(err error) bool {
	if err == context.Canceled { //nolint:errorlint // this node only
		return true
	}
	_, ok := err.(*ContextCancelled) //nolint:errorlint // this node only
	return ok
}

// isDeadline reports whether err is a deadline that has passed. A deadline travels
// with a call, so both ends may notice it by themselves: that is one failure.
func isDeadline(err error) bool {
	if r, ok := err.(*RemoteError); ok { //nolint:errorlint // this node only
		return r.record.Name == sentinelName(context.DeadlineExceeded)
	}
	return err == context.DeadlineExceeded //nolint:errorlint // this node only
}

// Also is what failed in the clean-up after a remote failure; nil if nothing did.
func Also(err error) error {
	r, ok := err.(*RemoteError) //nolint:errorlint // this node only
	if !ok {
		return nil
	}
	var all []error
	for _, a := range r.record.Also {
		all = append(all, a.Unpack())
	}
	return Join(all...)
}

// Cancelled returns the ContextCancelled that err is or carries.
func Cancelled(err error) (*ContextCancelled, bool) {
	return errors.AsType[*ContextCancelled](err)
}
