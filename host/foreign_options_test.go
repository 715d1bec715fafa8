package host_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/go-plugin"
	kv "github.com/hashicorp/go-plugin/examples/grpc/proto"
	"google.golang.org/grpc"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// ctxPlugin is a go-plugin interface whose client keeps the ctx that it is made with, as
// that of Vault does.
type ctxPlugin struct{ kvPlugin }

func (ctxPlugin) GRPCClient(ctx context.Context, _ *plugin.GRPCBroker, _ *grpc.ClientConn) (any, error) {
	return ctx, nil
}

// G2: the ctx of a dispensed client ends with the process, and says how that ended.
func TestP07_ADispensedClientsCtxEndsWithItsProcess(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		f, err := n.Start(ctx, foreign(t, "foreign"))
		if err != nil {
			return err
		}
		dispensed, err := f.Dispense(ctx, ctxPlugin{})
		if err != nil {
			return err
		}
		if dispensed.(context.Context).Err() != nil {
			t.Error("it ended before the process")
		}
		if _, err := get(ctx, f.Services(), "exit"); err == nil {
			t.Error("it lives")
		}
		<-dispensed.(context.Context).Done()
		cause := context.Cause(dispensed.(context.Context))
		if died, ok := errors.AsType[*fault.ActorDied](cause); !ok || died.ExitCode != 9 {
			t.Errorf("its cause is %v", cause)
		}
		return nil
	})
	if died, ok := errors.AsType[*fault.ActorDied](err); !ok || died.ExitCode != 9 {
		t.Errorf("got %v", err)
	}
}

// G9: with goplugin.multiplex the connections of the broker go through the main one.
func TestN15_MultiplexedForeignProgramCallsBack(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s := foreign(t, "foreign")
		s.GoPlugin.Multiplex = true
		f, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		broker, err := f.Broker(ctx)
		if err != nil {
			return err
		}
		id := broker.NextId()
		var server *grpc.Server
		made := make(chan struct{})
		n.Go(func() {
			broker.AcceptAndServe(id, func(o []grpc.ServerOption) *grpc.Server {
				server = grpc.NewServer(o...)
				kv.RegisterKVServer(server, kvServer{})
				close(made)
				return server
			})
		})
		<-made
		defer server.Stop()
		pid, err := get(ctx, f.Services(), "callback "+strconv.Itoa(int(id)))
		if err != nil || pid != strconv.Itoa(os.Getpid()) {
			t.Errorf("the host's own answer is %q, %v", pid, err)
		}
		return f.Cancel(ctx, "done")
	})
	if err != nil {
		t.Error(err)
	}
}

// G5: an application has interceptors of its own on the connection to a program.
func TestN15_DialOptionsOfTheApplication(t *testing.T) {
	var calls atomic.Int32
	o := host.Options{DialOptions: func(actor string) []grpc.DialOption {
		if actor != "shop" {
			t.Errorf("options for %q", actor)
		}
		return []grpc.DialOption{grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, args, reply any, conn *grpc.ClientConn, call grpc.UnaryInvoker, o ...grpc.CallOption) error {
			if method == kv.KV_Get_FullMethodName {
				calls.Add(1)
			}
			return call(ctx, method, args, reply, conn, o...)
		})}
	}}
	_, err := open(t, o, func(ctx context.Context, n *host.Nursery) error {
		f, err := n.Start(ctx, foreign(t, "foreign"))
		if err != nil {
			return err
		}
		if _, err := get(ctx, f.Services(), "pid"); err != nil {
			return err
		}
		return f.Cancel(ctx, "done")
	})
	if err != nil || calls.Load() != 1 {
		t.Errorf("%d calls, %v", calls.Load(), err)
	}
}
