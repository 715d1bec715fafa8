package console

import (
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/seed-2ba35074/trellis/internal/terminal"
)

// tone is how a part of a line looks.
type tone int

const (
	plain tone = iota
	dim
	titled
	good
	warn
	bad
	named // an actor
)

// styles are those of the tones.
var styles = [...]lipgloss.Style{
	plain:  lipgloss.NewStyle(),
	dim:    lipgloss.NewStyle().Faint(true),
	titled: lipgloss.NewStyle().Bold(true),
	good:   lipgloss.NewStyle().Foreground(lipgloss.Green),
	warn:   lipgloss.NewStyle().Foreground(lipgloss.Yellow),
	bad:    lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true),
	named:  lipgloss.NewStyle().Foreground(lipgloss.Cyan),
}

var reversed = lipgloss.NewStyle().Reverse(true)

// part is a text of a line, which may come from anybody, and how it looks.
type part struct {
	text string
	tone tone
}

// line is one line of a page.
type line struct {
	parts []part
	wrong bool   // n stops here
	opens string // what enter opens, if it opens something
}

func textLine(t tone, text string) line { return line{parts: []part{{text, t}}} }

// text is the line as the filter sees it.
func (l *line) text() string {
	var out strings.Builder
	for _, p := range l.parts {
		out.WriteString(p.text)
	}
	return out.String()
}

// draw is the line in so many cells at most, without those that are scrolled away at its left. A selected line fills its row.
func (l *line) draw(width, left int, selected bool) string {
	room, cut := width, false
	var out strings.Builder
	for _, p := range l.parts {
		text := terminal.Line(p.text)
		if n := min(left, ansi.StringWidth(text)); n > 0 {
			text, left = ansi.TruncateLeft(text, n, ""), left-n
		}
		if cut || text == "" {
			continue
		}
		if cut = ansi.StringWidth(text) > room; cut {
			text = ansi.Truncate(text, room, "…")
		}
		room -= ansi.StringWidth(text)
		if p.tone != plain && !selected {
			text = styles[p.tone].Render(text)
		}
		out.WriteString(text)
	}
	if selected {
		return reversed.Render(out.String() + strings.Repeat(" ", max(0, room)))
	}
	return out.String()
}

// pad makes a text as wide as a column. It is for texts that are a part, and so not styled yet.
func pad(text string, width int, right bool) string {
	text = terminal.Line(text)
	if ansi.StringWidth(text) > width {
		return ansi.Truncate(text, width, "…")
	}
	space := strings.Repeat(" ", width-ansi.StringWidth(text))
	if right {
		return space + text
	}
	return text + space
}

// cells is how wide a text is once it is harmless.
func cells(text string) int { return ansi.StringWidth(terminal.Line(text)) }
