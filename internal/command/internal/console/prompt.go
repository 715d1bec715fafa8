package console

import (
	"slices"
	"strconv"
	"strings"

	"github.com/seed-2ba35074/trellis/internal/command/internal/top"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/internal/words"
)

// prompt is the last line while a person types.
type prompt struct {
	kind rune // '/': a filter, ':': a command, '?': a question
	text string
	ask  Request // what y is for
}

// mostTyped is how many bytes can be typed.
const mostTyped = 200

// typed takes a key of a prompt.
func (m *Model) typed(p Press) []Request {
	if m.prompt.kind == '?' {
		r := m.prompt.ask
		what := string(r.Do) + " " + name(r.Path)
		if m.prompt = nil; p.Key == "y" || p.Key == "Y" {
			m.notice = part{what + " …", dim}
			return []Request{r}
		}
		m.notice = part{what + ": not done", dim}
		return nil
	}
	text := &m.prompt.text
	switch {
	case p.Key == "enter":
		return m.entered()
	case p.Key == "esc", p.Key == "backspace" && *text == "":
		m.filter("")
		m.prompt = nil
		return nil
	case p.Key == "backspace":
		runes := []rune(*text)
		*text = string(runes[:len(runes)-1])
	case p.Key == "ctrl+u":
		*text = ""
	case len(*text)+len(p.Text) <= mostTyped:
		*text += p.Text
	}
	m.filter(*text)
	return nil
}

// filter has the page show only lines with a text, already while that is typed.
func (m *Model) filter(text string) {
	if m.prompt.kind == '/' {
		m.shown().filter = text
	}
}

// entered ends a prompt, and does what a command says.
func (m *Model) entered() []Request {
	text := m.prompt.text
	if m.prompt.kind == '/' {
		m.prompt = nil
		return nil
	}
	m.prompt = nil
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return nil
	}
	asked, problem := m.command(fields[0], fields[1:])
	if problem != "" {
		m.notice = part{problem, warn}
	}
	return asked
}

// pagesByName are the commands that open a page.
var pagesByName = map[string]kind{
	"panel": panelPage, "describe": describePage, "contexts": contextsPage, "logs": logsPage, "traces": tracesPage, "events": eventsPage,
}

// commandHelp are the commands, for people. NAME is that of an actor or its path; without it, the selected one is meant.
var commandHelp = [][2]string{
	{"logs", "[NAME]: as the key does; also panel, describe, contexts, traces, events"},
	{"restart", "[NAME], or cancel [NAME]: as the keys do"},
	{"scale", "[NAME] N: have the actor run N times (asks first)"},
	{"sort", "COLUMN: the table, by " + strings.Join(top.Columns(), ", ")},
	{"tree", "back to the tree; help; quit"},
}

// commandWords are all of them.
var commandWords = []string{"panel", "describe", "contexts", "logs", "traces", "events", "restart", "cancel", "scale", "sort", "tree", "help", "quit"}

// command does what was typed.
func (m *Model) command(word string, args []string) (asked []Request, problem string) {
	switch word {
	case "q", "quit":
		return []Request{{Do: Quit}}, ""
	case "tree", "top":
		return m.leave(1), ""
	case "help":
		return m.help(), ""
	case "sort":
		return nil, m.sortBy(strings.Join(args, " "))
	}
	n := 0
	if word == string(Scale) {
		last := max(0, len(args)-1)
		var err error
		if n, err = strconv.Atoi(strings.Join(args[last:], "")); err != nil || n < 0 {
			return nil, "scale: expected [NAME] N"
		}
		args = args[:last]
	}
	path, problem := m.named(args)
	k, opens := pagesByName[word]
	switch {
	case problem != "":
		return nil, problem
	case opens:
		return m.open(k, path), ""
	case word == string(Restart), word == string(Cancel), word == string(Scale):
		return m.confirm(Request{Do: Do(word), Path: path, N: n}), ""
	}
	return nil, words.Quote(word) + " is not a command; :help lists them" + words.DidYouMean(word, commandWords)
}

func (m *Model) sortBy(column string) (problem string) {
	if !slices.Contains(top.Columns(), column) {
		return "sort: expected one of " + strings.Join(top.Columns(), ", ")
	}
	m.Sort = column
	m.order()
	return ""
}

// named is the path of the actor that arguments mean; without any, of the selected one.
func (m *Model) named(args []string) (path, problem string) {
	if len(args) == 0 {
		return m.actor(), ""
	}
	text := strings.Join(args, " ")
	var found []string
	for i := range m.table.Actors {
		if r := &m.table.Actors[i]; r.Actor == text {
			return text, ""
		} else if r.Actor != "" && (treepath.Is(r.Actor, text) || treepath.Last(r.Actor) == text) {
			found = append(found, r.Actor)
		}
	}
	switch {
	case text == name(""):
		return "", ""
	case len(found) == 1:
		return found[0], ""
	case len(found) > 1:
		return "", words.Quote(text) + " is one of " + words.List(found, ", ")
	}
	return "", words.Quote(text) + ": there is no such actor"
}
