package trellis_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
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

// raisesStage is where cells are played: a nursery with one plugin.
type raisesStage struct {
	ctx    context.Context
	plugin *host.Portal
	table  dialog.Target
	here   points
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

// forAnyMachine is a bound that no machine is too slow for.
const forAnyMachine = config.Duration(5 * time.Minute)

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
	var openers []*raisesOpener
	err = host.OpenNursery(t.Context(), host.Options{Log: slog.New(slog.DiscardHandler)}, func(ctx context.Context, n *host.Nursery) error {
		plugin, err := n.Start(ctx, host.Spec{
			Name: "callee", Command: []string{program},
			StartTimeout: forAnyMachine, CancelTimeout: forAnyMachine, Health: config.Health{Off: true},
			Env: map[string]string{raisesCauses: causes, "GORACE": "atexit_sleep_ms=0"},
		})
		if err != nil {
			return err
		}
		stage := &raisesStage{ctx: t.Context(), plugin: plugin}
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
