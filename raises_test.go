package trellis_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// The cells of docs/who-raises-what.md between two processes: this test is the
// opener, and its program once more, as a plugin, is the callee. What each cell
// must give stands in a file that the tests of package dialog keep.
const raisesFile = "internal/dialog/testdata/raises.golden"

// raisesCauses names, in a plugin's environment, the file that takes the causes of
// its handlers' ctxs. A program that has it is that plugin.
const raisesCauses = "RAISES_TEST_CAUSES"

// raisesCell is one way in which a context can come to its end.
type raisesCell struct {
	ID                           int
	Who, Opener, Callee, Streams string

	scope, wait, cause string // what it must give
}

func (c raisesCell) String() string {
	return fmt.Sprintf("%s/opener %s/callee %s/%s", c.Who, c.Opener, c.Callee, c.Streams)
}

func (c raisesCell) openerOpens() bool { return c.Streams == "opener" || c.Streams == "both" }
func (c raisesCell) calleeOpens() bool { return c.Streams == "callee" || c.Streams == "both" }

// hidden reports that nobody can tell when this cell is in place: the callee's
// Cancel must come after the opener's function has returned, and the callee has no
// stream on which it would see that.
func (c raisesCell) hidden() bool {
	return c.Who == "the callee calls Cancel" && c.Opener == "returned" && !c.calleeOpens()
}

func raisesCells(t *testing.T) (cells []raisesCell) {
	t.Helper()
	text, err := os.ReadFile(raisesFile)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		f := strings.Split(line, " | ")
		if len(f) != 7 {
			t.Fatalf("%s:%d has %d fields, want 7", raisesFile, i+2, len(f))
		}
		cells = append(cells, raisesCell{i, f[0], f[1], f[2], f[3], f[4], f[5], f[6]})
	}
	return cells
}

// What the plugin serves: a cell's callee, and the strings that it is pulled by.
var (
	raisesPlay  = contract.Context[raisesCell, string, string, string, string]("play")
	raisesTell  = contract.Func[raisesPoint, struct{}]("tell")
	raisesAwait = contract.Func[raisesPoint, struct{}]("await")
	raisesStats = contract.Func[struct{}, dialog.Stats]("stats")
)

// raisesPoint is something that happens once while a cell is played.
type raisesPoint struct {
	Cell int
	What string // one of those below
}

const (
	placed  = "placed"  // the callee does what the cell says
	begin   = "begin"   // both have opened what they open: who sends begins
	full    = "full"    // the next Send waits
	trigger = "trigger" // both are in place
)

// points are the events of all cells in one process.
type points struct {
	mu sync.Mutex
	at map[raisesPoint]chan struct{}
}

// of returns the channel that is closed when the point comes.
func (p *points) of(cell int, what string) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at == nil {
		p.at = map[raisesPoint]chan struct{}{}
	}
	key := raisesPoint{cell, what}
	if p.at[key] == nil {
		p.at[key] = make(chan struct{})
	}
	return p.at[key]
}

func (p *points) reach(cell int, what string) { close(p.of(cell, what)) }

// raisesPlugin is the plugin's whole program.
func raisesPlugin() {
	var here points
	sdk.Serve(
		raisesTell.Handle(func(_ context.Context, p raisesPoint) (none struct{}, _ error) {
			here.reach(p.Cell, p.What)
			return none, nil
		}),
		raisesAwait.Handle(func(ctx context.Context, p raisesPoint) (none struct{}, _ error) {
			return none, awaitPoint(ctx, here.of(p.Cell, p.What))
		}),
		raisesStats.Handle(func(ctx context.Context, _ struct{}) (dialog.Stats, error) {
			table, err := sdk.Parent(ctx).Table(ctx)
			if err != nil {
				return dialog.Stats{}, err
			}
			return table.Stats(), nil
		}),
		raisesPlay.Handle(func(ctx context.Context, c raisesCell, side *contract.Callee[string, string, string]) (string, error) {
			return (&raisesCallee{c, side, &here}).play(ctx)
		}),
	)
}

