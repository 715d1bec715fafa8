package host_test

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/trust"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// firstFrames are what a plugin that was written by hand may say first on its link, and
// what its host refuses it with.
var firstFrames = map[string]struct {
	frame *wire.Frame
	want  string
}{
	"of version 2": {hello(&wire.Hello{Version: 2, MaxMessage: 1 << 20, Self: &wire.Identity{Uuid: "u", Name: "stranger"}}), "speaks version 2"},
	"without uuid": {hello(&wire.Hello{Version: wire.Version, MaxMessage: 1 << 20, Self: &wire.Identity{Name: "stranger"}}), "without version, identity"},
	"of another":   {hello(&wire.Hello{Version: wire.Version, MaxMessage: 1 << 20, Self: &wire.Identity{Uuid: "u", Name: "stranger"}}), "says that it is stranger@u"},
	"no hello":     {&wire.Frame{Kind: wire.Kind_KIND_CREDIT, Dialog: 1}, "must be HELLO"},
}

func hello(h *wire.Hello) *wire.Frame { return &wire.Frame{Kind: wire.Kind_KIND_HELLO, Hello: h} }

func init() {
	role("stranger without link", func() { serveStranger(nil, false) })
	role("stranger without a word", func() { serveStranger(nil, true) })
	for name, first := range firstFrames {
		for _, answers := range []bool{false, true} {
			stranger := "stranger " + name
			if answers {
				stranger += ", booted"
			}
			role(stranger, func() { serveStranger(first.frame, answers) })
		}
	}
}

// serveStranger is a plugin without package sdk. It ends well when its link does. Without a
// first frame it boots and does no more, but open its link if it answers there.
func serveStranger(first *wire.Frame, answers bool) {
	identity, err := trust.Inherited()
	if err != nil {
		panic(err)
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  plugin.HandshakeConfig{ProtocolVersion: wire.Version, MagicCookieKey: wire.CookieKey, MagicCookieValue: wire.CookieValue},
		VersionedPlugins: map[int]plugin.PluginSet{wire.Version: {wire.PluginName: &stranger{first: first, answers: answers, identity: identity}}},
		TLSProvider:      func() (*tls.Config, error) { return identity, nil },
		GRPCServer:       plugin.DefaultGRPCServer,
	})
}

type stranger struct {
	plugin.NetRPCUnsupportedPlugin
	wire.UnimplementedActorServer

	first    *wire.Frame
	answers  bool
	identity *tls.Config
	mute     link.Transport // held, so that it is not closed
}

func (s *stranger) GRPCServer(_ *plugin.GRPCBroker, server *grpc.Server) error {
	wire.RegisterActorServer(server, s)
	return nil
}

func (s *stranger) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("this end only serves")
}

func (s *stranger) Boot(ctx context.Context, r *wire.BootRequest) (*wire.BootResponse, error) {
	if s.first == nil && !s.answers {
		return &wire.BootResponse{Self: r.Self}, nil
	}
	t, err := link.DialDirect(ctx, r.Network, r.Address, s.identity, int(r.Parent.GetPid()))
	if err != nil {
		return nil, err
	}
	if s.first == nil {
		s.mute = t
		return &wire.BootResponse{Self: r.Self}, nil
	}
	frame, err := wire.AppendFrame(nil, s.first)
	if err == nil {
		err = t.Send(wire.Batch{frame})
	}
	if err != nil {
		return nil, err
	}
	if s.answers {
		return &wire.BootResponse{Self: r.Self}, nil
	}
	for err == nil {
		_, err = t.Recv()
	}
	os.Exit(0)
	return nil, nil
}

// F03: a host that refuses a link says so, and not only that the plugin ended then.
func TestF03_RefusedLinkIsTheCause(t *testing.T) {
	parallel(t)
	for name, first := range firstFrames {
		for _, rest := range []string{"", ", booted"} {
			t.Run(name+rest, func(t *testing.T) {
				log, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
					_, err := n.Start(ctx, spec(t, "stranger", "stranger "+name+rest))
					return err
				})
				start, ok := errors.AsType[*host.StartError](err)
				if !ok || start.Stage != "boot" || !start.Lasting || !errors.Is(err, fault.ErrProtocol) || !strings.Contains(err.Error(), first.want) {
					t.Errorf("got %v\n%s", err, log)
				}
			})
		}
	}
}
