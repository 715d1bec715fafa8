package sdk

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/life"
	"github.com/seed-2ba35074/trellis/internal/logs"
	"github.com/seed-2ba35074/trellis/internal/prefault"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/trust"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Plugin describes a plugin program. The zero value serves nothing.
type Plugin struct {
	Endpoints []contract.Handler
	// Services registers gRPC services of the plugin's own on go-plugin's main
	// connection, for hosts that call them with their own clients
	// (host.Portal.Services, Conn, Dispense). It is what a go-plugin author has
	// already: the GRPCServer method of a plugin.GRPCPlugin. Calls are tasks of the
	// actor as those of endpoints are: cancelled and waited for when it ends, a
	// panic is an error to the caller; Self and Parent work with their ctx.
	Services func(broker *plugin.GRPCBroker, server *grpc.Server) error
	// ServerOptions are further options of the server of the main connection, such
	// as interceptors or message limits for Services.
	ServerOptions []grpc.ServerOption
	// Hosts runs what this plugin hosts around its whole service: it starts the
	// children that the tree gives this actor, calls serve, and ends them when
	// serve has returned. Use host.Subtree. A plugin without Hosts refuses to be
	// given children.
	Hosts func(ctx context.Context, tree []byte, serve func(ctx context.Context) error) error
	// Around runs what this plugin needs around its whole service, such as a connection or a program: it makes
	// that, calls serve, and lets go of it when serve has returned, whose error it returns. The actor does not
	// come up if it fails before. Later, it ends the actor by the end of the ctx that it gives serve, whose cause is
	// the actor's failure.
	Around func(ctx context.Context, serve func(ctx context.Context) error) error
	// What the plugin takes from its host, which is told so: bytes of one message or value,
	// dialogs that run at once, and bytes of the arguments of all of these, below which
	// another one is taken. 0 is the default: 64 MiB, 4096 and 64 MiB. Values below 0 are refused
	// at the start, and more than 4096 dialogs, whose windows would be more than a link has.
	MaxMessage, MaxDialogs, MaxArguments int
}

// Serve serves endpoints as a plugin program. It does not return: the process ends
// when its host says so.
func Serve(endpoints ...contract.Handler) { Plugin{Endpoints: endpoints}.Serve() }

// Serve serves the plugin. It does not return.
func (p Plugin) Serve() {
	prefault.Heap()
	// The host reads these records from standard error, and decides itself which levels it
	// keeps. The handler has the file of this moment: go-plugin replaces os.Stderr later.
	terminal := slog.New(newTraced(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})))
	slog.SetDefault(terminal)
	if err := process.HoldLifeline(); err != nil {
		terminal.Error("trellis: this plugin may outlive its host", "error", err)
	}
	// The standard files are kept for the same reason: leaveGoPlugin puts them back.
	q := &program{plugin: p, stdout: os.Stdout, stderr: os.Stderr}
	q.life = life.New(life.Config{
		Endpoints: p.Endpoints, Hosts: p.Hosts, Around: p.Around, PID: os.Getpid(), Exit: q.exitAfter, Printed: true,
		MaxMessage: p.MaxMessage, MaxDialogs: p.MaxDialogs, MaxArguments: p.MaxArguments, Trials: dialog.DefaultTrials,
		Log: func() *slog.Logger {
			return logs.New(slog.Default()).Logger().With(wire.LogKey, wire.LogRuntime) // the host may be slow to read
		},
	})
	identity, err := trust.Inherited()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "trellis:", err)
		os.Exit(exitFailed)
	}
	q.identity = identity
	// The host needs some milliseconds for its handshake from here, in which this process
	// would wait.
	q.rehearsal = task.Start(func() { rehearse(identity, terminal) })
	q.heedSignals()
	plugin.Serve(q.serveConfig())
	// go-plugin's server has stopped before the host asked the actor to end. If it
	// could not even listen, go-plugin's own last line says why.
	why := errors.New("the plugin's server has stopped")
	q.life.Stop(why, why)
	q.life.Wait() // if there is an actor, it ends the process
	q.exit(exitFailed)
}

// program is the process of a plugin: what surrounds the life of its actor. The fields do not
// change once Serve has given it to go-plugin.
type program struct {
	plugin         Plugin
	life           *life.Life
	stdout, stderr *os.File    // as the process was given them
	identity       *tls.Config // of direct connections; nil: there are none
	rehearsal      *task.Worker
	exiting        sync.Once
}

func (p *program) serveConfig() *plugin.ServeConfig {
	return &plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion: wire.Version, MagicCookieKey: wire.CookieKey, MagicCookieValue: wire.CookieValue,
		},
		VersionedPlugins: map[int]plugin.PluginSet{wire.Version: {wire.PluginName: &service{program: p}}},
		TLSProvider:      func() (*tls.Config, error) { return p.identity, nil }, // nil: go-plugin's AutoMTLS
		GRPCServer: func(o []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(slices.Concat(o, p.life.ServerOptions(), p.plugin.ServerOptions)...)
		},
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr, JSONFormat: true}),
	}
}

// heedSignals makes SIGTERM, SIGINT and SIGHUP end the actor in order, as its own wish, and the
// program alone, with its exit hooks, as long as there is no actor: it may wait for its boot for
// long, as a spare does. SIGPIPE is caught because the runtime of Go would end the process at a
// write to a standard output that nobody reads. That by itself does not end the actor: the
// loss of its host does, in order.
func (p *program) heedSignals() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, process.EndSignals()...)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // a write fails instead
	task.Start(func() {                                     // until the process ends
		select {
		case s := <-signals:
			if p.life.Forgo() {
				p.exit(exitWell)
			}
			p.life.Stop(&fault.ContextCancelled{Canceller: p.life.Self(), Reason: "it received " + s.String()}, nil)
		case <-p.life.Ended():
		}
	})
}

// exitAfter ends the process of an actor that is over.
func (p *program) exitAfter(failure error) {
	if failure != nil {
		p.exit(exitFailed)
	}
	p.exit(exitWell)
}

// service is the plugin's half of what go-plugin dispenses.
// go-plugin asks it once for its services, before it prints the handshake line; the host's
// half of the interface is refused.
type service struct {
	plugin.NetRPCUnsupportedPlugin
	program *program
}

// GRPCServer registers the actor service on go-plugin's main connection, and the
// plugin's own.
func (s *service) GRPCServer(broker *plugin.GRPCBroker, server *grpc.Server) error {
	wire.RegisterActorServer(server, &actorServer{program: s.program, broker: broker})
	if s.program.plugin.Services == nil {
		return nil
	}
	return s.program.plugin.Services(broker, server)
}

// GRPCClient is the host's half, which this program is not.
func (s *service) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("package sdk serves plugins; package host calls them")
}
