package sdk

import (
	"context"
	"os"
	"testing"
	"testing/synctest"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/lab/conform"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// P05: the life of a plugin does what the transcripts of an actor's end say. All but the
// process is there; package conform's own tests play the other chapters.
func TestP05_TranscriptsOfAnActorsEnd(t *testing.T) {
	text, err := os.ReadFile("../docs/protocol/transcripts/actor.txt")
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := conform.Parse("actor", string(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scripts {
		t.Run(s.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script, here := link.Pipe()
				l := newLife(Plugin{}, os.Stdout, os.Stderr)
				over := live(t, l, here)
				if err := s.Play(script, synctest.Wait); err != nil {
					t.Errorf("%s\n%s", s.Shows, err)
				}
				over.Wait()
			})
		})
	}
}

// live is begin and run, without a process that ends and gets signals.
func live(t *testing.T, l *life, transport link.Transport) *task.Worker {
	l.self = actor.NewID("child")
	exposed, err := endpoint.Expose(l.self, conform.Endpoints(Parent(l.context()))...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(l.context())
	l.cancel = cancel
	l.table = dialog.NewTable(link.New(transport, link.Config{Self: l.self, Dialled: true}),
		dialog.Config{Base: ctx, Accept: exposed.Accept, Runtime: l.runtime})
	return task.Start(func() {
		watching := task.Start(l.watchLink)
		l.finish(l.serve(ctx, nil))
		watching.Wait()
	})
}
