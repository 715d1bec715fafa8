package read

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/seed-2ba35074/trellis/host/config"
)

// reader gathers problems while a file is read. It belongs to one call of Parse, and to one
// goroutine. Its problems come from three sources, which know different things: the building of
// nodes, the options, and the decoding. Those of Check come last, and bring their own places.
type reader struct {
	file     string
	lookup   func(name string) (string, bool)
	raw      bool // texts are to keep their variables
	problems []problem
	more     int // that were not kept
}

// problem is one mistake. The path to it is written out at the end, when the names of the
// actors in it are known.
type problem struct {
	at      config.Place
	of      *node // nil for the whole
	message string
}

// maxKept is how many problems are kept and put into the order of the file, before those
// are cut that are not told. Problems are found out of order: those of keys and aliases while the
// nodes are built, those of values later. Enough are kept for the ones that are told to be the
// first in the file in all but extreme cases.
const maxKept = 20 * config.MaxProblems

// report notes a problem of a value. It stands at a place that is not always the value's:
// that of its key, or an option. The value is not marked as refused by it: a key that stands twice
// is a problem, and its first value good to read.
func (r *reader) report(at config.Place, of *node, format string, args ...any) {
	if len(r.problems) == maxKept {
		r.more++
		return
	}
	r.problems = append(r.problems, problem{at, of, fmt.Sprintf(format, args...)})
}

// refuse reports a value that cannot be used. What would follow from it is then not a
// problem of its own: only the first refusal of a value is reported.
func (r *reader) refuse(n *node, format string, args ...any) {
	if !n.refused {
		n.refused = true
		r.report(n.at, n, format, args...)
	}
}

// err is everything that was reported or found by checks, nil if nothing was. Problems of
// options come before those of the file.
func (r *reader) err(found []error) error {
	more := r.more
	var all []config.Problem
	for _, p := range r.problems {
		all = append(all, config.Problem{Place: p.at, Path: p.of.path(), Message: p.message})
	}
	for _, err := range found {
		if wrong, ok := errors.AsType[*config.Error](err); ok {
			all, more = append(all, wrong.Problems...), more+wrong.More
		}
	}
	if len(all) == 0 {
		return errors.Join(found...)
	}
	slices.SortStableFunc(all, func(a, b config.Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	told := all[:min(len(all), config.MaxProblems)]
	return &config.Error{Problems: told, More: more + len(all) - len(told)}
}
