package host

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/internal/control"
	"github.com/seed-2ba35074/trellis/internal/launch"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// guest is a program that has joined, as the nursery sees it that it has joined: a program
// that is there already, and is only still to be told which actor it is; and a process of
// which nothing is known or can be ended but its link. That is all which the connection of
// a program that this host has not started is worth, and so its end is that of the guest.
//
// Its child's incarnation owns it, as it does any [launch.Program]. ended is closed when
// the link is over, or force was used; the worker waits for the link.
type guest struct {
	caller *control.Caller
	hello  *wire.BootResponse
	host   *Nursery
	take   func(link.Transport) (over <-chan struct{})
	worker *task.Worker
	ended  chan struct{}
	once   sync.Once
	heard  chan struct{} // closed when an agent has said what it takes, or will not
}

// Start has nothing to do.
func (g *guest) Start(context.Context) error { return nil }

// Process is the guest itself.
func (g *guest) Process() launch.Process { return g }

// Listen keeps what the link is for: it will come over the connection that is there.
func (g *guest) Listen(_ context.Context, boot *wire.BootRequest, take func(link.Transport) (over <-chan struct{})) error {
	boot.Broker = 1 // there is no broker; but an actor without a link is refused
	g.take = take
	return nil
}

// Boot tells the program who it is. What it serves, it has said when it came.
func (g *guest) Boot(ctx context.Context, boot *wire.BootRequest) (*wire.BootResponse, error) {
	t, err := g.caller.Admit(ctx, boot)
	if err != nil {
		g.end()
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	over := g.take(t)
	g.worker = task.Start(func() {
		<-over
		g.end()
	})
	return g.hello, nil
}

// Current and Stop are for programs that wait for their boot.
func (g *guest) Current() error { return nil }

// Stop is [guest.Terminate].
func (g *guest) Stop(context.Context) error { return g.Terminate() }

// Check is not asked for: a guest has no health checks.
func (g *guest) Check(context.Context) (healthpb.HealthCheckResponse_ServingStatus, error) {
	return healthpb.HealthCheckResponse_UNKNOWN, status.Error(codes.Unimplemented, "a program that has joined has no health service")
}

// Release lets go of the connection.
func (g *guest) Release() {
	g.caller.Close()
	if g.worker != nil {
		g.worker.Wait()
	}
}

// PID is the one that the kernel has told.
func (g *guest) PID() int { return g.caller.PID }

// Dead is closed when the link is over; Done and Flushed are the same.
func (g *guest) Dead() <-chan struct{} { return g.ended }

// Done is [guest.Dead].
func (g *guest) Done() <-chan struct{} { return g.ended }

// Flushed is [guest.Dead]: what the program prints is not for its host.
func (g *guest) Flushed() <-chan struct{} { return g.ended }

// Exit says nothing but that it has ended: whether it has ended well, its goodbye says.
func (g *guest) Exit() (how process.Exit, ended bool) { return process.Exit{}, isClosed(g.ended) }

// Starved is not known.
func (g *guest) Starved() time.Duration { return 0 }

// Load is that of the process which has connected.
func (g *guest) Load() process.Load { return process.LoadOf(g.PID()) }

// Vitals are those of the process of that pid.
func (g *guest) Vitals() process.Vitals { return process.VitalsOf(g.PID()) }

// Terminate cuts the connection. There is no force beyond that: the process is its own parent's.
func (g *guest) Terminate() error {
	g.caller.Close()
	g.end()
	return nil
}

// Kill is [guest.Terminate].
func (g *guest) Kill(context.Context) error { return g.Terminate() }

func (g *guest) end() { g.once.Do(func() { close(g.ended) }) }
