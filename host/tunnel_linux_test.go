package host

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/internal/control"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// expecting opens a nursery on the host a, to which other hosts of its fleet dial, and this machine.
func expecting(t *testing.T, body func(ctx context.Context, m *machines, dial func(from string) net.Conn)) {
	t.Helper()
	tempdir.Use(t)
	dir := t.TempDir()
	ca, err := fleet.NewCA(filepath.Join(dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	credentials := map[string]*fleet.Credentials{}
	for _, name := range []string{"a", "b", "c"} {
		err := ca.Issue(name, filepath.Join(dir, name), fleet.DefaultLifetime)
		if credentials[name], _ = fleet.LoadCredentials(filepath.Join(dir, name)); err != nil || credentials[name] == nil {
			t.Fatal(err)
		}
	}
	o := Options{Serve: "default", Fleet: &Fleet{Credentials: credentials["a"], Listen: "127.0.0.1:0"}}
	err = OpenNursery(t.Context(), o, func(ctx context.Context, n *Nursery) error {
		body(ctx, n.env.machines, func(from string) (conn net.Conn) {
			t.Helper()
			var err error
			if from == "" {
				conn, err = control.Dial(ctx, "default")
			} else {
				conn, err = dialFleet(ctx, "tls://a@"+n.door.fabric.Addr().String(), credentials[from])
			}
			if err != nil {
				t.Fatal(err)
			}
			return conn
		})
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// agentOn is an agent on a host, of which nothing but that is known.
func agentOn(host string) *machine {
	return &machine{child: &child{guest: &guest{caller: &control.Caller{Host: host}}}}
}

// D23: a token is for one connection of one host.
func TestD23_ATokenIsForOneConnectionOfOneHost(t *testing.T) {
	expecting(t, func(ctx context.Context, m *machines, dial func(from string) net.Conn) {
		for _, host := range []string{"b", ""} {
			taken := make(chan link.Transport, 2)
			over := make(chan struct{})
			token, forget := m.expect(agentOn(host), func(t link.Transport) <-chan struct{} {
				taken <- t
				return over
			})
			refused := func(from string, token []byte) {
				t.Helper()
				if tunnel, err := control.Tunnel(ctx, dial(from), token); err == nil || !strings.Contains(err.Error(), "not expected of it") {
					t.Errorf("D23: a connection that is not expected: %v, %v", tunnel, err)
				}
			}
			for _, other := range []string{"b", "c", ""} {
				if other != host {
					refused(other, token)
				}
			}
			refused(host, []byte("another token"))
			tunnel, err := control.Tunnel(ctx, dial(host), token)
			if err != nil {
				t.Fatal(err)
			}
			far := <-taken
			frame := []byte{0x0a, 0x02, 0x10, 0x02} // a frame with its kind
			echoing := task.Start(func() {
				if packet, err := far.Recv(); err != nil || len(packet.Frames) != 1 || far.Send(wire.Batch{frame}) != nil {
					t.Errorf("D23: %v, %v", packet, err)
				}
			})
			if err := tunnel.Send(wire.Batch{frame}); err != nil {
				t.Error(err)
			}
			if packet, err := tunnel.Recv(); err != nil || len(packet.Frames) != 1 || packet.Frames[0].Kind != wire.Kind_KIND_BYE {
				t.Errorf("D23: %v, %v", packet, err)
			}
			echoing.Wait()
			refused(host, token)
			if len(taken) > 0 {
				t.Error("D23: two connections for one token")
			}
			forget() // which does not wait for the tunnel: its agent may be frozen
			close(over)
			tunnel.Abort()
		}
	})
}

// D20: when a start is given up, no tunnel is taken any more, and one that has come meanwhile does not stay.
func TestD20_AnExpectationEnds(t *testing.T) {
	expecting(t, func(ctx context.Context, m *machines, dial func(from string) net.Conn) {
		take := func(link.Transport) <-chan struct{} {
			t.Error("D20: a tunnel was taken although nobody waits")
			return nil
		}
		token, forget := m.expect(agentOn("b"), take)
		forget()
		if tunnel, err := control.Tunnel(ctx, dial("b"), token); err == nil {
			t.Errorf("D20: %v", tunnel)
		}
		token, forget = m.expect(agentOn("b"), take)
		e := m.claim(token, "b") // it has come, and nobody has taken it
		forget()
		forget()
		near, far := net.Pipe()
		e.carry(link.NewStream(near))
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("D20: a tunnel that nobody has taken: %v", err)
		}
		_ = far.Close()
		if len(m.expected) > 0 {
			t.Errorf("D20: %d expectations are left", len(m.expected))
		}
	})
}

// D22: a tunnel that has come is not waited for when its start is given up: its agent may be frozen.
func TestD22_ATunnelThatStaysIsNotWaitedFor(*testing.T) {
	m := newMachines(nil)
	over := make(chan struct{})
	taken := make(chan struct{})
	token, forget := m.expect(agentOn("b"), func(link.Transport) <-chan struct{} {
		close(taken)
		return over // the link does not end
	})
	e := m.claim(token, "b")
	carrying := task.Start(func() { e.carry(nil) })
	<-taken
	forget()
	close(over)
	carrying.Wait()
}

// D23: so many tokens may be expected, and no more.
func TestD23_ExpectationsAreBounded(t *testing.T) {
	m := newMachines(nil)
	for range 1024 {
		_, forget := m.expect(agentOn("b"), nil)
		defer forget()
	}
	token, forget := m.expect(agentOn("b"), nil)
	defer forget()
	if m.claim(token, "b") != nil {
		t.Error("D23: one more is expected")
	}
}
