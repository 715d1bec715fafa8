package console

import (
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/charmbracelet/x/ansi"

	"github.com/seed-2ba35074/trellis/internal/command/internal/top"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/inspect"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

var update = flag.Bool("update", false, "write the frames in testdata")

var begun = time.Date(2026, 5, 4, 15, 0, 0, 0, time.UTC)

func TestMain(m *testing.M) {
	time.Local = time.UTC // frames have times of day
	os.Exit(m.Run())
}

func at(seconds int) time.Time { return begun.Add(time.Duration(seconds) * time.Second) }

// measured is an actor at work.
func measured(path string, restarts, queue, held int, calls uint64) telemetry.Metrics {
	return telemetry.Metrics{
		Actor: path, ID: actor.ID{Name: path, UUID: path}, State: "ready", Since: begun, Health: "ok", Restarts: uint64(restarts),
		Process:   telemetry.Process{CPU: time.Duration(calls) * time.Millisecond, RSS: 21 << 20, Descriptors: 12},
		Activity:  telemetry.Activity{Open: 2, Unread: queue, Held: held},
		Endpoints: []telemetry.Endpoint{{Name: "parse", Buckets: []uint64{0, 0, 0, calls}}},
	}
}

// census is a tree at one time, in which there is everything that a row can show.
func census(seconds int) top.Table {
	var v top.View
	look := func(n uint64) []telemetry.Metrics {
		root := telemetry.Metrics{ID: actor.ID{UUID: "0"}, State: "ready", Process: telemetry.Process{CPU: time.Duration(n) * time.Microsecond, RSS: 34 << 20}}
		hung := telemetry.Metrics{Actor: "report", ID: actor.ID{UUID: "9"}, State: "unhealthy", Health: "failed", Since: begun,
			Silent: "it has not answered in time", Process: telemetry.Process{RSS: 2 << 30}}
		waiting := telemetry.Metrics{Actor: "greeter", ID: actor.ID{UUID: "8"}, State: "waiting", Silent: "it has no process", Restarts: 3}
		ten := measured("census/parser#10", 0, 0, 0, n)
		return []telemetry.Metrics{root, measured("census", 0, 0, 2, n), measured("census/parser", 1, 40, 0, 812*n), ten,
			measured("census/parser#2", 0, 0, 0, 0), measured("census/walker", 0, 0, 0, 3*n), waiting, hung}
	}
	v.Look(at(seconds-1), look(0))
	return v.Look(at(seconds), look(1))
}

func event(seconds int, path string, from, to directory.State, change func(e *directory.Event)) Happened {
	e := directory.Event{Time: at(seconds), Path: path, Actor: actor.ID{Name: path}, Epoch: 1, From: from, To: to}
	if change != nil {
		change(&e)
	}
	return Happened{Event: e}
}

func crashed(e *directory.Event) {
	e.Cause, e.Reason = directory.Crashed, "actor parser@02a9332e died (signal killed)"
}

// busy is a model of the census at a size, with a crash in its events.
func busy(width, height int) *Model {
	m := New(Options{Host: "default"})
	m.Update(Size{width, height})
	for _, path := range []string{"census", "census/parser", "report"} {
		up := event(1, path, directory.Starting, directory.Ready, nil)
		up.Past = true
		if path == "report" {
			up.Event.From, up.Event.To = directory.Ready, directory.Unhealthy
		}
		m.Update(up)
	}
	m.Update(Measured{census(123)})
	m.Update(event(124, "census/parser", directory.Ready, directory.Stopping, crashed))
	m.Update(event(124, "census/parser", directory.Stopping, directory.Reaped, crashed))
	m.Update(event(125, "census/parser", directory.Waiting, directory.Starting, nil))
	m.Update(event(125, "census/parser", directory.Starting, directory.Ready, func(e *directory.Event) { e.Epoch = 2 }))
	return m
}

// press gives what the last of some keys asks for. Keys are parted by spaces; a quoted one is typed, 3j is j three times.
func press(m *Model, keys string) (asked []Request) {
	for k := range strings.FieldsSeq(keys) {
		if text, typed := strings.CutPrefix(k, "'"); typed {
			for _, r := range strings.ReplaceAll(text, "_", " ") {
				asked = m.Update(Press{string(r), string(r)})
			}
			continue
		}
		if n := k[0]; len(k) == 2 && n >= '2' && n <= '9' { // again and again
			for range n - '0' {
				asked = press(m, k[1:])
			}
			continue
		}
		p := Press{Key: k}
		if len([]rune(k)) == 1 {
			p.Text = k
		}
		asked = m.Update(p)
	}
	return asked
}

// number is that of the page which is shown.
func (m *Model) number() int { return m.shown().number }

var contexts = []dialog.Info{
	{Endpoint: "count", Kind: "context", Role: dialog.RoleCallee, Peer: "host@1", Since: begun, Phase: "open", Waits: "a message", Received: 3, Credit: 64},
	{Endpoint: "parse", Kind: "context", Role: dialog.RoleOpener, Peer: "census/parser", Since: at(60), Phase: "open", Waits: "room for a message", Sent: 4711, Queued: 5},
	{Role: dialog.RoleRelay, Peer: "census/walker", Stuck: true},
}

func known() *inspect.Actor {
	return &inspect.Actor{
		Path: "census", Name: "census", UUID: "72209ac7aaaa", PID: 4711, Epoch: 1, State: "ready", Since: begun, Contexts: contexts[2:],
		Failure:   &inspect.Failure{Time: at(3), Story: []string{"actor census@1 died (signal killed)", "  in start"}},
		Endpoints: []inspect.Endpoint{{Name: "count", Kind: "context"}},
		Process:   &inspect.Process{PID: 4711, Go: "go1.26.8", Goroutines: 84, Contexts: contexts, More: 2},
		Log:       []telemetry.Record{{Time: at(2), Actor: "census", Level: slog.LevelWarn, Text: "slow", Fields: []telemetry.Field{{Key: "file", Value: "a b.go"}}}},
	}
}

func spans() []telemetry.Span {
	span := func(id, parent, actor, name string, from, took time.Duration) telemetry.Span {
		return telemetry.Span{Trace: strings.Repeat("0a", 16), Span: id, Parent: parent, Actor: actor, Name: name, Time: begun.Add(from), Duration: took, Status: telemetry.OK}
	}
	failed := span("3", "2", "census/parser", "serve parser/parse", 20*time.Millisecond, 30*time.Millisecond)
	failed.Status, failed.Error = telemetry.Failed, "file not found"
	well := span("9", "", "census/walker", "start walker", time.Second, 24*time.Millisecond)
	well.Trace = strings.Repeat("1b", 16)
	return []telemetry.Span{failed, span("2", "1", "census", "call parser/parse", 10*time.Millisecond, 50*time.Millisecond), span("1", "", "", "open census/count", 0, 100*time.Millisecond), well}
}

func records() []telemetry.Record {
	return []telemetry.Record{
		{Time: at(1), Actor: "census/walker", Level: slog.LevelDebug, Text: "walking", Fields: []telemetry.Field{{Key: "root", Value: "/a b"}}},
		{Time: at(2), Actor: "census", Level: slog.LevelInfo, Text: "counted", Fields: []telemetry.Field{{Key: "files", Value: int64(12)}}},
		{Time: at(3), Actor: "census/parser", Level: slog.LevelError, Text: "no such file", Fields: []telemetry.Field{{Key: "file", Value: "x.go"}}},
		{Time: at(4), Actor: "census/parser", Level: slog.LevelWarn, Text: "slow: " + strings.Repeat("this goes on beyond the right edge ", 4)},
	}
}

// scenes are frames by their names.
var scenes = map[string]func(width, height int) *Model{
	"first": func(width, height int) *Model {
		m := New(Options{Host: "default"})
		m.Update(Size{width, height})
		return m
	},
	"tree": busy,
	"many": func(width, height int) *Model {
		m := busy(width, height)
		t := census(123)
		for i := range 40 {
			t.Actors = append(t.Actors, top.Row{Actor: fmt.Sprintf("census/parser#%d", 11+i), State: "ready", Age: 60, RSS: 19 << 20, Health: "ok"})
		}
		m.Update(Measured{t})
		press(m, "pgdown")
		return m
	},
	"part": func(width, height int) *Model { // of the tree, as NAME chooses it
		m := New(Options{Host: "default"})
		m.Update(Size{width, height})
		t := census(123)
		t.Actors = slices.DeleteFunc(t.Actors, func(r top.Row) bool { return !strings.HasPrefix(r.Actor, "census/") })
		t.Actors = append(t.Actors, top.Row{Actor: "census/parser/reader", State: "starting"})
		m.Update(Measured{t})
		return m
	},
	"sorted":   pressed(": 'sort_cpu enter j"),
	"filtered": pressed("/ 'parser#"),
	"panel": func(width, height int) *Model {
		m := busy(width, height)
		press(m, "j enter")
		m.Update(Described{Page: m.number(), Actor: known()})
		return m
	},
	"describe": func(width, height int) *Model {
		m := busy(width, height)
		press(m, "j d")
		m.Update(Described{Page: m.number(), Actor: known(), Shape: []string{"context count", "  args.root string", "  result.files int"}})
		press(m, "G")
		return m
	},
	"contexts": func(width, height int) *Model {
		m := busy(width, height)
		press(m, "j c")
		m.Update(Described{Page: m.number(), Actor: known(), Below: []*inspect.Actor{{Path: "census/parser", Contexts: contexts[:1]}, {Path: "census/walker"}}})
		return m
	},
	"logs": func(width, height int) *Model {
		m := busy(width, height)
		press(m, "j l")
		m.Update(Said{m.number(), records()})
		return m
	},
	"traces": func(width, height int) *Model {
		m := busy(width, height)
		press(m, "t")
		m.Update(Ended{m.number(), spans()})
		return m
	},
	"trace": func(width, height int) *Model {
		m := busy(width, height)
		press(m, "t")
		m.Update(Ended{m.number(), spans()})
		press(m, "n enter")
		return m
	},
	"events": pressed("e n"),
	"help":   pressed("?"),
	"asking": pressed("2j x"),
	"refused": func(width, height int) *Model {
		m := busy(width, height)
		m.ReadOnly = true
		press(m, "j r")
		return m
	},
	"over": func(width, height int) *Model {
		m := busy(width, height)
		m.Update(Over{"it received interrupt"})
		return m
	},
}

// pressed is a scene of a busy tree, after keys.
func pressed(keys string) func(width, height int) *Model {
	return func(width, height int) *Model {
		m := busy(width, height)
		press(m, keys)
		return m
	}
}

// A frame is as large as the screen, and what it says it says without colours. The golden ones have none, but for one.
func TestO02_Frames(t *testing.T) {
	for name, scene := range scenes {
		for _, size := range []Size{{80, 24}, {60, 20}} {
			frame := scene(size.Width, size.Height).Frame()
			golden(t, fmt.Sprintf("%s-%dx%d.txt", name, size.Width, size.Height), ansi.Strip(frame)+"\n")
		}
	}
	golden(t, "tree-colour.txt", strings.ReplaceAll(busy(80, 24).Frame(), "\x1b", "ESC")+"\n")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is\n%s\nwant\n%s", name, got, want)
	}
}

