package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/shared/fault"
)

// What the rows of docs/who-raises-what.md call errors.
type cast struct {
	calleeFails, calleePanics, calleeCancels, openerFails, openerCancels, ctxEnds, actorCancelled, linkLost, hostLost, deadline, overdue error
}

func castOf(t *testing.T) *cast {
	c := &cast{
		calleeFails:    cross(t, io.ErrUnexpectedEOF, leaf),
		calleePanics:   cross(t, &fault.PanicError{Value: "x"}, leaf),
		calleeCancels:  &fault.ContextCancelled{Canceller: leaf},
		openerFails:    errors.New("opener"),
		openerCancels:  cross(t, &fault.ContextCancelled{Canceller: top}, leaf),
		ctxEnds:        errors.New("why"),
		actorCancelled: cross(t, &fault.ContextCancelled{Canceller: root}, leaf),
		linkLost:       &fault.LinkLost{Peer: leaf, Reason: "EOF"},
		hostLost:       &fault.HostLost{Host: "b", Reason: "it is gone"},
		deadline:       context.DeadlineExceeded,
	}
	c.overdue = &fault.Overdue{Cause: c.deadline, Unacked: fault.ErrCancelUnacked}
	return c
}

// endings are the facts of each row, as the opener's side of a dialog finds them, by who
// ends the context. The four are the situations of the table, in its order.
func (c *cast) endings() map[string][4]*fault.Ending {
	over := context.Canceled // what a body returns that waits for its ctx
	told := func(err error) [4]*fault.Ending {
		return [4]*fault.Ending{
			{Body: over, Cause: err, Remote: err}, {Cause: err, Remote: err}, nil, {Cause: err, Remote: err},
		}
	}
	callee := func(err error) [4]*fault.Ending {
		all := told(err)
		all[3] = &fault.Ending{Remote: err}
		return all
	}
	with := func(all [4]*fault.Ending, i int, e *fault.Ending) [4]*fault.Ending { all[i] = e; return all }
	late := func(body error) *fault.Ending {
		return &fault.Ending{Body: body, Cause: c.deadline, Expired: true, Remote: c.overdue}
	}
	return map[string][4]*fault.Ending{
		"the callee fails":        callee(c.calleeFails),
		"the callee panics":       callee(c.calleePanics),
		"the callee calls Cancel": with(callee(c.calleeCancels), 3, &fault.Ending{}),
		"the opener's function fails": {
			{Body: c.openerFails, Cause: c.openerFails, Remote: c.openerFails}, nil, {Body: c.openerFails}, nil,
		},
		"Cancel is called on the context": {
			{Body: over, Cause: c.openerCancels, Remote: c.openerCancels, Asked: true, Clean: true}, nil,
			{Body: over, Cause: over, Asked: true, Clean: true}, {Remote: c.openerCancels, Asked: true, Clean: true},
		},
		"the opener's ctx ends":                                with(told(c.ctxEnds), 2, &fault.Ending{Body: over, Cause: c.ctxEnds}),
		"the callee's actor is cancelled":                      callee(c.actorCancelled),
		"the link is lost":                                     with(told(c.linkLost), 2, &fault.Ending{}),
		"the callee's machine is lost":                         with(told(c.hostLost), 2, &fault.Ending{}),
		"the opener's deadline passes, and the callee goes on": {late(c.deadline), late(nil), nil, late(nil)},
	}
}

// words are what the page says of an outcome.
func (c *cast) words() map[error]string {
	return map[error]string{
		nil: "nil", c.calleeFails: "the callee's failure", c.calleePanics: "the callee's panic",
		c.calleeCancels: "cancelled by the callee", c.openerFails: "the opener's failure",
		c.ctxEnds: "the ctx's cause", c.actorCancelled: "cancelled by a third actor", c.linkLost: "LinkLost", c.hostLost: "HostLost",
		c.overdue: "the deadline and ErrCancelUnacked",
	}
}

var situations = []string{"both run", "before Started", "the callee has returned", "the opener's function has returned"}

// Every row of the page is what an Ending says of the facts; but those of a panic, which
// is never judged: it goes on.
func TestC08_EndingSaysWhoRaisesWhat(t *testing.T) {
	page, err := os.ReadFile("../../docs/who-raises-what.md")
	if err != nil {
		t.Fatal(err)
	}
	c := castOf(t)
	endings, words, rows := c.endings(), c.words(), 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if len(cells) != 5 || !slices.Contains(situations, cells[1]) || cells[2] == "the panic goes on" {
			continue
		}
		rows++
		e := endings[cells[0]][slices.Index(situations, cells[1])]
		if e == nil {
			t.Errorf("%s, %s: no facts", cells[0], cells[1])
			continue
		}
		if got := e.Verdict(); words[got] != cells[2] {
			t.Errorf("%s, %s: %v, the page says %s", cells[0], cells[1], got, cells[2])
		}
	}
	if want := 32; rows != want {
		t.Errorf("%d rows, want %d", rows, want)
	}
}

// TestC22_Verdict: which of several failures there are in what a scope, or a nursery, returns.
func TestC22_Verdict(t *testing.T) {
	c := castOf(t)
	told := fmt.Errorf("while reading: %w", c.calleeFails)
	other, further := errors.New("other"), errors.New("further")
	for name, row := range map[string]struct {
		ending fault.Ending
		want   []error // one: it is that very object
	}{
		"nothing":                             {fault.Ending{}, []error{nil}},
		"words around the cause stay":         {fault.Ending{Body: told, Cause: c.calleeFails, Remote: c.calleeFails}, []error{told}},
		"a failure beside the cause":          {fault.Ending{Body: other, Cause: c.calleeFails, Remote: c.calleeFails}, []error{other, c.calleeFails}},
		"a failure beats a cancel":            {fault.Ending{Body: context.Canceled, Cause: c.calleeCancels, Remote: c.calleeFails}, []error{c.calleeFails}},
		"a cancel yields to the clean-up's":   {fault.Ending{Cause: c.calleeCancels, Remote: c.calleeCancels, Others: []error{other}}, []error{other}},
		"a failure and its clean-up's":        {fault.Ending{Cause: c.ctxEnds, Remote: c.ctxEnds, Others: []error{other}}, []error{c.ctxEnds, other}},
		"a lost link is not a second failure": {fault.Ending{Body: other, Remote: c.linkLost}, []error{other}},
		"nor is a lost host":                  {fault.Ending{Body: other, Remote: c.hostLost}, []error{other}},
		"a clean-up that failed":              {fault.Ending{Body: other, Cause: c.openerCancels, Remote: c.openerCancels, Clean: true}, []error{other}},
		"two of a nursery":                    {fault.Ending{Others: []error{other, further}}, []error{other, further}},
		"one of a nursery that body tells":    {fault.Ending{Body: told, Others: []error{c.calleeFails, other}}, []error{told, other}},
	} {
		got := row.ending.Verdict()
		group, joined := got.(*fault.Group)
		switch {
		case len(row.want) == 1 && got != row.want[0]:
			t.Errorf("%s: %v, want %v", name, got, row.want[0])
		case len(row.want) > 1 && (!joined || !slices.Equal(group.Errs, row.want)):
			t.Errorf("%s: %v, want %v", name, got, row.want)
		}
	}
}
