package trellistest

import (
	"cmp"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/trellistest/internal/recorded"
)

// Replayed is what a recording can be played to: a [Plugin].
type Replayed interface {
	// meet starts an actor of that name for a host, has play play the host over its link, and
	// waits for the actor's end. An error says what is wrong beside what play has found.
	meet(ctx context.Context, name string, host actor.ID, play func(link.Transport) error) error
	// fingerprint is that of an endpoint's types, 0 if it is not known.
	fingerprint(endpoint string) uint64
}

// Replay plays a recording (host run --record, host.Options.Record) to another version of the
// actor, and fails t for each difference, field by field:
//
//	parser.rec: line 12: parse: answer.items[3].name: "a" → "b"
//
// Each process of the recording is a new actor. It gets what the recorded one got, in the same
// order, and each thing after all that had come before it: values, messages, cancels and failures.
// What it calls in its host is answered from the recording; calls are found by their arguments.
//
// Compared is what the actor says: answers, messages, errors by type, text and fields, and its own
// calls. Not compared are identities, credit and windows, how the contexts were mixed in time, and
// what crossed a cancel on its way. Deadlines are left out where they did not end a context.
//
// A recording that was given up or cut off is refused, unless [Incomplete] is given.
func Replay(t testing.TB, file string, to Replayed, options ...ReplayOption) {
	t.Helper()
	r := replay{patience: patience}
	for _, o := range options {
		o(&r)
	}
	recording, err := readRecording(file)
	if err != nil {
		t.Fatalf("Replay: %s: %v", file, err)
	}
	if recording.Incomplete != "" && !r.incomplete {
		t.Fatalf("Replay: %s is incomplete: %s; trellistest.Incomplete() replays what is there", file, recording.Incomplete)
	}
	if len(recording.Processes) == 0 {
		t.Fatalf("Replay: %s has nothing to replay: the actor was never linked", file)
	}
	for _, p := range recording.Processes {
		name, _, _ := strings.Cut(p.Name, "@")
		host := p.Host()
		if host.IsZero() {
			host = actor.NewID("host")
		}
		err := to.meet(t.Context(), name, host, func(l link.Transport) error {
			found, err := p.Play(t.Context(), l, recorded.Options{Self: host, Patience: r.patience, Ignore: r.ignored, Fingerprint: to.fingerprint})
			for _, d := range found {
				t.Errorf("%s: %s", file, d)
			}
			return err
		})
		if err != nil {
			t.Errorf("%s: %s: %v", file, p.Name, err)
		}
	}
}

func readRecording(file string) (*recorded.Recording, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return recorded.Read(f)
}

// ReplayOption changes what [Replay] does.
type ReplayOption func(*replay)

// replay is how a recording is played.
type replay struct {
	ignored    recorded.Ignored
	incomplete bool
	patience   time.Duration
}

// Ignore lets paths differ, as differences name them, with all that is below them: "answer.took",
// "message[].at", "error.message". A [] is any element and a * any name; an endpoint may stand
// before, as in "parse: answer.items[].id".
func Ignore(paths ...string) ReplayOption {
	return func(r *replay) {
		for _, path := range paths {
			r.ignored.Ignore(path)
		}
	}
}

// Incomplete replays a recording that was cut off or given up: what is there has no gaps, and
// contexts that have no ending are played as far as they go.
func Incomplete() ReplayOption { return func(r *replay) { r.incomplete = true } }

// Within is how long the actor may say nothing while something should come: 10 s without it.
func Within(patience time.Duration) ReplayOption { return func(r *replay) { r.patience = patience } }

// meet starts the plugin without a process.
func (p Plugin) meet(_ context.Context, name string, host actor.ID, play func(link.Transport) error) error {
	p.Name = cmp.Or(p.Name, name)
	a := p.actor(host)
	transport, err := a.boot(dialog.Receiving{Window: dialog.Window(p.Window)}, p.CancelTimeout)
	if err != nil {
		return err
	}
	failures := []error{play(transport)}
	ended := within(a.over)
	if !ended {
		failures = append(failures, errors.New(a.stuck()))
	}
	for _, problem := range a.left(ended) {
		failures = append(failures, errors.New(problem))
	}
	return errors.Join(failures...)
}

func (p Plugin) fingerprint(endpoint string) uint64 {
	for _, h := range p.Endpoints {
		if h.Name() == endpoint {
			return h.Served().Fingerprint
		}
	}
	return 0
}
