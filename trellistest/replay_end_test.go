package trellistest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// recordedTree is the file of what a host records of the actor "parser" of a tree.
func recordedTree(t *testing.T, p trellistest.Plugin, body func(tr *trellistest.Tree), parent ...contract.Handler) string {
	t.Helper()
	p.Name = "parser"
	var text bytes.Buffer
	o := host.Options{Name: "root", Record: map[string]io.Writer{"parser": &text}, Endpoints: parent}
	tr := trellistest.NewPrograms(t, p).Open(o, []host.Spec{{Name: "parser", Command: []string{"parser"}, Restart: config.Temporary}})
	body(tr)
	if err := tr.End(); err != nil {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "parser.rec")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(text.String(), "\n-- end\n") {
		t.Errorf("the recording is not whole:\n%s", &text)
	}
	return file
}

// cleaner serves shout, which stays until its actor ends, and then fails with failure, or with
// why it was told to end, if it says that.
func cleaner(failure string, says bool) trellistest.Plugin {
	return staying(func(ctx context.Context) error {
		<-ctx.Done()
		if says {
			return context.Cause(ctx)
		}
		return errors.New(failure)
	})
}

// What an actor says when it is asked to end is played and compared: the recording has it.
func TestReplayOfAnEndWithOpenContexts(t *testing.T) {
	for name, end := range map[string]func(tr *trellistest.Tree) error{
		"asked":   func(tr *trellistest.Tree) error { return tr.Portal("parser").Cancel(t.Context(), "enough") },
		"SIGTERM": func(tr *trellistest.Tree) error { tr.Process("parser").Terminate(); return nil },
	} {
		for _, says := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%t", name, says), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { replayEnd(t, says, end) })
			})
		}
	}
}

func replayEnd(t *testing.T, says bool, end func(tr *trellistest.Tree) error) {
	file := recordedTree(t, cleaner("cleaned up", says), func(tr *trellistest.Tree) {
		err := receive(t.Context(), tr.Portal("parser"), 1, func(ctx context.Context, _ *contract.Opener[string, string, string, int]) error {
			synctest.Wait() // the host says nothing more, so that nothing of it can cross a last word
			if err := end(tr); err != nil {
				t.Error(err)
			}
			return untilDone(ctx)
		})
		if err == nil {
			t.Error("the context has not failed")
		}
	})
	wantReplayed(t, file, cleaner("cleaned up", says), nil)
	got := replayed(t, file, cleaner("left a mess", false))
	if len(got) == 0 || !strings.Contains(got[0], `shout: error.message: "c`) || !strings.Contains(got[0], `→ "left a mess`) {
		t.Errorf("got %q", got)
	}
}

// What a host records of a process in a tree is replayed, with the calls of the process in its host.
func TestReplayOfAProcessInATree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		twice := lookup.Handle(func(_ context.Context, word string) (string, error) { return word + word, nil })
		file := recordedTree(t, translator("a", "b"), func(tr *trellistest.Tree) {
			p, err := parse.Call(t.Context(), tr.Portal("parser"), "")
			if err != nil || len(p.Items) != 2 || p.Items[1].Name != "bb" {
				t.Errorf("%v, %v", p, err)
			}
		}, twice)
		wantReplayed(t, file, translator("a", "b"), nil)
		wantReplayed(t, file, translator("a", "c"), []string{`call of lookup: arguments: "b" → "c"`})
	})
}