// shownFrame is a frame on a page, with its name.
var shownFrame = regexp.MustCompile("(?s)(<!-- frame:([a-z0-9-]+) -->\n```\n)(.*?)(```\n)")

// The frames in docs/operating.md are golden ones, without the rows that are empty, so that they are as the screen is now.
func TestO02_ThePageShowsFrames(t *testing.T) {
	path := filepath.Join("..", "..", "..", "..", "docs", "operating.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	want := shownFrame.ReplaceAllStringFunc(string(page), func(block string) string {
		parts := shownFrame.FindStringSubmatch(block)
		frame, err := os.ReadFile(filepath.Join("testdata", parts[2]+".txt"))
		if err != nil {
			t.Error(err)
		}
		shown++
		var rows strings.Builder
		for row := range strings.Lines(string(frame)) {
			if row = strings.TrimRight(row, " \n"); row != "" {
				rows.WriteString(row + "\n")
			}
		}
		return parts[1] + rows.String() + parts[4]
	})
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if shown < 3 || !*update && want != string(page) {
		t.Errorf("%s shows %d frames, and these are not those in testdata: run this test with -update", path, shown)
	}
}

// Whatever the size, no line is longer than the screen, and there are as many as it is high.
func TestO02_AFrameFitsItsScreen(t *testing.T) {
	for name, scene := range scenes {
		for _, size := range []Size{{20, 6}, {37, 13}, {60, 20}, {80, 24}, {200, 60}} {
			lines := strings.Split(scene(size.Width, size.Height).Frame(), "\n")
			if len(lines) != size.Height {
				t.Errorf("O02: %s has %d lines at %v", name, len(lines), size)
			}
			for _, l := range lines {
				if ansi.StringWidth(l) > size.Width {
					t.Errorf("O02: %s at %v: %q", name, size, l)
				}
			}
		}
	}
}

