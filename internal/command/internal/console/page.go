package console

import (
	"strings"
	"time"

	"github.com/seed-2ba35074/trellis/internal/command/internal/top"
	"github.com/seed-2ba35074/trellis/internal/treepath"
)

// kind is what a page shows.
type kind string

const (
	treePage     kind = "tree"
	panelPage    kind = "panel"
	describePage kind = "describe"
	contextsPage kind = "contexts"
	logsPage     kind = "logs"
	tracesPage   kind = "traces"
	tracePage    kind = "trace"
	eventsPage   kind = "events"
	helpPage     kind = "help"
)

// page is a list of lines, in one of which a person is, or through which they scroll.
type page struct {
	kind   kind
	number int    // what is asked for it carries this; 0: nothing is
	path   string // the actor; in the tree, the one that is selected
	trace  string // the id of the one that it is about
	lines  []line
	traces traceList
	reason string // why something is missing

	cursor bool // one line is selected: at. If not, at is the first that is shown
	follow bool // what comes is selected as it comes
	at     int
	first  int // line in the window, as it was last drawn
	left   int // cells that are scrolled away
	filter string
}

// described reports whether a page is about an actor that is asked for now and then.
func (p *page) described() bool {
	return p.kind == panelPage || p.kind == contextsPage
}

// asks is what fills a page; without a Do it is filled by what comes anyway.
func (p *page) asks() Request {
	do := map[kind]Do{panelPage: Describe, describePage: Describe, contextsPage: Contexts, logsPage: Logs, tracesPage: Traces}[p.kind]
	return Request{Do: do, Path: p.path, Trace: p.trace, Page: p.number}
}

// add adds a line at the end, behind which the oldest go.
func (p *page) add(l line) {
	p.lines = append(p.lines, l)
	if more := len(p.lines) - mostLines; more > 0 {
		p.lines = p.lines[more:]
		p.at = max(0, p.at-more)
	}
}

// describe makes the lines of a page of what is known of its actor, for a screen that is so wide.
func (p *page) describe(d *Described, r *top.Row, width int, now time.Time) {
	p.reason, p.lines = "", nil
	if p.kind == contextsPage {
		p.lines = contextLines(d, now)
		return
	}
	if r != nil {
		p.lines = append(append(p.lines, numbersLines(r, width)...), line{})
	}
	for _, text := range d.Actor.Lines(now) {
		p.lines = append(p.lines, described(text))
	}
	if p.kind == describePage {
		p.lines = append(p.lines, line{})
		for _, text := range d.Shape {
			p.lines = append(p.lines, textLine(plain, text))
		}
	}
}

// linesOf are the head and the lines of a page which its filter lets through.
func (m *Model) linesOf(p *page) (head line, lines []line) {
	all := p.lines
	switch p.kind {
	case treePage:
		return m.tableLines()
	case eventsPage:
		all = nil
		for _, e := range m.events {
			if about(e.opens, p.path) {
				all = append(all, e.line)
			}
		}
	case tracesPage:
		all = p.traces.lines(p.path)
	case tracePage:
		all = m.waterfallLines(p)
	case helpPage:
		all = helpLines()
	}
	if p.filter != "" {
		var some []line
		for i := range all {
			if strings.Contains(strings.ToLower(all[i].text()), strings.ToLower(p.filter)) {
				some = append(some, all[i])
			}
		}
		all = some
	}
	return m.headOf(p, len(all)), all
}

// empty says why a page may have no lines.
var empty = map[kind]string{
	panelPage: "asking …", describePage: "asking …", contextsPage: "asking …",
	logsPage: "nothing was logged so far", tracesPage: "none so far", eventsPage: "none so far",
}

// headOf names a page, and says what it is about. It has n lines.
func (m *Model) headOf(p *page, n int) line {
	l := textLine(titled, string(p.kind))
	switch {
	case p.kind == helpPage:
	case p.trace != "":
		l.parts = append(l.parts, part{" · " + p.trace, named})
	default:
		l.parts = append(l.parts, part{" · " + name(p.path), named})
	}
	if p.filter != "" {
		l.parts = append(l.parts, part{"  /" + p.filter, warn})
	}
	if text := empty[p.kind]; n == 0 && p.filter == "" {
		l.parts = append(l.parts, part{"  " + text, dim})
	}
	if p.reason != "" {
		l.parts = append(l.parts, part{"  " + p.reason, bad})
	}
	return l
}

// about reports whether an actor is the one at a path, or below it; "" is everybody.
func about(actor, path string) bool {
	return path == "" || actor == path || treepath.IsBelow(actor, path)
}

// move goes so many lines down, or up.
func (m *Model) move(by int) {
	p := m.shown()
	_, lines := m.linesOf(p)
	at := m.position(p, lines)
	m.moveTo(p, lines, at+by)
}

// moveTo goes to a line. At the last one a page that grows goes on with what comes.
func (m *Model) moveTo(p *page, lines []line, at int) {
	last := len(lines) - 1
	if !p.cursor {
		last = len(lines) - m.body(p)
	}
	p.at = max(0, min(at, last))
	if grows := p.kind == logsPage || p.kind == eventsPage || p.kind == tracesPage; grows {
		p.follow = p.at >= last
	}
	if p.kind == treePage && p.at < len(lines) {
		p.path = lines[p.at].opens
	}
}

// position is the line in which a person is: in the tree that of the actor, wherever it has gone meanwhile.
func (m *Model) position(p *page, lines []line) int {
	if p.follow {
		return max(0, len(lines)-1)
	}
	if p.kind == treePage {
		for i := range lines {
			if lines[i].opens == p.path {
				return i
			}
		}
	}
	return max(0, min(p.at, len(lines)-1))
}

// window chooses the lines that fit into so many rows, and says which of them is selected; -1: none.
func (m *Model) window(p *page, lines []line, rows int) (shown []line, selected int) {
	at := m.position(p, lines)
	switch {
	case !p.cursor:
		p.first, selected = min(at, max(0, len(lines)-rows)), -1
	case at < p.first:
		p.first = at
	case at >= p.first+rows:
		p.first = at - rows + 1
	}
	p.first = max(0, min(p.first, len(lines)-rows))
	if p.cursor {
		selected = at - p.first
	}
	return lines[p.first:min(len(lines), p.first+rows)], selected
}

// next goes to the next line that tells of a failure, after the last one to the first.
func (m *Model) next() []Request {
	p := m.shown()
	_, lines := m.linesOf(p)
	at := m.position(p, lines)
	for i := range lines {
		if n := (at + 1 + i) % len(lines); lines[n].wrong {
			m.moveTo(p, lines, n)
			return nil
		}
	}
	m.notice = part{"no error here", dim}
	return nil
}

// actor is whom a key is about: the actor of the page, or that of the selected line.
func (m *Model) actor() string {
	p := m.shown()
	if p.kind == treePage {
		_, lines := m.linesOf(p)
		if at := m.position(p, lines); at < len(lines) {
			return lines[at].opens
		}
	}
	return p.path
}
