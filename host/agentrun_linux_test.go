package host

import (
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/internal/control"
	"github.com/seed-2ba35074/trellis/internal/fabric"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/link"
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
	token := fabric.NewToken()
	if _, err := e.listen(t.Context(), token[:]); !errors.Is(err, fault.ErrActorClosing) {
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

// D22: a tunnel that has come is not waited for when its start is given up: its agent may be frozen.
func TestD22_ATunnelThatStaysIsNotWaitedFor(t *testing.T) {
	dir := t.TempDir()
	ca, err := fleet.NewCA(filepath.Join(dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	credentials := map[string]*fleet.Credentials{}
	for _, name := range []string{"a", "b"} {
		err := ca.Issue(name, filepath.Join(dir, name), fleet.DefaultLifetime)
		if credentials[name], _ = fleet.LoadCredentials(filepath.Join(dir, name)); err != nil || credentials[name] == nil {
			t.Fatal(err)
		}
	}
	m := newMachines(nil)
	if m.fabric, err = fabric.Listen(t.Context(), "127.0.0.1:0", credentials["a"]); err != nil {
		t.Fatal(err)
	}
	defer m.fabric.Close()
	taken := make(chan link.Transport, 1)
	token, forget := m.expect(&machine{child: &child{guest: &guest{caller: &control.Caller{Host: "b"}}}}, func(t link.Transport) <-chan struct{} {
		taken <- t
		return make(chan struct{}) // the link does not end
	})
	conn, err := fabric.DialTunnel(t.Context(), credentials["b"], m.fabric.Addr().String(), "a", fabric.Token(token))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	defer (<-taken).Abort()
	forget()
}