// O04: no text of a plugin gets into a frame as anything but text, wherever it is shown.
func TestO04_HostileTextInFrames(t *testing.T) {
	const venom = "venom\x1b[2J\x1b]0;title\a\u009b2J\r\n> forged\t\u202e\u2066\x7f\u200b"
	hostile := func() *Model {
		m := New(Options{Host: "default" + venom})
		table := census(10)
		for i := range table.Actors {
			r := &table.Actors[i]
			r.State, r.Health = r.State+venom, venom
			if r.Actor != "" {
				r.Actor += venom
			}
		}
		m.Update(Measured{table})
		m.Update(event(11, "census/"+venom, directory.State(venom), directory.State(venom), func(e *directory.Event) {
			e.Cause, e.Reason, e.Step, e.Stuck, e.Refused = directory.Cause(venom), venom, venom, venom, venom
		}))
		return m
	}
	a := known()
	a.Path, a.Name, a.Reason, a.Failure.Story, a.Process.Module = venom, venom, venom, []string{venom}, venom
	a.Process.Contexts = []dialog.Info{{Endpoint: venom, Kind: venom, Role: venom, Peer: venom, Waits: venom, Phase: venom}}
	said := []telemetry.Record{{Actor: venom, Text: venom, Fields: []telemetry.Field{{Key: venom, Value: venom}}}}
	done := []telemetry.Span{{Trace: venom, Actor: venom, Name: venom, Error: venom, Status: telemetry.Status(venom), Events: []telemetry.SpanEvent{{Name: venom, Fields: said[0].Fields}}}}
	for name, show := range map[string]func(m *Model){
		"the tree": func(*Model) {},
		"sorted":   func(m *Model) { press(m, ": 'sort_cpu enter") },
		"a panel":  func(m *Model) { press(m, "j d"); m.Update(Described{m.number(), a, []string{venom}, nil}) },
		"contexts": func(m *Model) { press(m, "j c"); m.Update(Described{m.number(), a, nil, []*inspect.Actor{a}}) },
		"a reason": func(m *Model) { press(m, "l"); m.Update(Failed{m.number(), venom}) },
		"logs":     func(m *Model) { press(m, "l"); m.Update(Said{m.number(), said}) },
		"traces":   func(m *Model) { press(m, "t"); m.Update(Ended{m.number(), done}) },
		"a trace":  func(m *Model) { press(m, "t"); m.Update(Ended{m.number(), done}); press(m, "enter") },
		"events":   func(m *Model) { press(m, "e") },
		"a prompt": func(m *Model) { press(m, "/"); m.Update(Press{Text: venom}) },
		"an order": func(m *Model) { m.Update(Done{Request{Do: Restart, Path: venom}, venom}) },
		"asking":   func(m *Model) { press(m, "2j x") },
		"no look":  func(m *Model) { m.Update(Late{venom}) },
		"the end":  func(m *Model) { m.Update(Over{venom}) },
	} {
		m := hostile()
		show(m)
		frame := m.Frame()
		plain := ansi.Strip(frame) // the colours are ours: nothing but these may go
		if i := strings.IndexFunc(plain, func(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) }); i >= 0 {
			t.Errorf("O04: %s: %q is in %q", name, plain[i:i+1], plain)
		}
		if strings.Contains(plain, "\n> forged") || strings.Count(frame, "\n") != m.height-1 {
			t.Errorf("O04: %s: a line is forged in %q", name, plain)
		}
		if !strings.Contains(plain, "venom") {
			t.Errorf("O04: %s: nothing of the text is shown: %q", name, plain)
		}
		for _, sequence := range strings.Split(frame, "\x1b")[1:] {
			if end := strings.IndexFunc(sequence, unicode.IsLetter); !strings.HasPrefix(sequence, "[") || sequence[end] != 'm' {
				t.Errorf("O04: %s: the sequence %q", name, sequence)
			}
		}
	}
}

