package trellistest

import (
	"cmp"
	"errors"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/lab/conform"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/trellistest/internal/recorded"
)

// Replayed is what a recording can be played to: a [Plugin], or a [Program].
type Replayed interface {
	// meet starts an actor of that name, lets play be its host on the link, and waits for
	// its end. An error says what is wrong beside what play has found.
	meet(t testing.TB, name string, host actor.ID, play func(link.Transport, recorded.Options) error) error
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
		err := to.meet(t, name, host, func(l link.Transport, o recorded.Options) error {
			o.Patience, o.Ignore = r.patience, r.ignored
			found, err := p.Play(t.Context(), l, o)
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
	f, err := os.Open(file) //nolint:gosec // the test names the file
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
func (p Plugin) meet(_ testing.TB, name string, host actor.ID, play func(link.Transport, recorded.Options) error) error {
	p, err := p.alone()
	if err != nil {
		return err
	}
	if p.Record != nil {
		return errors.New("Plugin.Record: a replay is not recorded; take it out of the plugin")
	}
	p.Name = cmp.Or(p.Name, name)
	a := p.actor(host)
	transport, err := a.boot(dialog.Receiving{Window: dialog.Window(p.Window)}, p.CancelTimeout)
	if err != nil {
		return err
	}
	played := play(transport, recorded.Options{Self: host, Fingerprint: p.fingerprint})
	if errors.Is(played, recorded.ErrDiedAgain) {
		played = nil
	}
	failures := []error{played}
	ended := within(a.over, a.grace)
	if !ended {
		failures = append(failures, errors.New(a.stuck()))
	}
	for _, problem := range a.left(ended) {
		failures = append(failures, errors.New(problem))
	}
	return errors.Join(failures...)
}

// fingerprint is that of an endpoint's types, 0 if the plugin does not serve it.
func (p Plugin) fingerprint(endpoint string) uint64 {
	for _, h := range p.Endpoints {
		if h.Name() == endpoint {
			return h.Served().Fingerprint
		}
	}
	return 0
}

// meet starts the program itself, once for each process of a recording. Of its Spec only the
// program and its environment are used.
func (p Program) meet(t testing.TB, name string, host actor.ID, play func(link.Transport, recorded.Options) error) error {
	p.Spec.Name = cmp.Or(p.Spec.Name, name)
	p.Spec.Env = maps.Clone(p.Spec.Env)
	if p.Spec.Env == nil {
		p.Spec.Env = map[string]string{}
	}
	spec, err := p.build(t)
	if err != nil {
		return err
	}
	program := conform.Program{Command: spec.Command, Name: spec.Name}
	for key, value := range spec.Env {
		program.Env = append(program.Env, key+"="+value)
	}
	return program.Link(t.Context(), func(l link.Transport, booted func()) error {
		err := play(l, recorded.Options{Self: actor.ID{Name: host.Name, UUID: conform.Identity}, Greeted: booted})
		if errors.Is(err, recorded.ErrDiedAgain) {
			return conform.ErrDied
		}
		return err
	})
}
