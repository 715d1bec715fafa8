package dialog_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/panics"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

var updateRaises = flag.Bool("update-raises", false, "write the table of docs/who-raises-what.md, and the cells of testdata")

// A cell is one way in which a context can come to its end: who ends it, and what
// both sides are doing then.
type cell struct {
	who            string
	opener, callee doing
	streams        string // who has opened its end: neither, opener, callee, both
}

type doing string

// What a side can be doing.
const (
	beforeStarted doing = "before Started"
	waiting       doing = "waiting"
	sending       doing = "sending, blocked"
	receiving     doing = "receiving"
	closedStream  doing = "stream closed"
	returned      doing = "returned"
)

// What can end a context.
const (
	calleeFails   = "the callee fails"
	calleePanics  = "the callee panics"
	calleeCancels = "the callee calls Cancel"
	openerFails   = "the opener's function fails"
	openerPanics  = "the opener's function panics"
	openerCancels = "Cancel is called on the context"
	callerCancels = "the opener's ctx ends"
	actorCancels  = "the callee's actor is cancelled"
	linkLost      = "the link is lost"
	hostLost      = "the callee's machine is lost"
	overdue       = "the opener's deadline passes, and the callee goes on"
)

var (
	everyone  = []string{calleeFails, calleePanics, calleeCancels, openerFails, openerPanics, openerCancels, callerCancels, actorCancels, linkLost, hostLost, overdue}
	everyDo   = []doing{beforeStarted, waiting, sending, receiving, closedStream, returned}
	whoHasOne = []string{"neither", "opener", "callee", "both"}
)

// outcome is what the rule says about a cell, in words.
type outcome struct{ scope, wait, cause string }

// situation is what a rule depends on: not on what blocks where, only on whether a
// side has not begun or has ended already.
func (c cell) situation() string {
	switch {
	case c.opener == beforeStarted:
		return "before Started"
	case c.callee == returned:
		return "the callee has returned"
	case c.opener == returned:
		return "the opener's function has returned"
	}
	return "both run"
}

// rules is the whole truth: for each ender and situation, what the opener's scope
// returns, what its Wait returns, and why the callee's ctx ends.
var rules = map[string]map[string]outcome{
	calleeFails: {
		"both run":                           {"the callee's failure", "the callee's failure", "-"},
		"before Started":                     {"the callee's failure", "-", "-"},
		"the opener's function has returned": {"the callee's failure", "the callee's failure", "-"},
	},
	calleePanics: {
		"both run":                           {"the callee's panic", "the callee's panic", "-"},
		"before Started":                     {"the callee's panic", "-", "-"},
		"the opener's function has returned": {"the callee's panic", "the callee's panic", "-"},
	},
	calleeCancels: {
		"both run":                           {"cancelled by the callee", "cancelled by the callee", "cancelled by the callee"},
		"before Started":                     {"cancelled by the callee", "-", "cancelled by the callee"},
		"the opener's function has returned": {"nil", "the value", "-"},
	},
	openerFails: {
		"both run":                {"the opener's failure", "the opener's failure", "the opener's failure"},
		"the callee has returned": {"the opener's failure", "the value", "-"},
	},
	openerPanics: {
		"both run":                {"the panic goes on", "the opener's panic", "the opener's panic"},
		"the callee has returned": {"the panic goes on", "the value", "-"},
	},
	openerCancels: {
		"both run":                           {"nil", "cancelled by the opener", "cancelled by the opener"},
		"the callee has returned":            {"nil", "the value", "-"},
		"the opener's function has returned": {"nil", "cancelled by the opener", "cancelled by the opener"},
	},
	callerCancels: {
		"both run":                           {"the ctx's cause", "the ctx's cause", "the ctx's cause"},
		"before Started":                     {"the ctx's cause", "-", "the ctx's cause"},
		"the callee has returned":            {"the ctx's cause", "the value", "-"},
		"the opener's function has returned": {"the ctx's cause", "the ctx's cause", "the ctx's cause"},
	},
	actorCancels: {
		"both run":                           {"cancelled by a third actor", "cancelled by a third actor", "cancelled by a third actor"},
		"before Started":                     {"cancelled by a third actor", "-", "cancelled by a third actor"},
		"the opener's function has returned": {"cancelled by a third actor", "cancelled by a third actor", "cancelled by a third actor"},
	},
	linkLost: {
		"both run":                           {"LinkLost", "LinkLost", "LinkLost"},
		"before Started":                     {"LinkLost", "-", "LinkLost"},
		"the callee has returned":            {"nil", "the value", "-"},
		"the opener's function has returned": {"LinkLost", "LinkLost", "LinkLost"},
	},
	hostLost: { // what the callee sees of it, if it lives, is the end of its own link
		"both run":                           {"HostLost", "HostLost", "LinkLost"},
		"before Started":                     {"HostLost", "-", "LinkLost"},
		"the callee has returned":            {"nil", "the value", "-"},
		"the opener's function has returned": {"HostLost", "HostLost", "LinkLost"},
	},
	overdue: { // P13
		"both run":                           {"the deadline and ErrCancelUnacked", "the deadline and ErrCancelUnacked", "the deadline"},
		"before Started":                     {"the deadline and ErrCancelUnacked", "-", "the deadline"},
		"the opener's function has returned": {"the deadline and ErrCancelUnacked", "the deadline and ErrCancelUnacked", "the deadline"},
	},
}

