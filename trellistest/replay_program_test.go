package trellistest_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// A recording of a host goes on when the actor is restarted, and is replayed to a real program:
// one process for each of the recording, which dies where that has died.
func TestReplayToAProgram(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bad.rec")
	p := bad(t)
	p.Spec.Env["TRELLISTEST_EXEC"] = "one"
	recordRestart(t, file, p.Spec)
	text, err := os.ReadFile(file)
	if err != nil || strings.Count(string(text), "\n== bad@") != 2 || !strings.HasSuffix(string(text), "\n-- end\n") {
		t.Fatalf("%v:\n%s", err, text)
	}
	replay := func(to trellistest.Replayed) []string {
		o := &observer{TB: t}
		trellistest.Replay(o, file, to)
		return o.failed
	}
	if got := replay(p); len(got) > 0 {
		t.Errorf("the same program: %q", got)
	}
	p.Spec.Env["TRELLISTEST_EXEC"] = "two"
	if got := replay(p); len(got) != 2 || !strings.HasSuffix(got[0], `mark: answer: "one" → "two"`) || !strings.HasSuffix(got[1], `mark: answer: "one" → "two"`) {
		t.Errorf("another program: %q", got)
	}
}

// recordRestart records an actor that answers, calls its host, dies, and answers again.
func recordRestart(t *testing.T, file string, spec host.Spec) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	spec.Restart, spec.WhileDown = config.Permanent, config.WaitWhileDown
	spec.Backoff.Initial = config.Duration(time.Millisecond)
	o := host.Options{
		Record:    map[string]io.Writer{spec.Name: f},
		Endpoints: []contract.Handler{secret.Handle(func(context.Context, none) (string, error) { return "xyzzy", nil })},
	}
	err = host.OpenNursery(t.Context(), o, func(ctx context.Context, n *host.Nursery) error {
		portal, err := n.Start(ctx, spec)
		if err != nil {
			return err
		}
		_, first := markOf.Call(ctx, portal, none{})
		_, asked := askParent.Call(ctx, portal, none{})
		if _, died := die.Call(ctx, portal, 3); !errors.Is(died, fault.ErrActorLost) {
			return errors.Join(errors.New("it has not died"), died)
		}
		_, second := markOf.Call(ctx, portal, none{})
		n.Cancel()
		return errors.Join(first, asked, second)
	})
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}
