// Package phases_test plays the table of docs/what-returns-when.md: each public function
// that can wait, in each phase of an actor, of a nursery and of a dialog.
package phases_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

const (
	roleVar = "PHASES_TEST_ROLE" // makes this program a plugin
	onceVar = "PHASES_TEST_ONCE" // a file: the process that makes it serves, each later one hangs before its handshake
)

func TestMain(m *testing.M) {
	role := os.Getenv(roleVar)
	if role == "" {
		os.Exit(m.Run())
	}
	if once := os.Getenv(onceVar); once != "" {
		f, err := os.OpenFile(once, os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			select {}
		}
		_ = f.Close()
	}
	if role == "foreign" {
		plugin.Serve(&plugin.ServeConfig{
			HandshakeConfig:  plugin.HandshakeConfig{MagicCookieKey: "PHASES_TEST", MagicCookieValue: "foreign"},
			VersionedPlugins: map[int]plugin.PluginSet{1: {"none": nothing{}}}, GRPCServer: plugin.DefaultGRPCServer,
		})
		return
	}
	sdk.Plugin{Endpoints: endpoints(), Services: nothing{}.GRPCServer}.Serve()
}

type none = struct{}

// What the actor serves.
var (
	echo   = contract.Func[none, none]("echo")
	unwell = contract.Func[none, none]("unwell") // its health check, which fails
	stuck  = contract.Context[none, none, none, none, none]("stuck")
)

func endpoints() []contract.Handler {
	return []contract.Handler{
		echo.Handle(func(context.Context, none) (n none, _ error) { return n, nil }),
		unwell.Handle(func(context.Context, none) (n none, _ error) { return n, errors.New("it is unwell") }),
		stuck.Handle(func(_ context.Context, n none, c *contract.Callee[none, none, none]) (none, error) {
			if err := c.Started(n); err != nil {
				return n, err
			}
			select {}
		}),
	}
}

// nothing is an interface of go-plugin without methods.
type nothing struct{ plugin.NetRPCUnsupportedPlugin }

func (nothing) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "phases.Test", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Ask", Handler: answer}},
	}, nothing{})
	return nil
}

// askMethod is a unary call whose messages are empty.
const askMethod = "/phases.Test/Ask"

func answer(_ any, ctx context.Context, decode func(any) error, wrap grpc.UnaryServerInterceptor) (any, error) { //nolint:revive // gRPC wants it so
	empty := new(emptypb.Empty)
	if err := decode(empty); err != nil || wrap == nil {
		return empty, err
	}
	return wrap(ctx, empty, &grpc.UnaryServerInfo{FullMethod: askMethod}, func(context.Context, any) (any, error) { return empty, nil })
}

func (nothing) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nothing{}, nil
}

// spec is an actor, or a foreign program: this program.
func spec(t testing.TB, name, role string) host.Spec {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := host.Spec{Name: name, Command: []string{self}, Env: map[string]string{roleVar: role, "GORACE": "atexit_sleep_ms=0"}}
	s.Health.Off = true
	if role == "foreign" {
		s.GoPlugin = &config.GoPlugin{Cookie: map[string]string{"PHASES_TEST": "foreign"}, Versions: []int{1}}
	}
	return s
}