// possible reports whether the cell can come about.
func (c cell) possible() bool {
	_, ruled := rules[c.who][c.situation()]
	openerHas, calleeHas := c.streams == "opener" || c.streams == "both", c.streams == "callee" || c.streams == "both"
	switch {
	case !ruled, (c.opener == beforeStarted) != (c.callee == beforeStarted):
		return false
	case c.opener == beforeStarted && c.streams != "neither":
		return false
	case c.opener == returned && c.callee == returned: // the context is over
		return false
	case c.opener == sending && (c.callee == receiving || c.callee == closedStream || c.callee == returned),
		c.callee == sending && (c.opener == receiving || c.opener == closedStream || c.opener == returned):
		return false // it would not block
	case (c.opener == sending || c.callee == sending) && c.streams != "both":
		return false // the verdict on a sender whose peer has not opened comes at once
	}
	needs := func(d doing, has bool) bool { return has || d != sending && d != receiving && d != closedStream }
	return needs(c.opener, openerHas) && needs(c.callee, calleeHas)
}

func allCells() (all []cell) {
	for _, who := range everyone {
		for _, opener := range everyDo {
			for _, callee := range everyDo {
				for _, streams := range whoHasOne {
					if c := (cell{who, opener, callee, streams}); c.possible() {
						all = append(all, c)
					}
				}
			}
		}
	}
	return all
}

// Every cell gives what the rule of its ender and situation says, and leaves
// nothing behind, whatever is blocked where; also if the tasks hibernate instead of waiting, or if two
// relays are between the two.
func TestWhoRaisesWhat(t *testing.T) {
	cells := allCells()
	for _, c := range cells {
		for how, play := range map[string]func(*testing.T, cell){"": playBetweenNeighbours, "/hibernating": playHibernating, "/over relays": playOverRelays} {
			t.Run(fmt.Sprintf("%s/opener %s/callee %s/%s%s", c.who, c.opener, c.callee, c.streams, how), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { play(t, c) })
			})
		}
	}
	t.Logf("%d cells", len(cells))
}

// play is one cell being played.
type play struct {
	cell
	sleeps  bool // the tasks hibernate where they would wait for their ctx
	t       testing.TB
	begin   chan struct{} // closed when both sides have opened their ends
	trigger chan struct{} // closed when both sides are in place
	release chan struct{} // closed when the scope has ended
	dialog  *dialog.Dialog
	cause   error // of the callee's ctx
}

func newPlay(t *testing.T, c cell) *play {
	return &play{cell: c, t: t, begin: make(chan struct{}), trigger: make(chan struct{}), release: make(chan struct{})}
}

func playBetweenNeighbours(t *testing.T, c cell) {
	p := newPlay(t, c)
	actors := newPair(t, tasks{"task": p.calleeTask})
	p.run(t, actors.parent, actors.child, actors.parent.Link(), actors.parent)
}

func playHibernating(t *testing.T, c cell) {
	p := newPlay(t, c)
	p.sleeps = true
	actors := newPair(t, tasks{"task": p.calleeTask})
	p.run(t, actors.parent, actors.child, actors.parent.Link(), actors.parent)
}

// playOverRelays plays a cell between cousins. The link that may be lost is the one between the relays.
func playOverRelays(t *testing.T, c cell) {
	p := newPlay(t, c)
	all := plant(setup{}, []string{"root", "parent", "relay", "child"}, []int{0, 0, 0, 2}, func(int) tasks { return tasks{"task": p.calleeTask} })
	p.run(t, all.reach(1, 3), all[3].Up, all[2].Up.Link(), all[2].down[all[3].path])
	if n := all.fell(); n != 0 {
		t.Errorf("C15: %d dialogs are left", n)
	}
}

