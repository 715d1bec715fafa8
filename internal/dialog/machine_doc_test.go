package dialog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The state tables of docs/protocol/README.md are made from the machine's, each between two
// markers. This test fails when the page is out of date; go test -update writes them anew.
func TestProtocolPage(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "protocol", "README.md")
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	page := insert(t, string(old), "opener", stateTable(Opening, Open, Leaving, Stopping, Draining, Settled))
	golden(t, file, insert(t, page, "callee", stateTable(Starting, Live, Ending)))
}

// insert replaces what stands between the markers of a table.
func insert(t *testing.T, page, name, text string) string {
	t.Helper()
	begin, end := "<!-- table: "+name+" -->\n", "<!-- end -->"
	before, rest, ok := strings.Cut(page, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("docs/protocol/README.md has no place for the table %q", name)
	}
	return before + begin + text + end + after
}

// stateTable is one side's part of the table: a column for each phase, a row for the events
// that do something, and one for several that do the same.
func stateTable(columns ...Phase) string {
	head := "| |"
	for _, p := range columns {
		head += fmt.Sprintf(" %v |", p)
	}
	var rows []string
	names := map[string][]string{}
	for e := range events {
		row := ""
		for _, p := range columns {
			row += " " + cell(p, e) + " |"
		}
		if strings.Trim(row, " |") == "" {
			continue
		}
		if names[row] == nil {
			rows = append(rows, row)
		}
		names[row] = append(names[row], eventWords[e])
	}
	text := head + "\n|---|" + strings.Repeat("---|", len(columns)) + "\n"
	for _, row := range rows {
		text += "| " + strings.Join(names[row], "; ") + " |" + row + "\n"
	}
	return text
}

// cell says what an event does in a phase, and where it leads.
func cell(p Phase, e Event) string {
	r, ok := table[p][e]
	if !ok {
		return ""
	}
	var does []string
	for i, words := range actionWords {
		if r.do&(1<<i) != 0 && words != "" {
			does = append(does, words)
		}
	}
	text := strings.Join(does, ", ")
	if r.next != p {
		text = strings.TrimSpace(text + " → " + r.next.String())
	}
	return text
}

var eventWords = [events]string{
	"STARTED", "RETURN", "ERROR", "FAIL", "CANCEL", "CANCEL_ACK",
	"its task has started", "its task ends well", "its task fails", "it cancels the peer's task",
	"it finds the dialog broken", "its own side wants the end", "its CANCEL is not answered in time",
	"its deadline and the cancel bound are over", "the link is lost",
}

// actionWords are in the order of the bits. What only concerns this side is left out.
var actionWords = []string{
	"**STARTED**", "**FAIL**", "**CANCEL**", "**CANCEL_ACK**", "**RETURN**", "**ERROR**", "told to end", "", "", "", "refused", "a violation",
}
