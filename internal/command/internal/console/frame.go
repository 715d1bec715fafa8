package console

import (
	"fmt"
	"strings"
)

// strip is how many rows the last events have, their head included: few on a screen that is not high, and none where events
// are the page.
func (m *Model) strip(p *page) int {
	switch {
	case p.kind == eventsPage || p.kind == helpPage || m.height < 14:
		return 0
	case m.height < 22:
		return 4
	}
	return min(12, m.height/4)
}

// body is how many rows there are for the lines of a page: all but the title, the head, the strip and the last row.
func (m *Model) body(p *page) int { return max(1, m.height-3-m.strip(p)) }

// Frame draws the screen: as many lines as it is high, of as many cells as it is wide, at most.
func (m *Model) Frame() string {
	p := m.shown()
	head, all := m.linesOf(p)
	rows := m.body(p)
	lines, selected := m.window(p, all, rows)
	title, last := m.title(), m.foot()
	place := ""
	if len(all) > rows {
		place = fmt.Sprintf("%d-%d of %d", p.first+1, p.first+len(lines), len(all))
	}
	if n := m.strip(p); n == 0 && p.kind != treePage {
		head.parts = append(head.parts, part{"  " + place, dim})
	}
	out := []string{title.draw(m.width, 0, false), head.draw(m.width, 0, false)}
	for i := range rows {
		if i < len(lines) {
			out = append(out, m.lineRow(&lines[i], p.left, i == selected))
		} else {
			out = append(out, "")
		}
	}
	if n := m.strip(p); n > 0 {
		out = append(out, m.stripRows(place, n)...)
	}
	return strings.Join(append(out, last.draw(m.width, 0, false)), "\n")
}

// lineRow is a line behind its marks: > if it is selected, ! if it is in trouble.
func (m *Model) lineRow(l *line, left int, selected bool) string {
	mark := []byte("  ")
	look := plain
	if selected {
		mark[0] = '>'
	}
	if l.wrong {
		mark[1], look = '!', bad
	}
	marks := line{parts: []part{{string(mark), look}}}
	return marks.draw(2, 0, selected) + l.draw(m.width-2, left, selected)
}

// stripRows are the last events, below a rule that says where in the lines above the window is.
func (m *Model) stripRows(place string, n int) []string {
	rule := "── events "
	if place != "" {
		rule = "── " + place + " ── events "
	}
	l := textLine(dim, rule+strings.Repeat("─", max(0, m.width-cells(rule))))
	out := []string{l.draw(m.width, 0, false)}
	events := m.events[max(0, len(m.events)-n+1):]
	for i := range n - 1 {
		if i < len(events) {
			out = append(out, m.lineRow(&events[i].line, 0, false))
		} else {
			out = append(out, "")
		}
	}
	return out
}

// title is the first row: which host it is, and how all of its actors are together.
func (m *Model) title() line {
	l := line{parts: []part{{"host top", titled}, {"  " + m.Host, named}}}
	if m.over != "" {
		l.parts = append(l.parts, part{"  the host has ended", bad})
		return l
	}
	if m.late != "" {
		l.parts = append(l.parts, part{"  " + m.late, bad})
	}
	if m.table.Time.IsZero() {
		l.parts = append(l.parts, part{"  asking …", dim})
		return l
	}
	actors, wrong := 0, 0
	for i := range m.table.Actors {
		r := &m.table.Actors[i]
		if r.Actor != "" {
			actors++
		}
		if m.trouble(r) {
			wrong++
		}
	}
	count := "  1 actor"
	if actors != 1 {
		count = fmt.Sprintf("  %d actors", actors)
	}
	l.parts = append(l.parts, part{count, plain})
	if wrong > 0 {
		l.parts = append(l.parts, part{fmt.Sprintf(", %d in trouble", wrong), bad})
	}
	if m.ReadOnly {
		l.parts = append(l.parts, part{"  read-only", warn})
	}
	s := &m.table.Sum
	for _, n := range []struct{ what, value string }{
		{"cpu ", percent(s.CPU)}, {"rss ", bytes(s.RSS)}, {"calls/s ", rate(s.Calls)}, {"", m.table.Time.Local().Format(clock)},
	} {
		if cells(l.text())+2+len(n.what)+len(n.value) <= m.width {
			l.parts = append(l.parts, part{"  " + n.what, dim}, part{n.value, plain})
		}
	}
	return l
}

// foot is the last row: what is typed, what has come of an order, or the keys.
func (m *Model) foot() line {
	switch {
	case m.over != "":
		return line{parts: []part{{"any key leaves", titled}, {"; " + m.over, bad}}}
	case m.prompt != nil && m.prompt.kind == '?':
		return textLine(bad, m.prompt.text)
	case m.prompt != nil:
		return line{parts: []part{{string(m.prompt.kind), titled}, {m.prompt.text, plain}, {"▏", dim}}}
	case m.notice.text != "":
		return line{parts: []part{m.notice}}
	}
	return m.hints()
}
