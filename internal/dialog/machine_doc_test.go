package dialog

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The diagrams of docs/protocol/drawn.md are drawn from the table and from the model,
// each between two markers. This test fails when the page is out of date;
// go test -update draws anew.
func TestProtocolPage(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "protocol", "drawn.md")
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	page := string(old)
	page = insert(t, page, "opener", stateDiagram(Opening, Settled, Opening, Open))
	page = insert(t, page, "callee", stateDiagram(Starting, Ending, Starting, Live))
	for _, s := range stories {
		page = insert(t, page, s.name, s.draw(t))
	}
	golden(t, file, page)
}

// insert replaces what stands between the markers of a diagram.
func insert(t *testing.T, page, name, diagram string) string {
	t.Helper()
	begin, end := "<!-- drawn: "+name+" -->\n", "<!-- end -->"
	before, rest, ok := strings.Cut(page, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("docs/protocol/drawn.md has no place for the diagram %q", name)
	}
	return before + begin + "```mermaid\n" + diagram + "```\n" + end + after
}

// stateDiagram draws one side's part of the table.
func stateDiagram(from, to Phase, begins ...Phase) string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	for _, p := range begins {
		fmt.Fprintf(&b, "    [*] --> %v\n", p)
	}
	for p := from; p <= to; p++ {
		for _, next := range []Phase{Opening, Open, Leaving, Stopping, Draining, Settled, Starting, Live, Ending, Over} {
			if label := arrow(p, next); label != "" {
				fmt.Fprintf(&b, "    %v --> %v : %s\n", p, next, label)
			}
		}
	}
	b.WriteString("    Over --> [*]\n")
	return b.String()
}

// arrow gathers the events that lead from one phase to another. What stays where
// it is, and does no more than the same event elsewhere, is left to the transcript.
func arrow(from, to Phase) string {
	var lines []string
	for e := range events {
		r, ok := table[from][e]
		if !ok || r.next != to || from == to && r.do&frames == 0 {
			continue
		}
		line := e.String()
		if r.do != 0 {
			line += " / " + strings.Join(r.do.names(), ", ")
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "<br/>")
}

// story is one ending, played in the model.
type story struct {
	name   string
	sc     scenario
	script []string // the names of ops
}

// Names of ops that stories are made of.
const (
	toCallee     = "control frame from the opener"
	toOpener     = "control frame from the callee"
	dataToOpener = "data frame from the callee"
	dataToCallee = "data frame from the opener"
	scheduled    = "callee's task is scheduled"
	callStarted  = "callee calls Started"
	bodyBegins   = "opener's body begins, or need not"
	bodyReturns  = "opener's body returns nil"
	bodyFails    = "opener's body fails"
	returns      = "callee's task returns a value"
	calleeFails  = "callee's task fails"
	openerAsks   = "opener calls Cancel"
	calleeAsks   = "callee calls Cancel"
)

// begun is how every story begins.
var begun = []string{"opener opens", toCallee, scheduled, callStarted, toOpener, bodyBegins}

func tell(more ...string) []string { return append(slices.Clone(begun), more...) }

var stories = []story{
	{"return", scenario{}, tell(bodyReturns, dataToCallee, returns, toOpener)},
	{"callee error", scenario{fails: yes{true, true}}, tell(calleeFails, toOpener, bodyFails)},
	{"opener error", scenario{fails: yes{true, true}}, tell(bodyFails, toCallee, calleeFails, toOpener)},
	{
		"opener cancels", scenario{cancels: two{1, 0}, fails: yes{true, true}},
		tell(openerAsks, toCallee, calleeFails, toOpener, toOpener, bodyReturns),
	},
	{
		"callee cancels", scenario{cancels: two{0, 1}, fails: yes{true, true}},
		tell(calleeAsks, toOpener, bodyFails, toCallee, toCallee, calleeFails, toOpener),
	},
	{
		"both cancel", scenario{cancels: two{1, 1}, fails: yes{true, true}},
		tell(openerAsks, calleeAsks, toCallee, toOpener, calleeFails, bodyReturns, toOpener, toOpener, toCallee),
	},
	{
		"value wins", scenario{cancels: two{1, 0}},
		tell(openerAsks, returns, toCallee, toOpener, bodyReturns),
	},
	{
		"overrun", scenario{window: 2, sends: two{0, 3}, fails: yes{true, true}},
		tell("callee opens its stream", toOpener, "callee sends", "callee sends", "callee sends",
			dataToOpener, dataToOpener, dataToOpener, "opener has taken too long to open its stream", toCallee, "callee's Send goes on", calleeFails, toOpener, bodyFails),
	},
	{
		"link lost", scenario{loss: true, fails: yes{true, true}},
		tell("opener sees the link end", "callee sees the link end", bodyFails, calleeFails),
	},
}

// draw plays the story and draws what the model's log says.
func (s *story) draw(t *testing.T) string {
	t.Helper()
	s.sc.kind, s.sc.name = Context, s.name
	w, ops := s.sc.begin(), s.sc.ops()
	var log []string
	w.log = &log
	for _, name := range s.script {
		i := slices.IndexFunc(ops, func(o op) bool { return o.name == name })
		if i < 0 || !ops[i].can(&w) {
			t.Fatalf("%s: %q cannot happen after\n%s", s.name, name, strings.Join(log, "\n"))
		}
		w.note("%s", name)
		ops[i].do(&w)
		w.tidy()
	}
	for from := range 2 {
		for lane := range 2 {
			for w.canDeliver(from, lane) {
				w.deliver(from, lane, false)
			}
		}
	}
	if left := w.unfinished(); left != "" || w.broken != "" {
		t.Fatalf("%s: %s %s\n%s", s.name, left, w.broken, strings.Join(log, "\n"))
	}
	return "sequenceDiagram\n    participant opener\n    participant callee\n" + drawLog(log)
}

// short leaves out what a frame says when it says nothing.
var short = strings.NewReplacer(" after 0 yields", "", " deaf=0", "", " deaf=1", " deaf", "STARTED 0", "STARTED", "STARTED 2", "STARTED", "ATTACH 2", "ATTACH", "#", "")

// drawLog draws what happens at a side as a note, and each frame where it arrives.
func drawLog(log []string) string {
	var b strings.Builder
	told := map[string]bool{}
	for i, line := range log {
		who, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		frame, arrives := strings.CutPrefix(what, "gets ")
		switch indent := len(line) - len(strings.TrimLeft(line, " ")); {
		case indent == 0 && (who == "opener" || who == "callee" || who == "opener's" || who == "callee's"):
			fmt.Fprintf(&b, "    Note over %s: %s\n", who[:len("opener")], strings.TrimSuffix(what, ", or need not"))
		case indent == 2 && arrives:
			if i+1 < len(log) && strings.Contains(log[i+1], "dropped") {
				frame += " (dropped)"
			}
			fmt.Fprintf(&b, "    %s->>%s: %s\n", other(who), who, short.Replace(frame))
		case indent == 2 && strings.Contains(what, "Interrupt") && !told[who]:
			told[who] = true
			fmt.Fprintf(&b, "    Note over %s: its ctx is cancelled\n", who)
		}
	}
	return b.String()
}

func other(who string) string {
	if who == sideNames[opener] {
		return sideNames[callee]
	}
	return sideNames[opener]
}
