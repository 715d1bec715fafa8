package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-2ba35074/trellis/internal/terminal"
	"github.com/seed-2ba35074/trellis/internal/words"
)

// Place is where something was written. It is zero for a description in Go.
type Place struct {
	File         string // or the option that brought the value, such as --set
	Line, Column int    // 0 if the value does not come from the file
}

func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Source knows where the values of a description were written.
type Source interface {
	// Find follows keys from the tree as far as there are values and returns where the
	// last of them stands; positions in lists are numbers. It is false if one of these
	// values could not be read, which was reported where that was found.
	//
	// A problem with a key that is missing so stands where its mapping does, which is the
	// place where somebody has to write it.
	Find(keys []string) (Place, bool)
}

// Problem is one thing that is wrong with a description.
type Problem struct {
	Place
	Path    string // of the value, such as actors.census.replicas; "" for the whole
	Message string // what was expected, what came, what to do
}

func (p Problem) String() string {
	parts := slices.DeleteFunc([]string{p.Place.String(), p.Path, p.Message}, func(s string) bool { return s == "" })
	return terminal.Line(strings.Join(parts, ": "))
}

// Error is all that is wrong with a description, in the order of the file if it comes
// from one.
type Error struct {
	Problems []Problem // the first MaxProblems
	More     int       // how many more there are
}

// MaxProblems is how many problems of a description are reported. Nobody mends more in one go, and
// a file of 4 MiB can have hundreds of thousands.
const MaxProblems = 50

// Error has a line for each problem of a file, and is a single line for a description in
// Go.
func (e *Error) Error() string {
	all := make([]string, 0, len(e.Problems)+1)
	separator, more := "; ", "and %d more"
	for _, p := range e.Problems {
		if p.File != "" {
			separator, more = "\n", "and %d more problems"
		}
		all = append(all, p.String())
	}
	if e.More > 0 {
		all = append(all, fmt.Sprintf(more, e.More))
	}
	return strings.Join(all, separator)
}

// checker gathers problems. It lives for one Check, on one goroutine, and goes through a description
// from the top down. It never stops at the first problem.
type checker struct {
	src   Source // nil for a description in Go
	found Error
}

func (c *checker) err() error {
	if len(c.found.Problems) == 0 {
		return nil
	}
	return &c.found
}

func (c *checker) full() bool { return len(c.found.Problems) == MaxProblems }

// note takes in a problem. What follows from a value that could not be read is not one. Once the
// list is full it only counts, and what follows from others is counted too: to ask the source about
// each would cost more than the exact number is worth.
func (c *checker) note(at *place, format string, args ...any) {
	if c.full() {
		c.found.More++ // without looking for its place
		return
	}
	where, ok := c.find(at)
	if ok {
		c.found.Problems = append(c.found.Problems, Problem{where, at.String(), fmt.Sprintf(format, args...)})
	}
}

// noteIf takes in a problem, if there is one.
func (c *checker) noteIf(wrong bool, at *place, format string, args ...any) {
	if wrong {
		c.note(at, format, args...)
	}
}

// refused notes why a value cannot be used, if there is a reason.
func (c *checker) refused(at *place, err error) { c.noteIf(err != nil, at, "%v", err) }

func (c *checker) find(at *place) (Place, bool) {
	if c.src == nil {
		return Place{}, true
	}
	return c.src.Find(at.keys())
}

// read reports whether values could be read, so that something may be concluded from
// their absence. A field is zero if its key was left out, and also if what stood there was refused:
// "command: 7" must not be followed by "expected package or command, there is neither".
func (c *checker) read(values ...*place) bool {
	return !slices.ContainsFunc(values, func(at *place) bool { _, ok := c.find(at); return !ok })
}

// place is where in a description a check is, and goes down with it; nil is the description
// itself. It is a list of steps back up and written out only for problems, since a check
// comes by many more values than have one.
type place struct {
	up    *place
	step  string // a key, or a position in a list
	named string // how people know the item of a list; "" for a key
}

func (p *place) key(key string) *place { return &place{up: p, step: key} }

// item is a place in a list. name is "" for what has none.
func (p *place) item(i int, name string) *place {
	at := strconv.Itoa(i)
	return &place{up: p, step: at, named: cmp.Or(name, "["+at+"]")}
}

func (p *place) keys() []string {
	return p.steps(func(p *place) string { return p.step })
}

func (p *place) String() string {
	return words.Path(p.steps(func(p *place) string { return cmp.Or(p.named, p.step) }))
}

func (p *place) steps(of func(*place) string) (all []string) {
	for ; p != nil; p = p.up {
		all = append(all, of(p))
	}
	slices.Reverse(all)
	return all
}
