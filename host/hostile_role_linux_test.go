//go:build lab

package host_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/trust"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// attackVar says what the hostile plugin does, and times how often.
const (
	attackVar = "HOSTILE_ATTACK"
	timesVar  = "HOSTILE_TIMES"
)

// victim is the actor that attacks over relays are for.
const victim = "victim"

func init() { role("hostile", beHostile) }

// attacker is a plugin that speaks the protocol by hand, and means its host no good.
type attacker struct {
	plugin.NetRPCUnsupportedPlugin
	wire.UnimplementedActorServer
	identity *tls.Config
	attack   string
	times    int
	path     string // its own
	stderr   *os.File
	checks   chan struct{} // cap 1: the host has asked the health service
}

func beHostile() {
	a := &attacker{attack: os.Getenv(attackVar), stderr: os.Stderr, checks: make(chan struct{}, 1)}
	if _, err := fmt.Sscan(os.Getenv(timesVar), &a.times); err != nil {
		panic(err)
	}
	err := process.HoldLifeline()
	if err == nil {
		a.identity, err = trust.Inherited()
	}
	if err != nil {
		panic(err)
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion: wire.Version, MagicCookieKey: wire.CookieKey, MagicCookieValue: wire.CookieValue,
		},
		VersionedPlugins: map[int]plugin.PluginSet{wire.Version: {wire.PluginName: a}},
		TLSProvider:      func() (*tls.Config, error) { return a.identity, nil },
		GRPCServer: func(o []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(o, grpc.ChainUnaryInterceptor(a.unary), grpc.ChainStreamInterceptor(a.stream))...)
		},
	})
}

func (a *attacker) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	wire.RegisterActorServer(s, a)
	return nil
}

func (a *attacker) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.ErrUnsupported
}

// large is an answer of any service that is far too large.
func large() *wire.BootResponse { return &wire.BootResponse{Sdk: strings.Repeat("x", 64<<20)} }

func (a *attacker) unary(ctx context.Context, r any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if info.FullMethod != healthpb.Health_Check_FullMethodName {
		return handle(ctx, r)
	}
	select {
	case a.checks <- struct{}{}:
	default:
	}
	if a.attack == "health answer" {
		return large(), nil
	}
	return handle(ctx, r)
}

func (a *attacker) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if a.attack != "broker" || info.FullMethod != "/plugin.GRPCBroker/StartStream" {
		return handle(srv, s)
	}
	for id := range uint32(a.times) {
		if err := s.SendMsg(&wire.Window{Messages: id}); err != nil { // its id is where ConnInfo's is
			return err
		}
	}
	return nil
}

// Boot answers as an actor does, and begins.
func (a *attacker) Boot(ctx context.Context, r *wire.BootRequest) (*wire.BootResponse, error) {
	if a.attack == "boot answer" {
		return large(), nil
	}
	if a.attack == "callers" {
		a.call(r)
	}
	t, err := link.DialDirect(ctx, r.Network, r.Address, a.identity, int(r.Parent.GetPid()))
	if err != nil {
		return nil, err
	}
	a.path = r.Path
	a.send(t, &wire.Frame{Kind: wire.Kind_KIND_HELLO, Hello: &wire.Hello{Version: wire.Version, Self: r.Self, MaxMessage: 1 << 20}})
	task.Start(func() { a.strike(t, r) })
	return &wire.BootResponse{Self: r.Self, Sdk: "hostile"}, nil
}

// call connects to the link's listener again and again, and says nothing.
func (a *attacker) call(r *wire.BootRequest) {
	for range a.times {
		if _, err := net.Dial(r.Network, r.Address); err != nil {
			return // the host takes no more
		}
	}
}

func (a *attacker) send(t link.Transport, frames ...*wire.Frame) {
	for _, f := range frames {
		b, err := wire.AppendFrame(nil, f)
		if err != nil {
			panic(err)
		}
		if t.Send(wire.Batch{b}) != nil {
			os.Exit(3) // cut off
		}
	}
}

// checksOfEffect is how many health checks of its host, which come every 100 ms, an attack
// has for taking effect.
const checksOfEffect = 10

// strike sends what it has to once its host has seen it boot, which the first health check
// tells, never reads, and dies a little later.
func (a *attacker) strike(t link.Transport, r *wire.BootRequest) {
	<-a.checks
	switch a.attack {
	case "stderr":
		line := bytes.Repeat([]byte("x"), 1<<20)
		for range a.times {
			_, _ = a.stderr.Write(line) // without an end
		}
	case "callers":
		a.call(r)
	case "streams":
		a.pour(t)
	default:
		for i := range a.times {
			a.send(t, a.frames(uint64(2*i+1))...)
		}
	}
	for range checksOfEffect {
		<-a.checks
	}
	runtime.KeepAlive(t) // its connection is closed when nobody refers to it any more
	os.Exit(3)
}