func awaitPoint(ctx context.Context, point <-chan struct{}) error {
	select {
	case <-point:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// raisesCallee is the callee of one cell.
type raisesCallee struct {
	raisesCell

	side *contract.Callee[string, string, string]
	here *points
}

var errRaisesBoom = errors.New("boom")

func (c *raisesCallee) play(ctx context.Context) (string, error) {
	if c.Callee != "before Started" {
		if err := c.side.Started("started"); err != nil {
			return "", err
		}
	}
	if c.calleeOpens() {
		if err := c.takeStream(ctx); err != nil {
			return "", err
		}
	}
	c.here.reach(c.ID, placed)
	if c.Callee == "returned" {
		return "value", nil
	}
	<-c.here.of(c.ID, trigger)
	switch c.Who {
	case "the callee fails":
		return "", errRaisesBoom
	case "the callee panics":
		panic("boom")
	case "the callee calls Cancel":
		if err := c.side.Cancel(ctx, "asked"); err != nil {
			return "", fmt.Errorf("the callee's Cancel: %w", err)
		}
		if c.Opener == "returned" {
			return "value", nil
		}
	}
	<-ctx.Done()
	if err := c.record(ctx); err != nil {
		return "", err
	}
	return "", ctx.Err()
}

// takeStream opens the callee's end and does with it what the cell says. An opener
// that has returned closes the stream, which is how the callee knows.
func (c *raisesCallee) takeStream(ctx context.Context) error {
	s, err := c.side.Stream(contract.StreamOptions{})
	if err != nil {
		return err
	}
	useStream(c.side.Go, c.Callee, s, c.here, c.ID)
	if c.Opener == "returned" && c.Callee != "receiving" {
		if _, err := s.Recv(ctx); !errors.Is(err, io.EOF) {
			return fmt.Errorf("receive after the opener has returned: %w, want EOF", err)
		}
	} else if c.Opener == "returned" {
		<-c.here.of(c.ID, "end of stream")
	}
	if c.Callee == "stream closed" {
		s.Close()
	}
	return nil
}

// useStream runs what a side does with its stream in a task of its own.
func useStream(run func(func(context.Context) error) bool, doing string, s *contract.Stream[string, string], here *points, cell int) {
	switch doing {
	case "sending, blocked":
		run(func(ctx context.Context) error {
			<-here.of(cell, begin)
			for i := 0; ; i++ {
				if i == dialog.DefaultMessages { // there is room for no more
					here.reach(cell, full)
				}
				if err := s.Send(ctx, "m"); err != nil {
					return nil //nolint:nilerr // what ends the context is told by the scope
				}
			}
		})
	case "receiving":
		run(func(ctx context.Context) error {
			_, err := s.Recv(ctx)
			if errors.Is(err, io.EOF) {
				here.reach(cell, "end of stream")
			}
			return nil // the same
		})
	}
}

// record writes down why the callee's ctx has ended, in one write.
func (c *raisesCallee) record(ctx context.Context) error {
	self := sdk.Self(ctx)
	line := fmt.Sprintf("%d|%s\n", c.ID, raisesWords(context.Cause(ctx), "-", self, c.side.Peer(), self))
	f, err := os.OpenFile(os.Getenv(raisesCauses), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line)
	return errors.Join(err, f.Close())
}

var (
	errRaisesUser  = errors.New("the user's cause")
	errPanicWentOn = errors.New("the panic went on")
	raisesThird    = actor.ID{Name: "third", UUID: "3d0e7a52-0000-4000-8000-000000000003"}
)

// raisesWords names an error as the rules do. An error that has not crossed over
// arose here.
func raisesWords(err error, none string, here, opener, callee actor.ID) string {
	cancelled, isCancel := fault.Cancelled(err)
	_, panicked := errors.AsType[*fault.PanicError](err)
	if remote, ok := errors.AsType[*fault.RemoteError](err); ok {
		here = remote.Origin
	}
	switch {
	case err == nil:
		return none
	case errors.Is(err, errPanicWentOn):
		return "the panic goes on"
	case isCancel:
		return "cancelled by " + raisesName(cancelled.Canceller, opener, callee)
	case errors.Is(err, fault.ErrActorLost):
		return "LinkLost"
	case strings.Contains(err.Error(), errRaisesUser.Error()):
		return "the ctx's cause"
	case panicked:
		return raisesName(here, opener, callee) + "'s panic"
	case strings.Contains(err.Error(), errRaisesBoom.Error()):
		return raisesName(here, opener, callee) + "'s failure"
	}
	return err.Error()
}

func raisesName(id, opener, callee actor.ID) string {
	switch {
	case id.Is(opener):
		return "the opener"
	case id.Is(callee):
		return "the callee"
	case id.Is(raisesThird):
		return "a third actor"
	}
	return id.String()
}

// raisesStage is where cells are played: a nursery with one plugin.
type raisesStage struct {
	ctx    context.Context
	plugin *host.Portal
	table  *dialog.Table
	here   points
}

// raisesOpener is the opener of one cell, and what it saw.
type raisesOpener struct {
	raisesCell

	stage  *raisesStage
	side   *contract.Opener[string, string, string, string]
	opens  *task.Worker
	cancel context.CancelCauseFunc
	value  string
	err    error // of the scope
	failed error // the cell could not be played
}

const entered = "entered" // the opener's function does what the cell says

// place opens the context and returns when both sides do what the cell says.
func (s *raisesStage) place(c raisesCell) *raisesOpener {
	ctx, cancel := context.WithCancelCause(s.ctx)
	o := &raisesOpener{raisesCell: c, stage: s, cancel: cancel}
	o.opens = task.Start(func() {
		defer func() {
			if r := recover(); r != nil {
				o.err = fmt.Errorf("%w: %v", errPanicWentOn, r)
			}
		}()
		o.value, o.err = raisesPlay.Open(ctx, s.plugin, c, o.body)
	})
	o.failed = o.settle()
	return o
}

func (o *raisesOpener) settle() error {
	if err := o.await(placed); err != nil {
		return err
	}
	if o.Opener != "before Started" {
		if err := awaitPoint(o.stage.ctx, o.stage.here.of(o.ID, entered)); err != nil {
			return err
		}
	}
	o.stage.here.reach(o.ID, begin)
	if err := o.tell(begin); err != nil {
		return err
	}
	if o.Opener == "sending, blocked" {
		if err := awaitPoint(o.stage.ctx, o.stage.here.of(o.ID, full)); err != nil {
			return err
		}
	}
	if o.Callee == "sending, blocked" {
		return o.await(full)
	}
	return nil
}

func (o *raisesOpener) tell(what string) error {
	_, err := raisesTell.Call(o.stage.ctx, o.stage.plugin, raisesPoint{o.ID, what})
	return err
}

func (o *raisesOpener) await(what string) error {
	_, err := raisesAwait.Call(o.stage.ctx, o.stage.plugin, raisesPoint{o.ID, what})
	return err
}

// body is the opener's function.
func (o *raisesOpener) body(ctx context.Context, side *contract.Opener[string, string, string, string]) error {
	o.side = side
	if o.openerOpens() {
		s, err := side.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		useStream(side.Go, o.Opener, s, &o.stage.here, o.ID)
		if o.Opener == "stream closed" {
			s.Close()
		}
	}
	if o.Callee == "returned" {
		if v, err := side.Wait(ctx); v != "value" || err != nil {
			return fmt.Errorf("got %q and %w, want the value", v, err)
		}
	}
	o.stage.here.reach(o.ID, entered)
	if o.Opener == "returned" {
		return nil
	}
	<-o.stage.here.of(o.ID, trigger)
	switch o.Who {
	case "the opener's function fails":
		return errRaisesBoom
	case "the opener's function panics":
		panic("boom")
	}
	if o.Callee == "returned" && o.Who == "the link is lost" {
		<-o.stage.table.Link().Done() // it does not interrupt a dialog that has its value
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// set lets go of both sides, which are in place.
func (o *raisesOpener) set() {
	if o.failed == nil {
		o.failed = o.tell(trigger)
	}
	o.stage.here.reach(o.ID, trigger)
}

// end does what ends the cell, and returns when the scope has ended.
func (o *raisesOpener) end() {
	if o.failed != nil {
		o.cancel(o.failed)
	}
	switch o.Who {
	case "Cancel is called on the context":
		o.failed = errors.Join(o.failed, o.side.Cancel(o.stage.ctx, "asked"))
	case "the opener's ctx ends":
		o.cancel(errRaisesUser)
	}
	o.opens.Wait()
	o.cancel(nil)
}

// check compares what both sides saw with what they must see.
func (o *raisesOpener) check(t *testing.T, cause string) {
	if o.failed != nil {
		t.Fatal(o.failed)
	}
	self, peer := o.stage.table.Self(), o.stage.table.Peer()
	words := func(err error, none string) string { return raisesWords(err, none, self, self, peer) }
	if got := words(o.err, "nil"); got != o.scope {
		t.Errorf("the scope: got %s, want %s", got, o.scope)
	}
	if o.wait != "-" {
		value, err := o.side.Wait(t.Context())
		if got := words(err, "the value"); got != o.wait {
			t.Errorf("Wait: got %s, want %s", got, o.wait)
		}
		if o.wait == "the value" && (value != "value" || o.err == nil && o.value != "value") {
			t.Errorf("Wait gives %q and the scope %q, want the value", value, o.value)
		}
	}
	if cause != o.cause {
		t.Errorf("the callee's cause: got %s, want %s", cause, o.cause)
	}
}

func TestC08_WhoRaisesWhatBetweenProcesses(t *testing.T) {
	acts := map[string][]raisesCell{}
	for _, c := range raisesCells(t) {
		switch {
		case c.hidden():
		case c.Who == "the callee's actor is cancelled", c.Who == "the link is lost":
			acts[c.Who] = append(acts[c.Who], c)
		default:
			acts["one by one"] = append(acts["one by one"], c)
		}
	}
	played := 0
	for act, cells := range acts {
		t.Run(act, func(t *testing.T) { playAct(t, act, cells) })
		played += len(cells)
	}
	if t.Logf("%d cells", played); played < 200 {
		t.Errorf("only %d cells were played, want 200 at least", played)
	}
}

// playAct plays cells with one plugin process. What ends the whole actor or its
// link ends all of them at once.
func playAct(t *testing.T, act string, cells []raisesCell) {
	causes := filepath.Join(t.TempDir(), "causes")
	if err := os.WriteFile(causes, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bounded, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var openers []*raisesOpener
	err = host.OpenNursery(bounded, host.Options{Log: slog.New(slog.DiscardHandler)}, func(ctx context.Context, n *host.Nursery) error {
		plugin, err := n.Start(ctx, host.Spec{
			Name: "callee", Command: []string{program}, CancelTimeout: config.Duration(20 * time.Second),
			Env: map[string]string{raisesCauses: causes, "GORACE": "atexit_sleep_ms=0"},
		})
		if err != nil {
			return err
		}
		stage := &raisesStage{ctx: bounded, plugin: plugin}
		if stage.table, err = plugin.Table(ctx); err != nil {
			return err
		}
		if act == "one by one" {
			for _, c := range cells {
				o := stage.place(c)
				o.set()
				o.end()
				openers = append(openers, o)
			}
			stage.checkStats(t, len(cells))
			return plugin.Cancel(ctx, "done")
		}
		openers = stage.endAll(t, act, cells)
		return nil
	})
	if lost := errors.Is(err, fault.ErrActorLost); err != nil && !lost || lost != (act == "the link is lost") {
		t.Errorf("the nursery: %v", err)
	}
	said := readCauses(t, causes)
	for _, o := range openers {
		t.Run(o.String(), func(t *testing.T) { o.check(t, said[o.ID]) })
	}
}

// checkStats asserts that the contexts have left nothing, and broken nothing, in
// either actor (C15).
func (s *raisesStage) checkStats(t *testing.T, cells int) {
	var theirs dialog.Stats
	for theirs.Open != 1 { // the call that asks; another one may just be leaving, behind its answer
		var err error
		if theirs, err = raisesStats.Call(s.ctx, s.plugin, struct{}{}); err != nil {
			t.Fatalf("%d dialogs are left there: %v", theirs.Open, err)
		}
	}
	mine := s.table.Stats()
	if mine.Open != 0 {
		t.Errorf("%d dialogs are left here", mine.Open)
	}
	if mine.Link.Violations != 0 || theirs.Link.Violations != 0 {
		t.Errorf("the protocol was broken %d times here, %d times there", theirs.Link.Violations, mine.Link.Violations)
	}
	if int(theirs.Accepted) < cells || mine.Waits == 0 || theirs.Waits == 0 || mine.MessagesIn == 0 || theirs.MessagesIn == 0 {
		t.Errorf("here %+v, there %+v: not everything was counted", mine, theirs)
	}
}

// endAll places all cells, and ends them with their actor or its link.
func (s *raisesStage) endAll(t *testing.T, act string, cells []raisesCell) (openers []*raisesOpener) {
	for _, c := range cells {
		openers = append(openers, s.place(c))
	}
	for _, o := range openers {
		o.set()
	}
	if act == "the link is lost" {
		s.table.Link().Abort(errors.New("cut"))
	} else {
		args, err := cbor.Marshal(wire.CancelRequest{Canceller: raisesThird, Reason: "enough"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.table.CallRuntime(s.ctx, wire.CancelActor, args); err != nil {
			t.Error(err)
		}
	}
	for _, o := range openers {
		o.end()
	}
	return openers
}

// readCauses returns the causes of the callees' ctxs by cell, "-" where there was none.
func readCauses(t *testing.T, file string) map[int]string {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	said := map[int]string{}
	for _, c := range raisesCells(t) {
		said[c.ID] = "-"
	}
	for line := range strings.Lines(string(text)) {
		var id int
		number, words, _ := strings.Cut(strings.TrimSpace(line), "|")
		if _, err := fmt.Sscan(number, &id); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if said[id] != "-" {
			t.Errorf("cell %d has two causes: %s and %s", id, said[id], words)
		}
		said[id] = words
	}
	return said
}
