package console

import (
	"fmt"
	"strings"

	"charm.land/bubbles/v2/key"

	"github.com/seed-2ba35074/trellis/internal/treepath"
)

// String is the key itself, by which its binding is found.
func (p Press) String() string { return p.Key }

// binding is what a key does. Word is for the line of hints; a binding without one is told by the page of help only.
type binding struct {
	key.Binding
	word string
	do   func(m *Model) []Request
}

func bind(keys, shown, word, help string, do func(m *Model) []Request) binding {
	return binding{key.NewBinding(key.WithKeys(strings.Fields(keys)...), key.WithHelp(shown, help)), word, do}
}

// bindings are the keys, the most useful ones first.
func bindings() []binding {
	return []binding{
		bind("enter", "enter", "panel", "the actor's panel; in traces, the waterfall", (*Model).enter),
		bind("l", "l", "logs", "what the actor and those below it log; in a trace, what was logged in it", (*Model).logs),
		bind("c", "c", "contexts", "what the actor has open, with whom, and what that waits for", opening(contextsPage)),
		bind("t", "t", "traces", "the traces in which the actor takes part, if the host keeps spans", opening(tracesPage)),
		bind("e", "e", "events", "what becomes of the actor and of those below it", opening(eventsPage)),
		bind("r", "r", "restart", "end the actor's process, and start another one (asks first)", ordering(Restart)),
		bind("x", "x", "cancel", "end the actor for good (asks first)", ordering(Cancel)),
		bind("n", "n", "next error", "the next line in trouble: one with a !", (*Model).next),
		bind("d", "d", "describe", "the panel, with the types of all that the actor serves", opening(describePage)),
		bind("/", "/", "filter", "only lines with a text; esc shows all again", typing('/')),
		bind(":", ":", "command", "a command; :help lists them", typing(':')),
		bind("u", "u", "up", "to the actor's host; from a page, back", (*Model).up),
		bind("esc backspace", "esc", "", "back", (*Model).back),
		bind("down j", "↓ ↑ j k", "", "a line down, up", moving(1)),
		bind("up k", "", "", "", moving(-1)),
		bind("pgdown ctrl+f space", "pgdn pgup", "", "a page down, up", func(m *Model) []Request { m.move(m.body(m.shown())); return nil }),
		bind("pgup ctrl+b", "", "", "", func(m *Model) []Request { m.move(-m.body(m.shown())); return nil }),
		bind("end G", "end home", "", "the last line, which follows what comes; the first", moving(mostLines+mostSpans)),
		bind("home g", "", "", "", moving(-mostLines-mostSpans)),
		bind("right", "→ ←", "", "scroll lines that are longer than the screen", (*Model).right),
		bind("left", "", "", "", func(m *Model) []Request { p := m.shown(); p.left = max(0, p.left-16); return nil }),
		bind("?", "?", "help", "", (*Model).help),
		bind("q ctrl+c", "q", "quit", "leave; the tree goes on", func(*Model) []Request { return []Request{{Do: Quit}} }),
	}
}

// press is what a key does: it ends a screen whose host has ended, it is typed into a prompt, or it is bound to something.
func (m *Model) press(p Press) []Request {
	switch {
	case m.over != "", p.Key == "ctrl+c":
		return []Request{{Do: Quit}}
	case m.prompt != nil:
		return m.typed(p)
	}
	m.notice = part{}
	for _, b := range bindings() {
		if key.Matches(p, b.Binding) {
			return b.do(m)
		}
	}
	return nil
}

func moving(by int) func(m *Model) []Request {
	return func(m *Model) []Request { m.move(by); return nil }
}

func opening(k kind) func(m *Model) []Request {
	return func(m *Model) []Request { return m.open(k, m.actor()) }
}

func ordering(do Do) func(m *Model) []Request {
	return func(m *Model) []Request { return m.confirm(Request{Do: do, Path: m.actor()}) }
}

func typing(k rune) func(m *Model) []Request {
	return func(m *Model) []Request {
		m.prompt = &prompt{kind: k}
		if k == '/' {
			m.prompt.text = m.shown().filter
		}
		return nil
	}
}

// open shows a page about an actor, in the place of whatever was above the tree. What somebody looks at is no trouble that they
// do not know of.
func (m *Model) open(k kind, path string) []Request {
	asked := m.leave(1)
	delete(m.failed, path)
	p := &page{kind: k, path: path, cursor: k != panelPage && k != describePage, follow: k == logsPage || k == eventsPage || k == tracesPage}
	return append(asked, m.push(p)...)
}

// push shows a page, and asks for what is on it.
func (m *Model) push(p *page) []Request {
	m.pages = append(m.pages, p)
	r := p.asks()
	if r.Do == "" {
		return nil
	}
	m.last++
	p.number, r.Page = m.last, m.last
	return []Request{r}
}