// What each key asks for, and which page it leads to. The selected actor is the census, unless keys say otherwise.
func TestKeys(t *testing.T) {
	for _, test := range []struct {
		keys string
		page kind
		want []Request
	}{
		{"enter", panelPage, []Request{{Do: Describe, Path: "census", Page: 1}}},
		{"d", describePage, []Request{{Do: Describe, Path: "census", Page: 1}}},
		{"l", logsPage, []Request{{Do: Logs, Path: "census", Page: 1}}},
		{"c", contextsPage, []Request{{Do: Contexts, Path: "census", Page: 1}}},
		{"t", tracesPage, []Request{{Do: Traces, Path: "census", Page: 1}}},
		{"l t", tracesPage, []Request{{Do: Leave, Page: 1}, {Do: Traces, Path: "census", Page: 2}}},
		{"l esc", treePage, []Request{{Do: Leave, Page: 1}}},
		{"e", eventsPage, nil},
		{"e enter", panelPage, []Request{{Do: Describe, Path: "census/parser", Page: 1}}},
		{"l enter", logsPage, nil}, // there is no line
		{"t enter", tracesPage, nil},
		{"c enter", panelPage, []Request{{Do: Describe, Path: "census", Page: 2}}},
		{"up enter", panelPage, []Request{{Do: Describe, Page: 1}}},
		{"u", treePage, nil},
		{"u l", logsPage, []Request{{Do: Logs, Page: 1}}},
		{"2j 3u l", logsPage, []Request{{Do: Logs, Page: 1}}},
		{"2j u l", logsPage, []Request{{Do: Logs, Path: "census", Page: 1}}},
		{"G l", logsPage, []Request{{Do: Logs, Path: "report", Page: 1}}},
		{"g l", logsPage, []Request{{Do: Logs, Page: 1}}},
		{"pgdown pgup down l", logsPage, []Request{{Do: Logs, Path: "census", Page: 1}}},
		{"n l", logsPage, []Request{{Do: Logs, Path: "census/parser", Page: 1}}},
		{"2n l", logsPage, []Request{{Do: Logs, Path: "greeter", Page: 1}}},
		{"4n l", logsPage, []Request{{Do: Logs, Path: "census/parser", Page: 1}}},
		{"n l esc n l", logsPage, []Request{{Do: Logs, Path: "greeter", Page: 2}}}, // it was looked at
		{"r", treePage, nil},
		{"r n", treePage, nil},
		{"r enter", treePage, nil},
		{"r y", treePage, []Request{{Do: Restart, Path: "census"}}},
		{"x Y", treePage, []Request{{Do: Cancel, Path: "census"}}},
		{"l x y", logsPage, []Request{{Do: Cancel, Path: "census"}}},
		{"u x y", treePage, nil}, // the host itself
		{"/ 'walk enter down l", logsPage, []Request{{Do: Logs, Path: "census/walker", Page: 1}}},
		{"/ 'walk esc down l", logsPage, []Request{{Do: Logs, Path: "census/parser", Page: 1}}},
		{": 'logs_walker enter", logsPage, []Request{{Do: Logs, Path: "census/walker", Page: 1}}},
		{": 'logs_census/parser#2 enter", logsPage, []Request{{Do: Logs, Path: "census/parser#2", Page: 1}}},
		{": 'logs_nobody enter", treePage, nil},
		{": 'scale_4 enter", treePage, nil},
		{": 'scale_4 enter y", treePage, []Request{{Do: Scale, Path: "census", N: 4}}},
		{": 'scale_report_0 enter y", treePage, []Request{{Do: Scale, Path: "report"}}},
		{": 'scale enter y", treePage, nil},
		{": 'scale_x enter y", treePage, nil},
		{": 'restart_parser#2 enter y", treePage, []Request{{Do: Restart, Path: "census/parser#2"}}},
		{": 'quit enter", treePage, []Request{{Do: Quit}}},
		{": 'qiut enter", treePage, nil},
		{": enter", treePage, nil},
		{": 'x ctrl+u backspace l", logsPage, []Request{{Do: Logs, Path: "census", Page: 1}}},
		{"? l", logsPage, []Request{{Do: Logs, Path: "census", Page: 1}}},
		{"? ?", treePage, nil},
		{"esc", treePage, nil},
		{"F1", treePage, nil},
		{"q", treePage, []Request{{Do: Quit}}},
		{"l q", logsPage, []Request{{Do: Quit}}},
		{"/ 'abc ctrl+c", treePage, []Request{{Do: Quit}}},
	} {
		m := busy(80, 24)
		press(m, "j")
		got := press(m, test.keys)
		if m.shown().kind != test.page || !slices.Equal(got, test.want) {
			t.Errorf("%q leads to %s and asks for %+v, want %s and %+v", test.keys, m.shown().kind, got, test.page, test.want)
		}
	}
}

