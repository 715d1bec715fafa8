package console

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-2ba35074/trellis/internal/command/internal/top"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// column is one of the table, behind the name.
type column struct {
	head string
	rank int // where there is no room for all, those with the highest ranks are left out
	left bool
	own  bool // it is the actor's own word, and missing if it says nothing
	cell func(r *top.Row) (string, tone)
}

var columns = []column{
	{"STATE", 0, true, false, func(r *top.Row) (string, tone) { return r.State, toneOf(r.State) }},
	{"AGE", 7, false, false, func(r *top.Row) (string, tone) { return top.Age(r.Age), plain }},
	{"RST", 8, false, false, func(r *top.Row) (string, tone) { return number(int(r.Restarts), warn) }},
	{"CPU", 1, false, false, func(r *top.Row) (string, tone) { return percent(r.CPU), quiet(r.CPU >= 0.005) }},
	{"RSS", 5, false, false, func(r *top.Row) (string, tone) { return bytes(r.RSS), plain }},
	{"CALLS/S", 4, false, true, func(r *top.Row) (string, tone) { return rate(r.Calls), quiet(r.Calls > 0) }},
	{"P99", 6, false, true, func(r *top.Row) (string, tone) { return top.Took(r.P99), quiet(r.P99 > 0) }},
	{"CTX", 9, false, true, func(r *top.Row) (string, tone) { return number(r.Contexts, plain) }},
	{"QUEUE", 2, false, true, func(r *top.Row) (string, tone) { return number(r.Queue(), warn) }},
	{"HELD", 3, false, true, func(r *top.Row) (string, tone) { return number(r.Held, bad) }},
	{"HEALTH", 10, true, false, func(r *top.Row) (string, tone) {
		if r.Health == "failed" {
			return r.Health, bad
		}
		return orNone(r.Health), dim
	}},
}

// text is a cell of an actor.
func (c *column) text(r *top.Row) (string, tone) {
	if c.own && r.Silent != "" {
		return none, dim
	}
	return c.cell(r)
}

const none = "-"

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}

func toneOf(state string) tone {
	switch directory.State(state) {
	case directory.Ready:
		return good
	case directory.Unhealthy, directory.Reaped, directory.Gone:
		return bad
	case directory.Standby:
		return dim
	}
	return warn
}

// quiet makes dim what says that nothing goes on.
func quiet(busy bool) tone {
	if busy {
		return plain
	}
	return dim
}

// number is a count that is worth looking at if it is not 0.
func number(n int, t tone) (string, tone) {
	if n == 0 {
		return "0", dim
	}
	return strconv.Itoa(n), t
}

func percent(processors float64) string {
	if processors >= 0.9995 {
		return fmt.Sprintf("%.0f%%", 100*processors)
	}
	return fmt.Sprintf("%.1f%%", 100*processors)
}

func rate(n float64) string {
	if n == 0 || n >= 99.95 {
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("%.1f", n)
}

// bytes is memory in few characters.
func bytes(n int64) string {
	switch {
	case n == 0:
		return none
	case n < 1<<30:
		return fmt.Sprintf("%dM", (n+1<<19)>>20)
	}
	return fmt.Sprintf("%.1fG", float64(n)/(1<<30))
}

// widen makes columns as wide as what an actor has in them.
func (m *Model) widen(r *top.Row) {
	for i := range columns {
		text, _ := columns[i].text(r)
		m.widths[i] = max(m.widths[i], len(columns[i].head), min(cells(text), mostCell))
	}
}

// mostCell is how wide a column may be.
const mostCell = 12

// leastName is how wide names may be at least, before columns are left out.
const leastName = 18

// fit chooses the columns for which there is room, how wide names are, and how far columns are apart.
func (m *Model) fit(longest int) (shown []int, names, gap int) {
	gap = 1
	names = min(longest, max(leastName, m.width/4))
	room := m.width - 2 - names
	ranked := make([]int, len(columns))
	for i := range columns {
		ranked[columns[i].rank] = i
	}
	for _, i := range ranked {
		if w := max(m.widths[i], len(columns[i].head)) + 1; w <= room {
			room -= w
			shown = append(shown, i)
		} else {
			break
		}
	}
	slices.Sort(shown)
	more := max(0, min(room, longest-names))
	if len(shown) == len(columns) && room-more >= len(columns) {
		gap = 2
	}
	return shown, names + more, gap
}

// visible are the actors that the filter lets through, with their hosts where they are shown as a tree.
func (m *Model) visible() []*top.Row {
	filter := m.pages[0].filter
	wanted := map[string]bool{}
	for i := range m.table.Actors {
		if r := &m.table.Actors[i]; filter == "" || strings.Contains(strings.ToLower(name(r.Actor)), strings.ToLower(filter)) {
			wanted[r.Actor] = true
			for path := r.Actor; path != "" && m.Sort == "name"; path = treepath.Host(path) {
				wanted[treepath.Host(path)] = true
			}
		}
	}
	var rows []*top.Row
	for i := range m.table.Actors {
		if wanted[m.table.Actors[i].Actor] {
			rows = append(rows, &m.table.Actors[i])
		}
	}
	return rows
}

// names are those of actors in the table: drawn as a tree, or whole paths where they are sorted by a column.
func (m *Model) names(rows []*top.Row) []string {
	out := make([]string, len(rows))
	if m.Sort != "name" {
		for i, r := range rows {
			out[i] = name(r.Actor)
		}
		return out
	}
	there, open := map[string]bool{}, map[string]bool{} // open are hosts of which another actor follows further down
	for _, r := range rows {
		there[r.Actor] = true
	}
	for i, r := range slices.Backward(rows) {
		host := treepath.Host(r.Actor)
		if r.Actor == "" || !there[host] {
			out[i] = name(r.Actor)
			continue
		}
		text := "└ "
		if open[host] {
			text = "├ "
		}
		open[host] = true
		text += treepath.Last(r.Actor)
		for host != "" && there[treepath.Host(host)] {
			host = treepath.Host(host)
			bar := "  "
			if open[host] {
				bar = "│ "
			}
			text = bar + text
		}
		out[i] = text
	}
	return out
}

// tableLines are the head of the table, and a line for each actor that is shown.
func (m *Model) tableLines() (head line, lines []line) {
	rows := m.visible()
	names := m.names(rows)
	longest := len("NAME")
	for _, n := range names {
		longest = max(longest, cells(n))
	}
	shown, wide, gap := m.fit(longest)
	space := strings.Repeat(" ", gap)
	head = textLine(titled, "  "+pad("NAME", wide, false))
	for _, i := range shown {
		head.parts = append(head.parts, part{space + pad(columns[i].head, m.widths[i], !columns[i].left), titled})
	}
	for j, r := range rows {
		l := line{wrong: m.trouble(r), opens: r.Actor}
		look := plain
		if l.wrong {
			look = bad
		}
		l.parts = append(l.parts, part{pad(names[j], wide, false), look})
		for _, i := range shown {
			text, t := columns[i].text(r)
			l.parts = append(l.parts, part{space + pad(text, m.widths[i], !columns[i].left), t})
		}
		lines = append(lines, l)
	}
	return head, lines
}
