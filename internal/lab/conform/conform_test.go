package conform

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/route"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/plugins/conform/steps"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// The Go implementation does what each transcript says. Those of an actor's end need an
// actor: package sdk plays them.
func TestTranscripts(t *testing.T) {
	for _, s := range allScripts(t) {
		if s.Chapter() == "actor" {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { replay(t, s) })
		})
	}
}

// The protocol's page is short, names every transcript, and none that is not there.
func TestThePageNamesEachTranscript(t *testing.T) {
	page, err := os.ReadFile("../../../docs/protocol/README.md")
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(page), "\n"); lines > 610 {
		t.Errorf("the page has %d lines, more than 610", lines)
	}
	named := map[string]bool{}
	for _, group := range regexp.MustCompile(`\*\((\w+:\s[^)]*)\)\*`).FindAllStringSubmatch(string(page), -1) {
		for part := range strings.SplitSeq(group[1], ";") {
			chapter, names, _ := strings.Cut(strings.TrimSpace(part), ":")
			for name := range strings.SplitSeq(names, ",") {
				named[chapter+"/"+strings.TrimSpace(name)] = true
			}
		}
	}
	for _, s := range allScripts(t) {
		if !named[s.Name] {
			t.Errorf("the page does not name %s: %s", s.Name, s.Shows)
		}
		delete(named, s.Name)
	}
	for name := range named {
		t.Errorf("there is no transcript %s", name)
	}
}

func allScripts(t *testing.T) []*Script {
	t.Helper()
	all, err := Scripts()
	if err != nil || len(all) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	return all
}

// replay plays a transcript in a bubble, where time costs nothing and an
// implementation that does nothing more for now can be seen to.
func replay(t *testing.T, s *Script) {
	a, b := memory()
	var limits struct{ MaxMessage, MaxDialogs, MaxArguments int }
	if s.Limits != "" {
		if err := json.Unmarshal([]byte(s.Limits), &limits); err != nil {
			t.Fatal(err)
		}
	}
	self := actor.NewID("child")
	parent := &portal{}
	exposed, err := endpoint.Expose(self, steps.Endpoints(func(context.Context) contract.Portal { return parent })...)
	if err != nil {
		t.Fatal(err)
	}
	l := link.New(b, link.Config{
		Self: self, Dialled: true, MaxMessage: limits.MaxMessage, MaxDialogs: limits.MaxDialogs, MaxArguments: limits.MaxArguments,
	})
	router := route.Router{Self: l.Self(), Down: directory.NewMemory(Path, nil)}
	parent.table = dialog.NewTable(l, dialog.Config{Accept: exposed.Accept, Route: router.FromParent})
	lost := task.Start(func() {
		<-l.Done()
		parent.table.Lose(&fault.LinkLost{Peer: parent.table.Peer(), Reason: "it has ended"})
	})
	if err = s.Play(a, Pace{Settle: synctest.Wait, Patience: 10 * time.Second}); err != nil {
		t.Errorf("%s\n%s", s.Shows, err)
	}
	lost.Wait()
	parent.table.Close()
	if n := parent.table.Len(); n != 0 {
		t.Errorf("C15: %d dialogs are left", n)
	}
}

// portal leads to the script.
type portal struct{ table *dialog.Table }

func (p *portal) Table(context.Context) (dialog.Target, error) { return p.table.To(nil), nil }

// memory is a connection inside this process, whose packets are read where they arrive.
func memory() (a, b link.Transport) {
	ab, ba, cut := make(chan []byte, 1<<10), make(chan []byte, 1<<10), make(chan struct{})
	abort := sync.OnceFunc(func() { close(cut) })
	return &end{ab, ba, cut, abort}, &end{ba, ab, cut, abort}
}

type end struct {
	out, in chan []byte
	cut     chan struct{}
	abort   func()
}

func (e *end) Send(b wire.Batch) error {
	select {
	case e.out <- bytes.Join(b, nil):
	case <-e.cut: // what is sent then is lost
	}
	return nil
}

func (e *end) Recv() (*wire.Packet, error) {
	select { // what has come is read first
	case b, ok := <-e.in:
		return packet(b, ok)
	default:
	}
	select {
	case b, ok := <-e.in:
		return packet(b, ok)
	case <-e.cut:
		return nil, io.ErrClosedPipe
	}
}

func packet(b []byte, ok bool) (*wire.Packet, error) {
	if !ok {
		return nil, io.EOF
	}
	return wire.NewPacket(wire.Batch{b})
}

func (e *end) CloseSend() error {
	close(e.out)
	return nil
}

func (e *end) Abort() { e.abort() }
