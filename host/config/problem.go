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

// Problem is one thing that is wrong with a description.
type Problem struct {
	// Keys lead to it from what was checked. Positions in lists are numbers.
	Keys    []string
	Path    string // the same for people, who know actors by their names: actors.census.replicas
	Message string // what was expected, what came, what to do

	// Because leads to what else the problem comes from.
	Because [][]string
	// Idle is a setting that is fine by itself and has no effect; with Instead in its
	// place, or without it if that is empty, the description means the same.
	Idle    bool
	Instead string
}

func (p Problem) String() string {
	if p.Path == "" {
		return p.Message
	}
	return terminal.Line(p.Path) + ": " + p.Message
}

// Error is all that is wrong with a description.
type Error struct {
	Problems []Problem // the first MaxProblems
	More     int       // so many more there are
}

// MaxProblems is how many problems of a description are told.
const MaxProblems = 50

// Error is one line.
func (e *Error) Error() string {
	all := make([]string, 0, len(e.Problems)+1)
	for _, p := range e.Problems {
		all = append(all, p.String())
	}
	if e.More > 0 {
		all = append(all, fmt.Sprintf("and %d more", e.More))
	}
	return strings.Join(all, "; ")
}

// checker gathers problems.
type checker struct{ found Error }

func (c *checker) err() error {
	if len(c.found.Problems) == 0 {
		return nil
	}
	return &c.found
}

// note takes in a problem, of which the caller may tell more.
func (c *checker) note(at *place, format string, args ...any) *Problem {
	if len(c.found.Problems) == MaxProblems {
		c.found.More++
		return &Problem{}
	}
	c.found.Problems = append(c.found.Problems, Problem{Keys: at.keys(), Path: at.String(), Message: fmt.Sprintf(format, args...)})
	return &c.found.Problems[len(c.found.Problems)-1]
}

func (p *Problem) because(of ...*place) *Problem {
	for _, at := range of {
		p.Because = append(p.Because, at.keys())
	}
	return p
}

func (p *Problem) idle(instead string) { p.Idle, p.Instead = true, instead }

// place is where in a description a check is; nil is the description itself. It is
// written out only for problems.
type place struct {
	up    *place
	step  string // a key, or a position in a list
	named string // how people know the item of a list; "" for a key
}

func (p *place) key(key string) *place { return &place{up: p, step: key} }

// item is a place in a list. name is "" for what has none.
func (p *place) item(i int, name string) *place {
	if name == "" {
		name = "[" + strconv.Itoa(i) + "]"
	}
	return &place{up: p, step: strconv.Itoa(i), named: name}
}

func (p *place) keys() []string {
	var keys []string
	for ; p != nil; p = p.up {
		keys = append(keys, p.step)
	}
	slices.Reverse(keys)
	return keys
}

func (p *place) String() string {
	var steps []string
	for ; p != nil; p = p.up {
		steps = append(steps, cmp.Or(p.named, p.step))
	}
	slices.Reverse(steps)
	return words.Path(steps)
}
