package recorded

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/recording"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Recording is what a file has.
type Recording struct {
	Processes []*Process
	// Incomplete is why the recording ends before its actor; "" if it does not.
	Incomplete string
}

// Process is what was said with one process of the actor.
type Process struct {
	Name  string
	Lines []Line
}

// Line is one frame; nil: nothing more has come.
type Line struct {
	Number int
	Sent   bool // by the host
	Frame  *wire.Frame
}

// Read reads a recording. An error names the line that it is about.
func Read(from io.Reader) (*Recording, error) {
	lines := bufio.NewReader(from)
	r := &reader{Recording: Recording{Incomplete: "it was cut off: its last line is missing"}, known: map[string]*Process{}}
	for number := 1; ; number++ {
		line, err := lines.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if err != nil && (number > 1 || line == "") { // a line without its end was cut off
			break
		}
		if err := r.line(number, strings.TrimRight(line, "\r\n")); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	if !r.begun {
		return nil, errors.New("line 1: expected " + recording.FirstLine + ", got an empty file")
	}
	return &r.Recording, nil
}

// reader is a recording of which some has been read.
type reader struct {
	Recording

	known map[string]*Process
	at    *Process // whose lines come
	begun bool
	ended bool
}

func (r *reader) line(number int, text string) error {
	does, rest, _ := strings.Cut(text, " ")
	switch {
	case !r.begun:
		if r.begun = text == recording.FirstLine; r.begun {
			return nil
		}
		if version, ok := strings.CutPrefix(text, "trellis recording "); ok {
			return fmt.Errorf("this is a recording of version %.20q; this version of Trellis reads version 1", version)
		}
		return fmt.Errorf("expected %q, got %.40q: this is not a recording", recording.FirstLine, text)
	case text == "" || strings.HasPrefix(text, "#"):
		return nil
	case r.ended:
		return fmt.Errorf("expected nothing behind the recording's end, got %.40q", text)
	case does == "==":
		return r.process(rest)
	case text == recording.LastLine:
		r.ended, r.Incomplete = true, ""
		return nil
	case strings.HasPrefix(text, recording.Incomplete):
		r.ended, r.Incomplete = true, strings.TrimPrefix(text, recording.Incomplete)
		return nil
	case does == "->" || does == "<-":
		return r.frame(number, does == "->", rest)
	}
	return fmt.Errorf("expected ==, ->, <-, -- or #, got %.40q", text)
}

// process goes to the lines of a process, which may have some already.
func (r *reader) process(text string) error {
	name, _, ok := strings.Cut(text, ": ")
	if !ok || name == "" {
		return fmt.Errorf("expected the name of a process and when it began, got %.40q", text)
	}
	if r.at = r.known[name]; r.at == nil {
		r.at = &Process{Name: name}
		r.known[name] = r.at
		r.Processes = append(r.Processes, r.at)
	}
	return nil
}

func (r *reader) frame(number int, sent bool, text string) error {
	if r.at == nil {
		return errors.New("it stands before the first process; expected a line that begins with ==")
	}
	l := Line{Number: number, Sent: sent}
	if text != "end" {
		f, err := ParseFrame(text)
		if err != nil {
			return err
		}
		l.Frame = f
	}
	r.at.Lines = append(r.at.Lines, l)
	return nil
}

// Host is the host as the recording has it, the zero ID if it has not said HELLO.
func (p *Process) Host() actor.ID {
	for _, l := range p.Lines {
		if l.Sent && l.Frame != nil && l.Frame.Hello != nil {
			return l.Frame.Hello.Self.ToID()
		}
	}
	return actor.ID{}
}

// says reports whether it is a frame of a kind, and of the actor.
func (l Line) says(kind wire.Kind) bool { return !l.Sent && l.Frame != nil && l.Frame.Kind == kind }

// asksToEnd is the host's request that the actor ends, if the line is that.
func (l Line) asksToEnd() (request wire.CancelRequest, ok bool) {
	if !l.Sent || l.Frame == nil || l.Frame.Kind != wire.Kind_KIND_START || l.Frame.GetStart().GetEndpoint() != wire.CancelActor {
		return request, false
	}
	return request, codecs.CBOR.Unmarshal(l.Frame.Payload, &request) == nil
}

// ownWish is why the actor has ended by its own wish, if the line is an error that says so.
func (l Line) ownWish() (reason string, ok bool) {
	if !l.says(wire.Kind_KIND_ERROR) {
		return "", false
	}
	for _, n := range l.Frame.Fault.GetNodes() {
		var cancelled fault.ContextCancelled
		if n.Name == "trellis.ContextCancelled" && codecs.CBOR.Unmarshal(n.Detail, &cancelled) == nil && cancelled.Canceller.UUID == n.Origin.GetUuid() {
			return cancelled.Reason, true
		}
	}
	return "", false
}

// died reports whether the actor was lost: its end came without a BYE.
func (p *Process) died() bool {
	return slices.ContainsFunc(p.Lines, func(l Line) bool { return l.Frame == nil }) && !p.saysBye()
}

// endedItself reports whether the actor has ended in order without being asked over the link.
func (p *Process) endedItself() bool {
	asked := func(l Line) bool { _, ok := l.asksToEnd(); return ok }
	return p.saysBye() && !slices.ContainsFunc(p.Lines, asked)
}

func (p *Process) saysBye() bool {
	return slices.ContainsFunc(p.Lines, func(l Line) bool { return l.says(wire.Kind_KIND_BYE) })
}
