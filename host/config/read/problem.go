package read

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/terminal"
)

// Problem is one mistake in a config file.
type Problem struct {
	File         string // or the option that brought the value, such as --set
	Line, Column int    // 0 if the value did not come from the file
	Path         string // such as actors.census.replicas; "" for the file as a whole
	Message      string // what was expected, what came, what to do
}

func (p Problem) String() string {
	where := p.File
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	}
	if p.Path != "" {
		where += ": " + p.Path
	}
	return terminal.Line(where + ": " + p.Message)
}

// Error is all that is wrong with a config, in the order of the file.
type Error struct {
	Problems []Problem // config.MaxProblems at most
	More     int       // so many more there are
}

// Error has a line for each problem.
func (e *Error) Error() string {
	var lines []string
	for _, p := range e.Problems {
		lines = append(lines, p.String())
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d more problems", e.More))
	}
	return strings.Join(lines, "\n")
}

// mostKept is how many problems are put into the order of the file, before those are
// cut that are not told.
const mostKept = 20 * config.MaxProblems

// reader gathers problems while a file is read.
type reader struct {
	file     string
	lookup   func(name string) (string, bool)
	problems []Problem
	more     int
}

// refuse reports a value that cannot be used. What would follow from it is then no
// problem of its own: only the first refusal of a value is reported.
func (r *reader) refuse(n *node, format string, args ...any) {
	if !n.refused {
		r.report(n, format, args...)
		n.refused = true
	}
}

// report notes a problem at a value.
func (r *reader) report(n *node, format string, args ...any) {
	r.note(n.at, n, format, args...)
}

// note notes a problem that stands at some place, and is one of the value at n.
func (r *reader) note(at origin, n *node, format string, args ...any) {
	if len(r.problems) == mostKept {
		r.more++
		return
	}
	r.add(at, n.path(), fmt.Sprintf(format, args...))
}

func (r *reader) add(at origin, path, message string) {
	p := Problem{File: cmp.Or(at.option, r.file), Line: at.line, Column: at.column, Path: path, Message: message}
	r.problems = append(r.problems, p)
}

// err is everything that was reported, nil if nothing was.
func (r *reader) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	all := slices.Compact(r.problems)
	told := all[:min(len(all), config.MaxProblems)]
	return &Error{Problems: told, More: r.more + len(all) - len(told)}
}

// check takes in what is wrong with the tree that was decoded from root. What follows
// from a value that was refused is not a problem of its own. A setting of the file that
// only the command line has made idle is not one either: it is put right in root, and
// check reports that root is to be decoded again.
func (r *reader) check(root *node, found error) (again bool) {
	wrong, ok := errors.AsType[*config.Error](found)
	if !ok {
		return false
	}
	fine := len(r.problems) == 0
	var overruled []func()
	for _, p := range wrong.Problems {
		n, whole, refused := root.find(p.Keys)
		overrules, follows := root.because(p.Because)
		refused = refused || follows
		switch {
		case refused:
		case p.Idle && whole && overrules && n.at.option == "":
			overruled = append(overruled, func() { n.replace(p.Instead) })
		default:
			r.add(n.at, p.Path, p.Message)
		}
	}
	r.more += wrong.More
	if !fine || len(r.problems) > 0 {
		return false
	}
	for _, put := range overruled {
		put()
	}
	return len(overruled) > 0
}

// because looks at the values that a problem comes of: whether one of them was given on the
// command line, and whether one was refused.
func (n *node) because(of [][]string) (optional, refused bool) {
	for _, keys := range of {
		because, whole, bad := n.find(keys)
		refused = refused || bad
		optional = optional || whole && because.at.option != ""
	}
	return optional, refused
}

// replace puts a text in the place of a value; an empty one takes the value away.
func (n *node) replace(text string) {
	if text == "" {
		n.remove()
		return
	}
	n.become(&node{at: n.at, text: text, tag: tagText})
}
