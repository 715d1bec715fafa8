package conform

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/seed-2ba35074/trellis/docs/protocol/transcripts"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// Script is one transcript.
type Script struct {
	Name    string // of the chapter and of the transcript: "calls/return"
	Shows   string // the rule
	Limits  string // JSON of the limits that the implementation is to tell; "": its own
	Bounds  bool   // it is about how long a cancel, or an end that is not opened, is waited for
	Packets bool   // it is about gRPC's packets, which a direct connection has not
	lines   []line
}

// Chapter is the first half of its name.
func (s *Script) Chapter() string {
	chapter, _, _ := strings.Cut(s.Name, "/")
	return chapter
}

// Rules are the ids of the promises that it belongs to, such as C10. Most have one.
func (s *Script) Rules() []string {
	ids := rules.FindString(s.Shows)
	if ids == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(ids, ":"), ", ")
}

var rules = regexp.MustCompile(`^[A-Z]\d+(, [A-Z]\d+)*:`)

// endsActor reports whether it asks the actor to end, which is then no failure.
func (s *Script) endsActor() bool {
	for _, l := range s.lines {
		if l.does == "->" && strings.Contains(l.text, wire.CancelActor) {
			return true
		}
	}
	return false
}

// line is one step of a transcript.
type line struct {
	number int
	does   string // "->", "<-", "~>", "!>" or "--"
	text   string
}

// Scripts are all transcripts, chapter by chapter.
func Scripts() (all []*Script, err error) {
	chapters, err := fs.Glob(transcripts.Files, "*.txt")
	if err != nil {
		return nil, err
	}
	for _, file := range chapters {
		text, err := fs.ReadFile(transcripts.Files, file)
		if err != nil {
			return nil, err
		}
		scripts, err := Parse(strings.TrimSuffix(file, ".txt"), string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, scripts...)
	}
	return all, nil
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
		case "bounds":
			s.Bounds = true
		case "packets":
			s.Packets = true
		case "->", "<-", "~>", "!>", "--":
			s.lines = append(s.lines, line{i + 1, does, rest})
		default:
			return nil, fmt.Errorf("%s:%d: %q is not a line of a transcript", chapter, i+1, l)
		}
	}
	return all, nil
}
