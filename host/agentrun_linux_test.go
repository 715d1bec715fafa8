package host

import (
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/control"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// D20: a process that has ended while its host was dialled gets no link, and its tunnel does not stay.
func TestD20_ATunnelThatComesTooLate(t *testing.T) {
	at := filepath.Join(tempdir.Use(t), "socket")
	l, err := control.Listen(at)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	e := &errand{seat: &seat{agent: &agent{}, address: at}, spawned: &spawned{}}
	serving := task.Start(func() {
		caller, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer caller.Close()
		if _, err := caller.Hear(t.Context()); err != nil {
			t.Error(err)
		}
		e.endTunnel()
		tunnel, err := caller.Accept(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := tunnel.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("D20: the tunnel goes on: %v", err)
		}
	})
	if _, err := e.listen(t.Context(), []byte("token")); !errors.Is(err, fault.ErrActorClosing) {
		t.Errorf("D20: %v", err)
	}
	serving.Wait()
}

// D22: an agent that is known not to answer is not asked for what cannot wait.
func TestD22_ASilentAgentIsNotAsked(t *testing.T) {
	r := newRemote(&environment{base: t.Context(), machines: newMachines(nil)}, Spec{Name: "worker"}, actor.NewID("worker"), nil)
	r.machine = &machine{silent: true}
	if err := r.Terminate(); !errors.Is(err, errSilent) {
		t.Errorf("D22: %v", err)
	}
}