// run plays the cell between an opener and a callee. It cuts a link between them if it has to, or has whoever hosts the callee lose it.
func (p *play) run(t *testing.T, to portal, callee *dialog.Table, between *link.Link, host *dialog.Table) {
	c := p.cell
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	if c.who == overdue {
		limited, stop := context.WithTimeout(ctx, time.Hour)
		defer stop()
		ctx = limited
	}
	scope := beside(func() (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = errPanicWentOn
			}
		}()
		if p.sleeps {
			err = openIn(ctx, to, p.openerTask)
		} else {
			err = open(ctx, to, func(ctx context.Context, d *dialog.Dialog) error {
				_, err := p.openerTask(ctx, d)
				return err
			})
		}
		panics.Rethrow(err)
		return err
	})
	synctest.Wait()
	close(p.begin)
	synctest.Wait()
	close(p.trigger)
	var cancelled *attempt
	switch c.who {
	case openerCancels:
		cancelled = beside(func() error { return p.dialog.Cancel(ctx, "asked") })
	case callerCancels:
		cancel(errUser)
	case actorCancels:
		callee.CancelTasks(&fault.ContextCancelled{Canceller: third})
	case linkLost:
		between.Abort(errors.New("cut"))
	case hostLost:
		host.Lose(&fault.HostLost{Host: "b", Reason: "it is gone"})
		host.Link().Abort(errors.New("cut"))
	}
	err := scope.wait()
	close(p.release)
	if cancelled != nil {
		if err := cancelled.wait(); err != nil {
			t.Errorf("Cancel: %v", err)
		}
	}
	synctest.Wait()
	want := rules[c.who][c.situation()]
	p.check("the scope", p.words(err, "nil"), want.scope)
	if want.wait != "-" {
		_, err := p.dialog.Wait(t.Context())
		p.check("Wait", p.words(err, "the value"), want.wait)
	}
	p.check("the callee's cause", p.words(p.cause, "-"), want.cause)
}

func (p *play) check(what, got, want string) {
	if got != want {
		p.t.Errorf("%s: got %s, want %s", what, got, want)
	}
}

func (p *play) openerTask(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
	p.dialog = d
	p.take(d, p.opener, p.streams == "opener" || p.streams == "both")
	switch {
	case p.opener == returned:
		return nil, nil
	case p.sleeps && p.who != openerFails && p.who != openerPanics && p.nothingInterrupts():
		return nil, d.Hibernate(func(context.Context, *dialog.Dialog) ([]byte, error) { // the callee has ended
			<-p.trigger
			return nil, nil
		})
	case p.sleeps && p.who != openerFails && p.who != openerPanics:
		return p.untilToldToEnd(d, p.openerEnds)
	}
	<-p.trigger
	switch p.who {
	case openerFails:
		return nil, errBoom
	case openerPanics:
		panic("boom")
	}
	if p.nothingInterrupts() {
		return nil, nil
	}
	<-ctx.Done()
	return p.openerEnds(ctx, d)
}

func (p *play) openerEnds(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
	return nil, ctx.Err()
}

// nothingInterrupts reports whether the opener's task is not told to end.
func (p *play) nothingInterrupts() bool {
	return p.callee == returned && p.who != callerCancels && p.who != openerCancels
}

// untilToldToEnd is what a task does that hibernates until its ctx has ended, whatever else it is told of.
func (p *play) untilToldToEnd(d *dialog.Dialog, ends dialog.Task) ([]byte, error) {
	return nil, d.Hibernate(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
		if ctx.Err() != nil {
			return ends(ctx, d)
		}
		return p.untilToldToEnd(d, ends)
	})
}

func (p *play) calleeTask(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
	if p.callee != beforeStarted {
		if err := d.Started(nil); err != nil {
			return nil, err
		}
	}
	p.take(d, p.callee, p.streams == "callee" || p.streams == "both")
	switch {
	case p.callee == returned:
		return []byte("value"), nil
	case p.sleeps && p.who != calleeFails && p.who != calleePanics && p.who != calleeCancels:
		return p.untilToldToEnd(d, p.calleeEnds)
	}
	<-p.trigger
	switch p.who {
	case calleeFails:
		return nil, errBoom
	case calleePanics:
		panic("boom")
	case calleeCancels:
		if err := d.Cancel(ctx, "asked"); err != nil {
			p.t.Errorf("the callee's Cancel: %v", err)
		}
		if p.opener == returned {
			return []byte("value"), nil
		}
	}
	if p.sleeps {
		return p.untilToldToEnd(d, p.calleeEnds)
	}
	<-ctx.Done()
	return p.calleeEnds(ctx, d)
}