// O05: a screen that is read-only gives no order, whichever way it is told to; and nothing but y is a yes.
func TestO05_OrdersAreMeant(t *testing.T) {
	for _, keys := range []string{"j r y", "j x y", ": 'restart_report enter y", ": 'cancel_report enter y", ": 'scale_report_3 enter y", "j l r y"} {
		m := busy(80, 24)
		m.ReadOnly = true
		if asked := press(m, keys); len(asked) > 0 || !strings.Contains(m.Frame(), "read-only") {
			t.Errorf("O05: %q asks for %+v", keys, asked)
		}
	}
	for _, no := range []string{"n", "enter", "esc", "space", "q", "x"} {
		m := busy(80, 24)
		if asked := press(m, "j x "+no); len(asked) > 0 || !strings.Contains(m.Frame(), "cancel census: not done") {
			t.Errorf("O05: %s is a yes: %+v", no, asked)
		}
	}
}

// What a message makes of what is shown.
func TestO02_Folding(t *testing.T) {
	row := func(path string) func(m *Model) any {
		return func(m *Model) any {
			if r := m.row(path); r != nil {
				return r.State
			}
			return ""
		}
	}
	trouble := func(path string) func(m *Model) any {
		return func(m *Model) any { return m.trouble(m.row(path)) }
	}
	lines := func(m *Model) any {
		_, all := m.linesOf(m.shown())
		return len(all)
	}
	gone := event(130, "report", directory.Unhealthy, directory.Gone, nil)
	for name, test := range map[string]struct {
		keys     string
		messages []any
		see      func(m *Model) any
		want     any
	}{
		"a state":                {"", []any{event(130, "census", directory.Ready, directory.Stopping, nil)}, row("census"), "stopping"},
		"one that comes":         {"", []any{event(130, "late", "", directory.Waiting, nil)}, row("late"), "waiting"},
		"one that goes":          {"", []any{gone}, row("report"), ""},
		"it stays gone":          {"", []any{gone, Measured{census(131)}}, row("report"), ""}, // the look was before
		"until it is told again": {"", []any{gone, Measured{census(131)}, event(132, "report", "", directory.Waiting, nil), Measured{census(133)}}, row("report"), "waiting"},
		"a look before an event": {"", []any{event(130, "census", directory.Ready, directory.Stopping, nil), Measured{census(131)}}, row("census"), "stopping"},
		"of one that is new":     {"", []any{event(130, "late", "", directory.Waiting, nil), Measured{census(131)}, event(131, "late", "", directory.Starting, nil)}, row("late"), "starting"},
		"the past is no trouble": {"", []any{Happened{event(2, "census", directory.Ready, directory.Ready, crashed).Event, true}}, trouble("census"), false},
		"a crash is":             {"", []any{event(130, "census", directory.Ready, directory.Ready, crashed)}, trouble("census"), true},
		"until it is looked at":  {"n enter", nil, trouble("census/parser"), false},
		"what is asked for ends nothing": {"", []any{event(130, "census", directory.Ready, directory.Ready, func(e *directory.Event) {
			e.Cause = directory.Requested
		})}, trouble("census"), false},
		"an order":         {"", []any{Done{Request{Do: Restart, Path: "census"}, ""}}, func(m *Model) any { return m.notice.text }, "restart census: done"},
		"one that fails":   {"", []any{Done{Request{Do: Restart, Path: "census"}, "too late"}}, func(m *Model) any { return m.notice.text }, "restart census: too late"},
		"records":          {"l", []any{Said{1, records()}}, lines, 4},
		"of a page before": {"l esc l", []any{Said{1, records()}}, lines, 0},
		"filtered ones":    {"l / 'FILE enter", []any{Said{1, records()}}, lines, 2},
		"spans":            {"t", []any{Ended{1, spans()}}, lines, 2},
		"the end":          {"", []any{Over{"lost"}}, func(m *Model) any { return m.Update(Press{Key: "l", Text: "l"})[0].Do }, Quit},
		"no prompt then":   {"/", []any{Over{""}}, func(m *Model) any { return m.prompt == nil }, true},
	} {
		m := busy(80, 24)
		press(m, test.keys)
		for _, msg := range test.messages {
			m.Update(msg)
		}
		if got := test.see(m); got != test.want {
			t.Errorf("O02: %s: %v, want %v", name, got, test.want)
		}
	}
}

