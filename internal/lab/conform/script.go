package conform

import (
	"fmt"
	"strings"
)

// Script is one transcript.
type Script struct {
	Name   string // of the chapter and of the transcript: "calls/return"
	Shows  string // the rule
	Limits string // JSON of the limits that the implementation is to tell; "": its own
	lines  []line
}

// line is one step of a transcript.
type line struct {
	number int
	does   string // "->", "<-", "~>", "!>" or "--"
	text   string
}

// Parse reads the transcripts of a chapter.
func Parse(chapter, text string) (all []*Script, err error) {
	for i, l := range strings.Split(text, "\n") {
		l = strings.TrimSpace(l)
		does, rest, _ := strings.Cut(l, " ")
		rest = strings.TrimSpace(rest)
		switch {
		case does == "" || strings.HasPrefix(does, "#"):
			continue
		case does == "==":
			name, shows, _ := strings.Cut(rest, ":")
			all = append(all, &Script{Name: chapter + "/" + name, Shows: strings.TrimSpace(shows)})
			continue
		case len(all) == 0:
			return nil, fmt.Errorf("%s:%d: %q stands before the first transcript", chapter, i+1, l)
		}
		s := all[len(all)-1]
		switch does {
		case "limits":
			s.Limits = rest
		case "->", "<-", "~>", "!>", "--":
			s.lines = append(s.lines, line{i + 1, does, rest})
		default:
			return nil, fmt.Errorf("%s:%d: %q is not a line of a transcript", chapter, i+1, l)
		}
	}
	return all, nil
}
