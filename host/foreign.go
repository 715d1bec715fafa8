package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// ErrForeign means that something was asked of a foreign program that only actors
// can do.
var ErrForeign = errors.New("foreign program")

// Foreign is a handle for a foreign program: a go-plugin binary that knows nothing
// of Trellis (Spec.GoPlugin). It is supervised as any child and survives restarts
// as a Portal does, but serves no endpoints: call it with its own gRPC client.
//
// A Foreign is a grpc.ClientConnInterface, for the clients that protoc generates:
// each call goes to the process that is up, and waits while there is none, or
// fails, as Spec.WhileDown says. A call that the end of the process has cut off
// fails with code Unavailable and wraps why it ended, such as a *fault.ActorDied.
// It may be used from any goroutine.
type Foreign struct{ p *Portal }

var _ grpc.ClientConnInterface = (*Foreign)(nil)

// StartForeign starts a foreign program and returns when it can be called. See
// Start.
func (n *Nursery) StartForeign(ctx context.Context, spec Spec) (*Foreign, error) {
	if spec.GoPlugin == nil {
		return nil, fmt.Errorf("actor %q: Spec.GoPlugin is not set; a foreign program needs its cookie and versions", spec.Name)
	}
	p, err := n.Start(ctx, spec)
	if err != nil {
		return nil, err
	}
	return &Foreign{p}, nil
}

// Foreign is the handle for a foreign program by name; for the first one if it has
// replicas.
func (t *Tree) Foreign(name string) (*Foreign, error) {
	p, err := t.Portal(name)
	if err != nil {
		return nil, err
	}
	if p.s.spec.GoPlugin == nil {
		return nil, fmt.Errorf("actor %q is not a foreign program: its spec has no goplugin; use Portal", name)
	}
	return &Foreign{p}, nil
}

// Name is the program's name in its nursery.
func (f *Foreign) Name() string { return f.p.Name() }

// ID is the identity of the present process, or of the last one.
func (f *Foreign) ID() actor.ID { return f.p.ID() }

// State is what the program is doing.
func (f *Foreign) State() State { return f.p.State() }

// Done is closed when the program is gone for good, its last process reaped.
func (f *Foreign) Done() <-chan struct{} { return f.p.Done() }

// Cancel ends the program for good and returns when its process is reaped. If it
// does not answer go-plugin's request to shut down within its cancel bound (500 ms
// by default), force is used, and Cancel returns fault.ErrActorTooSlow.
func (f *Foreign) Cancel(ctx context.Context) error { return f.p.Cancel(ctx) }

// Conn is the connection to the present process. See Portal.Conn.
func (f *Foreign) Conn(ctx context.Context) (*grpc.ClientConn, error) { return f.p.Conn(ctx) }

// Broker is go-plugin's broker of the present process. See Portal.Broker.
func (f *Foreign) Broker(ctx context.Context) (*plugin.GRPCBroker, error) { return f.p.Broker(ctx) }

// Dispense makes the client of a go-plugin interface for the present process.
// See Portal.Dispense.
func (f *Foreign) Dispense(ctx context.Context, p plugin.GRPCPlugin) (any, error) {
	return f.p.Dispense(ctx, p)
}

// Version is the protocol version that the present process has picked from
// GoPlugin.Versions.
func (f *Foreign) Version(ctx context.Context) (int, error) {
	i, err := f.p.s.awaitCallable(ctx)
	if err != nil {
		return 0, err
	}
	return i.plugin.NegotiatedVersion(), nil
}

// Invoke makes a unary call to the process that is up.
func (f *Foreign) Invoke(ctx context.Context, method string, args, reply any, o ...grpc.CallOption) error {
	return services{f.p}.Invoke(ctx, method, args, reply, o...)
}

// NewStream opens a stream to the process that is up.
func (f *Foreign) NewStream(ctx context.Context, d *grpc.StreamDesc, method string, o ...grpc.CallOption) (grpc.ClientStream, error) {
	return services{f.p}.NewStream(ctx, d, method, o...)
}

// foreignConfig makes go-plugin speak to the program as its own host would.
func (i *incarnation) foreignConfig(config *plugin.ClientConfig) {
	g := i.spec.GoPlugin
	config.HandshakeConfig = plugin.HandshakeConfig{}
	for key, value := range g.Cookie {
		config.MagicCookieKey, config.MagicCookieValue = key, value
	}
	config.VersionedPlugins = map[int]plugin.PluginSet{}
	for _, version := range g.Versions {
		config.VersionedPlugins[version] = plugin.PluginSet{wire.PluginName: clientMaker{client: i.client}}
	}
	config.TLSConfig, config.AutoMTLS = nil, secured(g)
	config.GRPCBrokerMultiplex = g.Multiplex
}

// foreignHandshake says which key of a program's description a failed handshake is about,
// and what the program itself has said last. go-plugin has only texts for its errors.
func foreignHandshake(g *config.GoPlugin, failure string, said []string) string {
	switch {
	case strings.Contains(failure, "incompatible API version"):
		failure += fmt.Sprintf(" (the program speaks none of goplugin.versions, %v, and names its lowest one)", g.Versions)
	case strings.Contains(failure, plugin.ErrGRPCBrokerMuxNotSupported.Error()):
		failure += "; set goplugin.multiplex to false"
	}
	if n := len(said); n > 0 {
		failure += "; its last line on stderr: " + said[n-1]
	}
	return failure
}

func secured(g *config.GoPlugin) bool { return g.MTLS != config.MTLSOff }

// awaitForeign waits until a foreign program answers. Any answer will do: its health is
// checked later.
func (i *incarnation) awaitForeign(ctx context.Context) (stage string, err error) {
	if tls := i.config.TLSConfig; secured(i.spec.GoPlugin) && (tls == nil || tls.RootCAs == nil) {
		return "handshake", errors.New("expected a certificate in its handshake line, there is none: " +
			"this program knows no AutoMTLS; set goplugin.mtls to off")
	}
	_, err = i.client.health.Check(ctx, &healthpb.HealthCheckRequest{Service: pluginService})
	answers := []codes.Code{codes.OK, codes.Unimplemented, codes.NotFound}
	if !slices.Contains(answers, status.Code(err)) {
		key := "it took no TLS: if it does not use the certificate that it was sent (AutoMTLS), set goplugin.mtls to off"
		if !secured(i.spec.GoPlugin) {
			key = "goplugin.mtls is off: if its own host uses AutoMTLS, set it to auto"
		}
		return "connection", fmt.Errorf("%s; %s", status.Convert(err).Message(), key)
	}
	i.connection = newForeignConnection(i.client)
	return "", nil
}
