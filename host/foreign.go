package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// ErrForeign is what a call of an endpoint fails with if the child is a foreign program
// (Spec.GoPlugin): it knows nothing of Trellis and serves none. See [Portal.Services].
var ErrForeign = errors.New("foreign program")

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