// O02: what is shown of an actor is asked for again when something has happened to it, and now and then, but not with every look.
func TestO02_APanelIsRefreshed(t *testing.T) {
	m := busy(80, 24)
	press(m, "j enter")
	again := []Request{{Do: Describe, Path: "census", Page: 1}}
	if asked := m.Update(event(130, "census", directory.Ready, directory.Stopping, nil)); !slices.Equal(asked, again) {
		t.Errorf("O02: %+v", asked)
	}
	if asked := m.Update(event(130, "report", directory.Ready, directory.Stopping, nil)); len(asked) > 0 {
		t.Errorf("O02: %+v", asked)
	}
	n := 0
	for i := range 50 { // a second each
		n += len(m.Update(Measured{census(131 + i)}))
	}
	if n != 10 {
		t.Errorf("O02: %d descriptions in 50 looks", n)
	}
}

// O01, O02: what is kept is bounded, and a line in which a person is stays selected while the oldest ones go.
func TestO02_WhatIsKept(t *testing.T) {
	m := busy(80, 24)
	press(m, "l")
	for i := range mostLines + 10 {
		m.Update(Said{1, []telemetry.Record{{Time: at(i), Text: fmt.Sprintf("record %d", i)}}})
		if i == mostLines-1 {
			press(m, "2k")
		}
	}
	if frame := ansi.Strip(m.Frame()); len(m.shown().lines) != mostLines || !strings.Contains(frame, fmt.Sprintf("  record %d", mostLines-3)) {
		t.Errorf("O02: %d lines:\n%s", len(m.shown().lines), frame)
	}
	for i := range 2 * mostEvents {
		m.Update(event(i, "census", directory.Ready, directory.Ready, nil))
	}
	press(m, "t")
	for i := range mostSpans + 10 {
		m.Update(Ended{2, []telemetry.Span{{Trace: fmt.Sprintf("%032x", i), Name: "start"}}})
	}
	if kept := m.shown().traces; len(m.events) != mostEvents || kept.n != mostSpans || len(kept.spans) != mostSpans || len(kept.order) != mostSpans {
		t.Errorf("O02: %d events, %d spans of %d traces", len(m.events), kept.n, len(kept.spans))
	}
}

