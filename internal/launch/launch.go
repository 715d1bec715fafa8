package launch

import (
	"context"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/seed-2ba35074/trellis/internal/ctxvalue"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// Process is what a host needs of a process; [process.Process] says what its methods promise.
// Any goroutine may call them, at any time.
type Process interface {
	PID() int // 0 until it is executed
	Dead() <-chan struct{}
	Done() <-chan struct{}
	Flushed() <-chan struct{}
	Exit() (how process.Exit, ended bool)
	Starved() time.Duration
	Load() process.Load
	Vitals() process.Vitals
	Terminate() error
	Kill(ctx context.Context) error
}

// Program is one start of a program, and what becomes of it. Whoever has asked for it calls
// its methods in their order, each once, on one goroutine; but Process and Check may be
// called on any, and a program that is started ahead is only later listened for and booted,
// or stopped. What a method has made is let go of by Release, which may follow any of them.
type Program interface {
	// Start executes the program and connects to it. A *process.StartError says that the
	// program could not be executed. It does not have to heed ctx: whoever calls it kills the
	// process when ctx ends, and a program that has no process by then must not begin one.
	Start(ctx context.Context) error
	// Process is nil until there is one.
	Process() Process
	// Listen makes the way that the program's link will come by, and writes into the boot
	// request where that is. take is called once at most, and on any goroutine; the transport
	// is its own until the channel that it returns is closed.
	Listen(ctx context.Context, boot *wire.BootRequest, take func(link.Transport) (over <-chan struct{})) error
	// Boot tells the program which actor it is. It opens its link before it answers. Errors
	// have the codes of gRPC that the protocol gives them.
	Boot(ctx context.Context, boot *wire.BootRequest) (*wire.BootResponse, error)
	// Current says why the program that was started is not the one that a start would execute
	// now; nil if it is.
	Current() error
	// Stop asks a program that has not been booted to end. It may take for ever, but not longer
	// than ctx.
	Stop(ctx context.Context) error
	// Check asks the program's health service. Its errors have codes of gRPC.
	Check(ctx context.Context) (healthpb.HealthCheckResponse_ServingStatus, error)
	// Release lets go of all that the start has made, when the process is done and its link
	// is closed, and returns when no link can come any more.
	Release()
}

// Order is what is to be started.
type Order struct {
	ID      actor.ID // whose pid is not known yet
	Command []string // the program and its arguments, as in the actor's spec
	Foreign bool     // the program knows nothing of actors
	// Log gets the lines that the program prints, on one goroutine. Gist is what a line of
	// standard error tells of the program's end, "" for nothing: it waits for nobody.
	Log  func(process.Line)
	Gist func(text []byte, cut bool) string
}

// Launcher makes a program, and starts nothing.
type Launcher func(Order) Program

// With returns a ctx whose nurseries, and those of the actors in them, have their programs
// from l instead of the operating system.
func With(ctx context.Context, l Launcher) context.Context { return ctxvalue.With(ctx, l) }

// From is the launcher of a ctx; nil if programs come from the operating system.
func From(ctx context.Context) Launcher { return ctxvalue.Of[Launcher](ctx) }
