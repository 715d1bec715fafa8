package sdk

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/trust"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/contract"
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
}

// Serve serves endpoints as a plugin program. It does not return: the process ends
// when its host says so.
func Serve(endpoints ...contract.Handler) { Plugin{Endpoints: endpoints}.Serve() }

// Serve serves the plugin. It does not return.
func (p Plugin) Serve() {
	// The host reads these records from standard error, and decides itself which levels it
	// keeps. The handler has the file of this moment: go-plugin replaces os.Stderr later.
	terminal := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	slog.SetDefault(terminal)
	if err := process.HoldLifeline(); err != nil {
		terminal.Error("trellis: this plugin may outlive its host", "error", err)
	}
	// The standard files are kept for the same reason: leaveGoPlugin puts them back.
	l := newLife(p, os.Stdout, os.Stderr)
	identity, err := trust.Inherited()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "trellis:", err)
		os.Exit(exitFailed)
	}
	l.identity = identity
	// The host needs some milliseconds for its handshake from here, in which this process
	// would wait.
	l.rehearsal = task.Start(func() { rehearse(identity, terminal) })
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion: wire.Version, MagicCookieKey: wire.CookieKey, MagicCookieValue: wire.CookieValue,
		},
		VersionedPlugins: map[int]plugin.PluginSet{wire.Version: {wire.PluginName: &service{life: l}}},
		TLSProvider:      func() (*tls.Config, error) { return identity, nil }, // nil: go-plugin's AutoMTLS
		GRPCServer: func(o []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(slices.Concat(o, l.calls.options(), p.ServerOptions)...)
		},
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr, JSONFormat: true}),
	})
	// go-plugin's server has stopped before the host asked the actor to end. If it
	// could not even listen, go-plugin's own last line says why.
	if running := l.running.Load(); running != nil {
		why := errors.New("the plugin's server has stopped")
		l.requestStop(stopRequest{cause: why, fail: why})
		running.Wait() // it ends the process
	}
	l.exit(exitFailed)
}

// service is the plugin's half of what go-plugin dispenses.
// go-plugin asks it once for its services, before it prints the handshake line; the host's
// half of the interface is refused.
type service struct {
	plugin.NetRPCUnsupportedPlugin
	life *life
}

// GRPCServer registers the actor service on go-plugin's main connection, and the
// plugin's own.
func (s *service) GRPCServer(broker *plugin.GRPCBroker, server *grpc.Server) error {
	wire.RegisterActorServer(server, &actorServer{life: s.life, broker: broker})
	if s.life.plugin.Services == nil {
		return nil
	}
	return s.life.plugin.Services(broker, server)
}

// GRPCClient is the host's half, which this program is not.
func (s *service) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("package sdk serves plugins; package host calls them")
}