func TestO02_TheOrderOfATree(t *testing.T) {
	want := []string{"", "a", "a/b", "a#2", "a#2/c", "a#10", "a-b", "b"}
	got := slices.Clone(want)
	slices.Reverse(got)
	if slices.SortFunc(got, byTree); !slices.Equal(got, want) {
		t.Errorf("O02: %v", got)
	}
}

// O02: whatever comes, in whichever order, there is a frame that fits the screen.
func TestO02_AnythingInAnyOrder(t *testing.T) {
	keys := strings.Fields("enter l c t e d r x n / : u esc backspace up down pgup pgdown home end left right ? y ctrl+u space 'parser '4 'scale_2 'sort_held 'logs_walker")
	paths := []string{"", "census", "census/parser", "census/parser#2", "greeter", "late", "late/below"}
	states := []directory.State{directory.Waiting, directory.Starting, directory.Ready, directory.Unhealthy, directory.Stopping, directory.Reaped, directory.Gone, directory.Standby}
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 0))
		m := New(Options{ReadOnly: seed%2 == 0})
		var done []string
		for i := range 200 {
			page, path := r.IntN(m.last+1), paths[r.IntN(len(paths))]
			var msg any
			switch r.IntN(12) {
			case 0:
				msg = Size{r.IntN(130), r.IntN(40)}
			case 1:
				part := census(i)
				part.Actors = part.Actors[:r.IntN(len(part.Actors)+1)]
				msg = Measured{part}
			case 2:
				e := event(i, path, states[r.IntN(len(states))], states[r.IntN(len(states))], crashed)
				e.Past = r.IntN(4) == 0
				msg = e
			case 3:
				msg = Said{page, records()}
			case 4:
				msg = Ended{page, spans()[:r.IntN(4)]}
			case 5:
				msg = Described{page, known(), nil, nil}
			case 6:
				msg = []any{Failed{page, "gone"}, Done{Request{Do: Scale, Path: path}, ""}, Late{"no answer"}}[r.IntN(3)]
			default:
				k := keys[r.IntN(len(keys))]
				done = append(done, k)
				press(m, k)
			}
			m.Update(msg)
			lines := strings.Split(m.Frame(), "\n")
			if len(lines) != m.height || slices.ContainsFunc(lines, func(l string) bool { return ansi.StringWidth(l) > m.width }) {
				t.Fatalf("O02: seed %d, after %q and %+v, at %dx%d:\n%s", seed, done, msg, m.width, m.height, m.Frame())
			}
		}
	}
}
