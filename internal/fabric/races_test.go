package fabric

import (
	"net"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// A connection is accepted or displaced, and not both, also where they come at the same moment: who has accepted one keeps it.
func TestAcceptedOrDisplaced(t *testing.T) {
	visit := func() *visitor {
		near, far := net.Pipe()
		t.Cleanup(func() { _ = far.Close() })
		return &visitor{near, "x", make(chan struct{})}
	}
	displaced, stays := visit(), visit()
	displaced.displace()
	l := &Listener{accepted: make(chan arrival), closed: make(chan struct{}), fresh: []*visitor{stays}}
	arriving := task.Start(func() { // as receive does
		l.accepted <- arrival{of: displaced, conn: &Conn{host: "displaced"}}
		l.accepted <- arrival{of: stays, conn: &Conn{host: "stays"}}
	})
	if c, err := l.Accept(); err != nil || c.Host() != "stays" {
		t.Errorf("%+v, %v", c, err)
	}
	arriving.Wait()
	if len(l.fresh) != 0 {
		t.Error("who was accepted can still be displaced")
	}
	_ = stays.raw.Close()
}
