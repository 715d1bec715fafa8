package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/internal/launch"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/rundir"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// spawned is a program of the operating system's: a process that go-plugin shakes hands with
// and connects to, and the listener that its link comes through. It is the [launch.Program] of
// every host; what else may stand in its place knows no process.
//
// Its incarnation owns it and calls it on one goroutine, so that there is no lock. proc is the
// exception: go-plugin's goroutine sets it during Start, and others kill the process then.
type spawned struct {
	env    *environment
	spec   Spec
	id     actor.ID
	client *pluginClient      // the handshake fills it in
	line   func(process.Line) // gets what it prints, on one goroutine

	proc     atomic.Pointer[process.Process] // go-plugin has it made, on a goroutine of its own
	plugin   *plugin.Client                  // go-plugin's hold on the process
	config   *plugin.ClientConfig
	scratch  string       // the directory for its sockets, which go-plugin has made; "" before
	path     string       // the file to execute
	file     os.FileInfo  // of path, before it was executed; nil if there was none
	identity *os.File     // during the start: where the child reads its identity
	server   *grpc.Server // of the link
	serving  *task.Worker
}

// Process is the process, from the moment on in which go-plugin begins to start it.
func (s *spawned) Process() launch.Process {
	proc := s.proc.Load()
	if proc == nil {
		return nil // not an interface that holds nil
	}
	return proc
}

// foreign reports whether the program knows nothing of Trellis.
func (s *spawned) foreign() bool { return s.spec.GoPlugin != nil }

// Start finds the program, executes it, and shakes hands with it.
func (s *spawned) Start(ctx context.Context) (err error) {
	if s.path, err = findProgram(ctx, s.spec); err != nil {
		return err
	}
	s.file, _ = os.Stat(s.path) // what is wrong with it, its execution says
	if err = s.handshake(ctx); err != nil {
		rundir.Discard(s.scratch) // go-plugin forgets it if no process comes of it
		return err
	}
	return s.checkCertificate()
}

// findProgram finds the file to execute. A name without a slash is
// looked for in the PATH of this host, and not of the child's environment, as os/exec does
// it too.
func findProgram(ctx context.Context, spec Spec) (string, error) {
	path, err := lookPath(spec.Command[0])
	if err != nil {
		return "", err
	}
	return path, rebuild(ctx, spec)
}

func lookPath(program string) (string, error) {
	if strings.ContainsRune(program, os.PathSeparator) {
		return program, nil
	}
	found, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("program %q: %w; give a path with a slash, or put it into a directory of PATH", program, err)
	}
	return found, nil
}

// Listen serves the child's link on a brokered connection. The broker opens a socket and
// announces its id over the main connection; the child learns from Boot which id that is. The
// address of the listener is told only to a child that has an identity, which it needs for a
// direct connection; the others go through the broker.
//
// The first link is taken and every other one refused, and nobody new is let in from then
// on. The handler of gRPC's stream has to live as long as the link, hence the channel that
// take returns.
func (s *spawned) Listen(ctx context.Context, boot *wire.BootRequest, take func(link.Transport) (over <-chan struct{})) error {
	if _, err := link.Choice(); err != nil {
		return err
	}
	boot.Broker = s.client.broker.NextId()
	ln, err := s.client.broker.Accept(boot.Broker)
	if err != nil {
		return s.explainBroker(ctx, err)
	}
	if s.identity != nil {
		boot.Network, boot.Address = ln.Addr().Network(), ln.Addr().String()
	}
	entry := &linkListener{Listener: ln}
	links := link.NewServer(func(t link.Transport) <-chan struct{} {
		entry.close()
		return take(t)
	})
	s.server = grpc.NewServer(
		grpc.Creds(links.Credentials(s.config.TLSConfig, s.proc.Load().PID())),
		grpc.InitialWindowSize(link.StreamWindow), grpc.InitialConnWindowSize(link.ConnWindow),
		grpc.MaxRecvMsgSize(link.MaxPacket), grpc.ForceServerCodecV2(wire.PacketCodec{}),
		grpc.ConnectionTimeout(handshakeBound),
		grpc.WaitForHandlers(true), // so that after Stop no link comes any more
	)
	wire.RegisterLinkServer(s.server, links)
	s.serving = task.Start(func() { // until Release stops the server
		if err := s.server.Serve(entry); err != nil && !entry.shut.Load() {
			s.env.log.Error("the link's server has failed", "actor", s.id.String(), "error", err)
		}
	})
	return nil
}

