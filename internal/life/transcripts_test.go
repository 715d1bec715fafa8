package life

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/lab/conform"
	"github.com/seed-2ba35074/trellis/internal/lab/pipe"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/plugins/conform/steps"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// P05: the life of a plugin does what the transcripts of an actor's end say. All but the
// process is there; package conform's own tests play the other chapters.
func TestP05_TranscriptsOfAnActorsEnd(t *testing.T) {
	scripts, err := conform.Scripts()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scripts {
		if !strings.HasPrefix(s.Name, "actor/") {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script, here := pipe.New()
				l := live(t, here)
				if err := s.Play(script, conform.Pace{Settle: synctest.Wait, Patience: 10 * time.Second}); err != nil {
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
		Endpoints: steps.Endpoints(func(ctx context.Context) contract.Portal { return Parent(ctx) }),
		Exit:      func(error) {},
	})
	_, err := l.Boot(t.Context(), &wire.BootRequest{Self: wire.FromID(actor.NewID("child")), Broker: 1, Path: conform.Path},
		func(context.Context) (link.Transport, error) { return transport, nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}
