package trellistest

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/lab/conform"
)

// Conformance tests an SDK, in whatever language: it plays the transcripts of the protocol
// (docs/protocol/transcripts) against a program that is written with it, and serves the three
// endpoints which the page on the transcripts describes. command starts the program, as a
// host's config does.
//
// Each transcript is a subtest, named by its chapter and itself, and a process of its own. It
// passes or fails by what the program sends and how it ends, never by how fast it is. A
// failure names the rule, the line of the transcript, and the frames that came instead. What
// needs limits that the program does not tell (the variable CONFORM_LIMITS) is skipped.
//
// The command "host conform" is the same for those who do not test with Go.
func Conformance(t *testing.T, command ...string) {
	t.Helper()
	if len(command) == 0 {
		t.Fatal("Conformance: expected the command that starts the program, got none")
	}
	scripts, err := conform.Scripts()
	if err != nil {
		t.Fatal(err)
	}
	program := conform.Program{Command: command}
	for len(scripts) > 0 {
		chapter := scripts[0].Chapter()
		end := slices.IndexFunc(scripts, func(s *conform.Script) bool { return s.Chapter() != chapter })
		if end < 0 {
			end = len(scripts)
		}
		played := scripts[:end]
		scripts = scripts[end:]
		t.Run(chapter, func(t *testing.T) {
			for _, s := range played {
				t.Run(strings.TrimPrefix(s.Name, chapter+"/"), func(t *testing.T) {
					t.Parallel()
					play(t, program, s)
				})
			}
		})
	}
}

func play(t *testing.T, program conform.Program, s *conform.Script) {
	t.Helper()
	err := program.Play(t.Context(), s)
	if unplayed, ok := errors.AsType[*conform.Unplayed](err); ok {
		t.Skip(unplayed)
	}
	if err != nil {
		t.Errorf("%s: %s\n%v", s.Name, s.Shows, err)
	}
}