// Current compares the file that the next start would execute with the one that this one
// has: a program that was built anew, or replaced, is another one. A time that has changed
// is enough, since a start too many is better than an old program; but not of a program
// that was built here, as each build marks it as used, and puts another file in its place
// if it is another one.
func (s *spawned) Current() error {
	path, err := lookPath(s.spec.Command[0])
	if err != nil {
		return err
	}
	now, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case s.file == nil || !os.SameFile(now, s.file) || now.Size() != s.file.Size() || !isBuilt(s.spec) && !now.ModTime().Equal(s.file.ModTime()):
		return fmt.Errorf("its program %s has changed since it was started", path)
	}
	return nil
}

// Stop makes go-plugin's server in the program end, and so the program, with its exit hooks.
func (s *spawned) Stop(ctx context.Context) error { return s.client.shutdown(ctx) }

// Boot calls the child's actor service.
func (s *spawned) Boot(ctx context.Context, boot *wire.BootRequest) (*wire.BootResponse, error) {
	return wire.NewActorClient(s.client.conn).Boot(ctx, boot)
}

// Check asks the health service that go-plugin adds to every plugin.
func (s *spawned) Check(ctx context.Context) (healthpb.HealthCheckResponse_ServingStatus, error) {
	answer, err := healthpb.NewHealthClient(s.client.conn).Check(ctx, &healthpb.HealthCheckRequest{Service: pluginService})
	return answer.GetStatus(), err
}

// Release stops the server, which waits for the handlers of its connections, and has let go of
// what go-plugin holds: its main connection and its goroutines. The process is reaped, so that
// go-plugin has none to kill, and nobody but the end of the nursery waits for it, nor for the end of
// the directory, which takes the file system as long as all else together.
func (s *spawned) Release() {
	if s.server != nil {
		s.server.Stop()
		s.serving.Wait()
	}
	if s.plugin != nil {
		s.env.letGo.Go(func() {
			rundir.Discard(s.scratch)
			s.plugin.Kill()
		})
	}
}

// explainBroker says why go-plugin's broker has closed, which does not know it itself: its
// stream was not opened or is over, since the connection failed at the first attempt.
// go-plugin opens that stream once, drops its error, and never opens it again. A health
// check makes gRPC connect once more, and so shows the error that was dropped, if it is
// still there.
func (s *spawned) explainBroker(ctx context.Context, err error) error {
	if _, cause := s.Check(ctx); cause != nil {
		return fmt.Errorf("%w: go-plugin's connection to it failed: %s", err, status.Convert(cause).Message())
	}
	return fmt.Errorf("%w: go-plugin's connection to it had failed at first, and works now", err)
}

// Bounds of the listener that a child's link comes through.
const (
	// mostCallers is how many connections it takes. A child needs one, or two if it
	// tries a direct connection first.
	mostCallers = 8
	// handshakeBound is how long one of them may take to say who it is.
	handshakeBound = 20 * time.Second
)

// linkListener is a listener that is shut when the one connection it is for has come, and when
// too many others have.
//
// gRPC's server owns it and calls Accept on one goroutine; close may be called on any, and
// more than once. shut also tells that the failure of Accept was meant. A plugin
// that opens connections without end costs the host mostCallers descriptors, and its own
// start.
type linkListener struct {
	net.Listener
	callers int // of Accept alone
	shut    atomic.Bool
}

var errLinkTaken = errors.New("the link is connected already, or too many others have connected")

// Accept takes the next connection. It is called by one goroutine.
func (d *linkListener) Accept() (net.Conn, error) {
	if d.callers++; d.callers > mostCallers {
		d.close()
		return nil, errLinkTaken
	}
	return d.Listener.Accept()
}

// close lets nobody in any more.
func (d *linkListener) close() {
	if !d.shut.Swap(true) {
		_ = d.Close() // whoever is in stays
	}
}
