package host_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	kv "github.com/hashicorp/go-plugin/examples/grpc/proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/sdk"
)

// The cookie of the foreign programs here.
const (
	foreignKey   = "HOST_TEST_FOREIGN"
	foreignValue = "a plugin of somebody else"
)

// playForeign is the gallery of programs that know go-plugin and nothing of
// Trellis.
func playForeign(role string) bool {
	switch role {
	case "foreign":
		serveForeign()
	case "foreign lingering": // its server stops, and it goes on
		signal.Ignore(syscall.SIGTERM)
		serveForeign()
		select {}
	case "foreign leaving":
		fmt.Fprintln(os.Stderr, "no database")
	case "foreign plain": // it forgets its own TLS options
		servePlain()
	case "foreign bare":
		serveBare()
	case "host of foreign":
		hostForeign()
	default:
		return false
	}
	return true
}

// servePlain serves without the options that go-plugin gives, among which is TLS.
func servePlain() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  plugin.HandshakeConfig{MagicCookieKey: foreignKey, MagicCookieValue: foreignValue},
		VersionedPlugins: map[int]plugin.PluginSet{5: {"kv": kvPlugin{}}},
		GRPCServer:       func([]grpc.ServerOption) *grpc.Server { return grpc.NewServer() },
	})
}

func serveForeign() {
	plugins := plugin.PluginSet{"kv": kvPlugin{}}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  plugin.HandshakeConfig{MagicCookieKey: foreignKey, MagicCookieValue: foreignValue},
		VersionedPlugins: map[int]plugin.PluginSet{3: plugins, 5: plugins},
		GRPCServer:       plugin.DefaultGRPCServer,
		Logger:           hclog.New(&hclog.LoggerOptions{Level: hclog.Info, Output: os.Stderr, JSONFormat: true}),
	})
}

// serveBare speaks the least that go-plugin's protocol asks for: a line, and a gRPC
// server with no service but the program's own.
func serveBare() {
	ln, err := net.Listen("unix", filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "bare"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	server := grpc.NewServer()
	kv.RegisterKVServer(server, kvServer{stop: server.Stop})
	fmt.Printf("1|5|unix|%s|grpc\n", ln.Addr())
	_ = server.Serve(ln) // until it is stopped
	select {}
}

// hostForeign is a host that says its child's pid and runs until it is killed.
func hostForeign() {
	err := host.OpenNursery(context.Background(), host.Options{Log: slog.New(slog.DiscardHandler)}, func(ctx context.Context, n *host.Nursery) error {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		f, err := n.Start(ctx, foreignSpec(self, "orphan", "foreign lingering"))
		if err != nil {
			return err
		}
		fmt.Println(f.ID().PID)
		<-ctx.Done()
		return nil
	})
	fmt.Println("it ended:", err)
}

// kvPlugin is a plugin as its author would write it for go-plugin.
type kvPlugin struct{ plugin.NetRPCUnsupportedPlugin }

func (kvPlugin) GRPCServer(broker *plugin.GRPCBroker, s *grpc.Server) error {
	kv.RegisterKVServer(s, kvServer{stop: s.Stop, broker: broker})
	return nil
}

func (kvPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return kv.NewKVClient(conn), nil
}

// kvServer does what the key says.
type kvServer struct {
	kv.UnimplementedKVServer
	stop   func()
	broker *plugin.GRPCBroker
}

// callback gets the host's own value of a key, over a connection of the broker.
func (s kvServer) callback(ctx context.Context, id string) (*kv.GetResponse, error) {
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return nil, err
	}
	conn, err := s.broker.Dial(uint32(n))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	return kv.NewKVClient(conn).Get(ctx, &kv.GetRequest{Key: "pid"})
}

var errUnknownKey = errors.New("unknown key")

func (s kvServer) Get(ctx context.Context, r *kv.GetRequest) (*kv.GetResponse, error) {
	value := ""
	if id, ok := strings.CutPrefix(r.Key, "callback "); ok {
		return s.callback(ctx, id)
	}
	switch r.Key {
	case "pid":
		value = strconv.Itoa(os.Getpid())
	case "self":
		value = sdk.Self(ctx).String()
	case "upper":
		return upperAtParent(ctx)
	case "panic":
		panic("as asked")
	case "env":
		value = os.Getenv("PLUGIN_CLIENT_CERT")
	case "vanish":
		runtime.Goexit()
		return nil, nil
	case "exit well":
		os.Exit(0)
	case "exit":
		fmt.Fprintln(os.Stderr, "famous last words")
		os.Exit(9)
	case "wait":
		foreignLog.Info("waiting")
		<-ctx.Done()
		foreignLog.Info("told to end", "cause", context.Cause(ctx))
		return nil, ctx.Err()
	case "stop":
		go s.stop()
		<-ctx.Done()
		return nil, ctx.Err()
	case "unavailable":
		return nil, status.Error(codes.Unavailable, "the shop is closed")
	default:
		return nil, errUnknownKey
	}
	return &kv.GetResponse{Value: []byte(value)}, nil
}

// upperAtParent calls the host from a handler of a gRPC service.
func upperAtParent(ctx context.Context) (*kv.GetResponse, error) {
	s, err := upper.Call(ctx, sdk.Parent(ctx), "hello")
	return &kv.GetResponse{Value: []byte(s)}, err
}

var foreignLog = hclog.New(&hclog.LoggerOptions{Name: "shop", Output: os.Stderr, JSONFormat: true})

func (kvServer) Put(_ context.Context, r *kv.PutRequest) (*kv.Empty, error) {
	foreignLog.Warn("put "+r.Key, "bytes", len(r.Value))
	fmt.Println("printed", r.Key)
	fmt.Fprintln(os.Stderr, "complained", r.Key)
	return &kv.Empty{}, nil
}