func (p *play) calleeEnds(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
	p.cause = context.Cause(ctx)
	if p.who == overdue {
		<-p.release
	}
	return nil, ctx.Err()
}

// take brings a side into the place from which the cell begins.
func (p *play) take(d *dialog.Dialog, doing doing, opens bool) {
	if !opens {
		return
	}
	s, err := d.OpenStream(dialog.StreamOptions{})
	if err != nil {
		p.t.Errorf("OpenStream: %v", err)
		return
	}
	switch doing {
	case sending:
		d.Go(func(ctx context.Context) error {
			<-p.begin
			for s.Send(ctx, []byte("m")) == nil {
			}
			return nil // what ends the context is told by the scope
		})
	case receiving:
		d.Go(func(ctx context.Context) error {
			for err := error(nil); err == nil; {
				_, err = s.Recv(ctx)
			}
			return nil
		})
	case closedStream:
		s.Close()
	case beforeStarted, waiting, returned:
	}
}

var (
	errUser        = errors.New("the user's cause")
	errPanicWentOn = errors.New("the panic went on")
	third          = actor.NewID("third")
)

// words names an error as the rules do.
func (p *play) words(err error, none string) string {
	cancelled, isCancel := fault.Cancelled(err)
	_, panicked := errors.AsType[*fault.PanicError](err)
	_, lost := errors.AsType[*fault.LinkLost](err)
	_, gone := errors.AsType[*fault.HostLost](err)
	side := "the opener's"
	if p.who == calleeFails || p.who == calleePanics {
		side = "the callee's"
	}
	switch {
	case err == nil:
		return none
	case err == errPanicWentOn: //nolint:errorlint // the test's own
		return "the panic goes on"
	case errors.Is(err, fault.ErrCancelUnacked) && errors.Is(err, context.DeadlineExceeded):
		return "the deadline and ErrCancelUnacked"
	case errors.Is(err, context.DeadlineExceeded):
		return "the deadline"
	case isCancel && cancelled.Canceller.Is(third):
		return "cancelled by a third actor"
	case isCancel:
		return "cancelled by the " + map[string]string{"parent": "opener", "child": "callee"}[cancelled.Canceller.Name]
	case panicked:
		return side + " panic"
	case gone:
		return "HostLost"
	case lost:
		return "LinkLost"
	case strings.Contains(err.Error(), errUser.Error()):
		return "the ctx's cause"
	case strings.Contains(err.Error(), errBoom.Error()):
		return side + " failure"
	}
	return err.Error()
}

// The table of the documentation is the one that is tested.
func TestWhoRaisesWhatIsDocumented(t *testing.T) {
	const file = "../../docs/who-raises-what.md"
	const from, to = "<!-- table -->\n", "<!-- end of table -->\n"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), from)
	_, after, ended := strings.Cut(rest, to)
	if !ok || !ended {
		t.Fatalf("%s has no place for the table", file)
	}
	want := before + from + rulesTable() + to + after
	if *updateRaises {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want != string(text) {
		t.Errorf("%s does not have the table of this test; run it with -update-raises", file)
	}
}

// The cells, one to a line, are played with real processes as well, but for those that
// wait for a deadline, which is a clock's, and two processes have none for tests; and for those of a machine that is lost, which
// make machines has.
func TestWhoRaisesWhatHasItsCellsInAFile(t *testing.T) {
	const file = "testdata/raises.golden"
	var b strings.Builder
	b.WriteString("who ends it | the opener is | the callee is | stream opened by | scope | Wait | cause of the callee's ctx\n")
	for _, c := range allCells() {
		if c.who == overdue || c.who == hostLost {
			continue
		}
		o := rules[c.who][c.situation()]
		fmt.Fprintf(&b, "%s | %s | %s | %s | %s | %s | %s\n", c.who, c.opener, c.callee, c.streams, o.scope, o.wait, o.cause)
	}
	if *updateRaises {
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != b.String() {
		t.Errorf("%s does not have the cells of this test; run it with -update-raises", file)
	}
}

func rulesTable() string {
	var b strings.Builder
	b.WriteString("| who ends it | when | the opener's scope returns | its `Wait` returns | the callee's ctx ends with |\n|---|---|---|---|---|\n")
	for _, who := range everyone {
		for _, when := range []string{"both run", "before Started", "the callee has returned", "the opener's function has returned"} {
			if o, ok := rules[who][when]; ok {
				fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", who, when, o.scope, o.wait, o.cause)
			}
		}
	}
	return b.String()
}