// pour opens contexts, and sends to each as much as its window takes, and a large message more.
func (a *attacker) pour(t link.Transport) {
	for i := range a.times {
		a.send(t, a.frames(uint64(2*i+1))...)
	}
	for started := 0; started < a.times; {
		p, err := t.Recv()
		if err != nil {
			os.Exit(3) // cut off
		}
		for _, f := range p.Frames {
			if f.Kind != wire.Kind_KIND_STARTED {
				continue
			}
			started++
			for _, size := range []uint64{f.Window.GetBytes() - 1, 1 << 20} {
				a.send(t, &wire.Frame{Dialog: f.Dialog, Kind: wire.Kind_KIND_YIELD, Payload: make([]byte, size)})
			}
		}
	}
}

// frames are what one blow consists of. The fuzz targets begin with shorter ones of them:
// hostile_* below each testdata/fuzz.
func (a *attacker) frames(id uint64) []*wire.Frame {
	begin := func(endpoint string, payload []byte) *wire.Frame {
		return &wire.Frame{Dialog: id, Kind: wire.Kind_KIND_START, Payload: payload, Start: &wire.Start{
			Endpoint: endpoint, Kind: wire.EndpointKind_ENDPOINT_KIND_FUNC, Codec: codecs.CBOR.Name(),
		}}
	}
	text := []byte{0x60}
	switch a.attack {
	case "relayed dialogs", "relayed messages", "relayed openers":
		return a.relayed(begin("forever", []byte{0xf6}))
	case "dialogs":
		return []*wire.Frame{begin("sit", text)}
	case "streams":
		f := begin("deaf", text)
		f.Start.Kind = wire.EndpointKind_ENDPOINT_KIND_CONTEXT
		return []*wire.Frame{f}
	case "arguments":
		return []*wire.Frame{begin("sit", codecs.EncodeBytes(make([]byte, 1<<20)).Bytes())}
	case "answers":
		return []*wire.Frame{begin("big", text)}
	case "few answers":
		return []*wire.Frame{begin("few", text)}
	case "numbers":
		number := append([]byte{0xc2}, codecs.EncodeBytes(bytes.Repeat([]byte{0xff}, 2<<20)).Bytes()...)
		return []*wire.Frame{begin("sit", number)}
	case "metadata":
		f := begin("sit", text)
		f.Start.Metadata = map[string]string{"key": strings.Repeat("x", 1<<20)}
		return []*wire.Frame{f}
	case "errors":
		f := &wire.Fault{Nodes: []*wire.Node{{Message: strings.Repeat("x", 1<<10)}}}
		for range 1000 {
			f.Nodes = append(f.Nodes, &wire.Node{Type: "t", Message: strings.Repeat("y", 1<<10)})
		}
		return []*wire.Frame{begin("sit", text), {Dialog: id, Kind: wire.Kind_KIND_FAIL, Fault: f}}
	case "garbage":
		return []*wire.Frame{{Dialog: 1 << 40, Kind: wire.Kind_KIND_RETURN, Payload: make([]byte, 1<<20)}}
	}
	return nil
}

// relayed is a blow against another actor, over the host: a context that stays, with messages that
// nobody has room for, or which a hostile relay says that somebody below it has opened, and given up.
func (a *attacker) relayed(start *wire.Frame) []*wire.Frame {
	id := start.Dialog
	start.Start.Kind, start.Start.Target = wire.EndpointKind_ENDPOINT_KIND_CONTEXT, &wire.Address{Path: victim}
	switch a.attack {
	case "relayed messages":
		message := &wire.Frame{Dialog: id, Kind: wire.Kind_KIND_YIELD, Payload: make([]byte, 1<<19)}
		credit := &wire.Frame{Dialog: id, Kind: wire.Kind_KIND_CREDIT, Credit: &wire.Window{Messages: 1 << 30}}
		attach := &wire.Frame{Dialog: id, Kind: wire.Kind_KIND_ATTACH}
		return []*wire.Frame{start, attach, message, credit, attach, message, message}
	case "relayed openers":
		name := fmt.Sprint("x", id)
		start.Start.Opener = &wire.Address{Path: a.path + "/" + name, Actor: &wire.Identity{Name: name, Uuid: name}}
		return []*wire.Frame{start, {Dialog: id, Kind: wire.Kind_KIND_FAIL, Fault: &wire.Fault{Nodes: []*wire.Node{{Message: strings.Repeat("x", 1<<10)}}}}}
	}
	return []*wire.Frame{start}
}
