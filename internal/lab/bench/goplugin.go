package bench

import (
	"context"
	"errors"
	"fmt"
	"net/rpc"
	"os/exec"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/seed-2ba35074/trellis/internal/lab/bench/plain"
)

var (
	errEnded    = errors.New("the stream has ended by itself")
	errMeasured = errors.New("it has been measured")
)

// handshake is that of the plain plugins.
var handshake = plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "TRELLIS_BENCH", MagicCookieValue: "plain"}

// serveGoPlugin is a plain plugin's main.
func serveGoPlugin(role string) {
	config := &plugin.ServeConfig{HandshakeConfig: handshake, Plugins: plugins(role), Logger: hclog.NewNullLogger()}
	if role == Plain {
		config.GRPCServer = plugin.DefaultGRPCServer
	}
	plugin.Serve(config)
}

func plugins(role string) plugin.PluginSet {
	if role == Plain {
		return plugin.PluginSet{role: grpcSeam{}}
	}
	return plugin.PluginSet{role: netRPCSeam{}}
}

// startGoPlugin starts a plain plugin as its users do: automatic mutual TLS, and
// otherwise the default options.
func (l *lab) startGoPlugin(role string, protocol plugin.Protocol) (p any, process goPlugin, err error) {
	cmd := l.again(role)
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: handshake, Plugins: plugins(role), Cmd: cmd, AutoMTLS: true,
		AllowedProtocols: []plugin.Protocol{protocol}, Logger: hclog.NewNullLogger(),
	})
	connection, err := client.Client()
	if err == nil {
		p, err = connection.Dispense(role)
	}
	if err != nil {
		client.Kill()
		return nil, goPlugin{}, fmt.Errorf("start the plain plugin: %w", err)
	}
	return p, goPlugin{client, cmd}, nil
}

// goPlugin is the process of a plain plugin.
type goPlugin struct {
	client *plugin.Client
	cmd    *exec.Cmd
}

func (g goPlugin) pid() int { return g.cmd.Process.Pid }

func (g goPlugin) stop() error { //nolint:unparam // other subjects can fail to stop
	g.client.Kill()
	return nil
}

// grpcSeam joins the service plain.Plain to go-plugin.
type grpcSeam struct{ plugin.NetRPCUnsupportedPlugin }

// GRPCServer is the plugin's side.
func (grpcSeam) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	plain.RegisterPlainServer(s, &plainServer{})
	return nil
}

// GRPCClient is the host's side.
func (grpcSeam) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return plain.NewPlainClient(conn), nil
}

// netRPCSeam joins the net/rpc plugin to go-plugin.
type netRPCSeam struct{}

// Server is the plugin's side.
func (netRPCSeam) Server(*plugin.MuxBroker) (any, error) { return &NetRPCServer{}, nil }

// Client is the host's side.
func (netRPCSeam) Client(_ *plugin.MuxBroker, c *rpc.Client) (any, error) { return c, nil }

// NetRPCServer is what the net/rpc plugin serves; package net/rpc wants it exported.
type NetRPCServer struct{}

// Call answers with what it was given.
func (*NetRPCServer) Call(payload []byte, answer *[]byte) error {
	*answer = payload
	return nil
}

// netRPCPeer is a started net/rpc plugin.
type netRPCPeer struct {
	goPlugin
	rpc *rpc.Client
}

func (l *lab) startNetRPC(context.Context) (peer, error) {
	p, process, err := l.startGoPlugin(NetRPC, plugin.ProtocolNetRPC)
	if err != nil {
		return nil, err
	}
	client, ok := p.(*rpc.Client)
	if !ok {
		return nil, fmt.Errorf("go-plugin gave a %T for the net/rpc plugin", p)
	}
	return &netRPCPeer{process, client}, nil
}

func (p *netRPCPeer) call(_ context.Context, payload []byte) (answer []byte, err error) {
	return answer, p.rpc.Call("Plugin.Call", payload, &answer)
}
