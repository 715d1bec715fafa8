package life

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"testing/synctest"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/lab/conform"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// P05: the life of a plugin does what the transcripts of an actor's end say. All but the
// process is there; package conform's own tests play the other chapters.
func TestP05_TranscriptsOfAnActorsEnd(t *testing.T) {
	text, err := os.ReadFile("../../docs/protocol/transcripts/actor.txt")
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
				l := live(t, here)
				if err := s.Play(script, synctest.Wait); err != nil {
					t.Errorf("%s\n%s", s.Shows, err)
				}
				l.Wait()
			})
		})
	}
}

// live boots an actor, whose parent says the rest through a link.
func live(t *testing.T, transport link.Transport) *Life {
	t.Helper()
	l := New(Config{
		Endpoints: conform.Endpoints(endpoint.Reach(func(ctx context.Context) (*dialog.Table, error) { return Parent(ctx)(ctx) })),
		Begins:    func() {},
		Exit:      func(error) {},
		Log:       func() *slog.Logger { return nil },
	})
	_, err := l.Boot(t.Context(), &wire.BootRequest{Self: wire.FromID(actor.NewID("child")), Broker: 1},
		func(context.Context) (link.Transport, error) { return transport, nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}