// leave takes away the pages from one on.
func (m *Model) leave(from int) (asked []Request) {
	for _, p := range m.pages[from:] {
		if p.kind == logsPage || p.kind == tracesPage {
			asked = append(asked, Request{Do: Leave, Page: p.number})
		}
	}
	m.pages = m.pages[:from]
	return asked
}

// enter opens the waterfall of a trace, and elsewhere the panel of the actor that the line is about, or the page.
func (m *Model) enter() []Request {
	p := m.shown()
	_, lines := m.linesOf(p)
	at := m.position(p, lines)
	switch p.kind {
	case treePage, eventsPage, logsPage, tracesPage:
		if at >= len(lines) {
			return nil
		}
		if p.kind == tracesPage {
			return m.push(&page{kind: tracePage, path: p.path, trace: lines[at].opens, cursor: true})
		}
		return m.open(panelPage, lines[at].opens)
	}
	return m.open(panelPage, p.path)
}

// logs shows the records of the actor, or of the trace that is shown.
func (m *Model) logs() []Request {
	if p := m.shown(); p.kind == tracePage {
		return m.push(&page{kind: logsPage, path: p.path, trace: p.trace, cursor: true, follow: true})
	}
	return m.open(logsPage, m.actor())
}

// up goes to the host of the selected actor, or back.
func (m *Model) up() []Request {
	p := m.shown()
	if p.kind != treePage {
		return m.back()
	}
	_, lines := m.linesOf(p)
	host := treepath.Host(m.actor())
	for i := range lines {
		if lines[i].opens == host {
			m.moveTo(p, lines, i)
		}
	}
	return nil
}

// back ends the filter, or goes to the page below.
func (m *Model) back() []Request {
	p := m.shown()
	switch {
	case p.filter != "":
		p.filter = ""
	case p.left > 0:
		p.left = 0
	case len(m.pages) > 1:
		return m.leave(len(m.pages) - 1)
	}
	return nil
}

func (m *Model) right() []Request {
	if p := m.shown(); p.kind != treePage {
		p.left += 16
	}
	return nil
}

func (m *Model) help() []Request {
	if m.shown().kind == helpPage {
		return m.back()
	}
	return m.push(&page{kind: helpPage, path: m.actor()})
}

func helpLines() []line {
	var lines []line
	add := func(what, text string) {
		lines = append(lines, line{parts: []part{{pad(what, 10, false), titled}, {text, plain}}})
	}
	for _, b := range bindings() {
		if h := b.Help(); h.Desc != "" {
			add(h.Key, h.Desc)
		}
	}
	lines = append(lines, line{})
	add("CPU", "100% is a processor")
	add("RST", "restarts: processes after the first one")
	add("CALLS/S", "calls that have ended in a second; P99: the time that 99 of 100 took at most")
	add("CTX", "calls and contexts that have not ended")
	add("QUEUE", "messages that nobody has taken, and calls that wait for others to end")
	add("HELD", "sends that wait for credit, and so for somebody who has QUEUE")
	lines = append(lines, line{})
	for _, c := range commandHelp {
		add(":"+c[0], c[1])
	}
	return lines
}

// hints are the keys for which there is room in a line: the way back first, and help and quit always.
func (m *Model) hints() line {
	var l line
	room := m.width
	add := func(key, word string) {
		room -= len(key) + len(word) + 3
		l.parts = append(l.parts, part{key, titled}, part{" " + word + "  ", dim})
	}
	p := m.shown()
	if p.kind != treePage || p.filter != "" {
		add("esc", "back")
	}
	const always = len("? help  q quit")
	for _, b := range bindings() {
		here, order := b.word == string(p.kind), b.word == string(Restart) || b.word == string(Cancel)
		if b.word == "" || b.word == "help" || b.word == "quit" || here || order && m.ReadOnly || len(b.Help().Key)+len(b.word)+3 > room-always {
			continue
		}
		add(b.Help().Key, b.word)
	}
	add("?", "help")
	l.parts = append(l.parts, part{"q", titled}, part{" quit", dim})
	return l
}

// confirm asks whether an order is meant. Nothing but y carries it out.
func (m *Model) confirm(r Request) []Request {
	what := string(r.Do) + " " + name(r.Path)
	switch {
	case m.ReadOnly:
		m.notice = part{what + ": refused, since this screen is read-only", warn}
	case r.Path == "":
		m.notice = part{what + ": the host itself is ended where it was started", warn}
	default:
		if r.Do == Scale {
			what += fmt.Sprintf(" to %d", r.N)
		}
		m.prompt = &prompt{kind: '?', text: what + "? (y/N) ", ask: r}
	}
	return nil
}
