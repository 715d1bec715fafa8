// Package goplugin has the plugins of the benchmarks that are plain go-plugin, as their
// authors would write them: one speaks gRPC, the other net/rpc.
package goplugin

import (
	"context"
	"net/rpc"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/seed-2ba35074/trellis/internal/lab/bench/plain"
)

// Name is what each of them is dispensed by.
const Name = "measured"

// Handshake is that of the plain plugins.
var Handshake = plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "TRELLIS_BENCH", MagicCookieValue: "plain"}

// GRPC is the set of the plugin that speaks gRPC, NetRPC that of the other one.
var (
	GRPC   = plugin.PluginSet{Name: grpcSeam{}}
	NetRPC = plugin.PluginSet{Name: netRPCSeam{}}
)

// ServeGRPC is the main of the plugin that speaks gRPC.
func ServeGRPC() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: Handshake, Plugins: GRPC, Logger: hclog.NewNullLogger(), GRPCServer: plugin.DefaultGRPCServer,
	})
}

// ServeNetRPC is the main of the plugin that speaks net/rpc.
func ServeNetRPC() {
	plugin.Serve(&plugin.ServeConfig{HandshakeConfig: Handshake, Plugins: NetRPC, Logger: hclog.NewNullLogger()})
}

// grpcSeam joins the service plain.Plain to go-plugin.
type grpcSeam struct{ plugin.NetRPCUnsupportedPlugin }

// GRPCServer is the plugin's side.
func (grpcSeam) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	plain.RegisterPlainServer(s, &plain.Server{})
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
