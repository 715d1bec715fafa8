package host_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

var stopServer = contract.Func[none, none]("stop server")

// vanishingLog is a log handler of a plugin's author that takes its goroutine with it.
type vanishingLog struct{ slog.Handler }

func (vanishingLog) Enabled(context.Context, slog.Level) bool  { return true }
func (vanishingLog) Handle(context.Context, slog.Record) error { runtime.Goexit(); return nil }
func (h vanishingLog) WithAttrs([]slog.Attr) slog.Handler      { return h }

func init() {
	role("hosts vanishes", func() {
		sdk.Plugin{Hosts: func(context.Context, []byte, func(context.Context) error) error {
			runtime.Goexit()
			return nil
		}}.Serve()
	})
	role("hosts vanishes late", func() {
		sdk.Plugin{Endpoints: goodEndpoints(), Hosts: func(ctx context.Context, _ []byte, serve func(context.Context) error) error {
			_ = serve(ctx) // the role's failure is what follows
			runtime.Goexit()
			return nil
		}}.Serve()
	})
	role("stops its server", func() {
		keepDiary()
		var server *grpc.Server
		sdk.Plugin{
			Services: func(_ *plugin.GRPCBroker, s *grpc.Server) error { server = s; return nil },
			Endpoints: []contract.Handler{stopServer.Handle(func(ctx context.Context, _ none) (none, error) {
				server.Stop()
				<-ctx.Done()
				return none{}, context.Cause(ctx)
			})},
		}.Serve()
	})
	role("hooks and log vanish", func() {
		keepDiary()
		sdk.OnExit(func() {
			slog.SetDefault(slog.New(vanishingLog{slog.DiscardHandler}))
			panic("in a hook")
		})
		sdk.Serve(goodEndpoints()...)
	})
}

// T4: P10: what hosts an actor's children may call runtime.Goexit: the actor fails with it,
// at its start and at its end.
func TestT4_P10_GoexitInAPluginsHosting(t *testing.T) {
	for role, stage := range map[string]string{"hosts vanishes": "boot", "hosts vanishes late": ""} {
		s := spec(t, "x", role)
		s.Actors = []host.Spec{spec(t, "child", "good")}
		_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
			p, err := n.Start(ctx, s)
			if err != nil {
				return err
			}
			if err := syscall.Kill(p.ID().PID, syscall.SIGTERM); err != nil {
				return err
			}
			<-ctx.Done()
			return context.Cause(ctx)
		})
		start, ok := errors.AsType[*host.StartError](err)
		if !errors.Is(err, fault.ErrGoexit) || ok != (stage != "") || ok && start.Stage != stage {
			t.Errorf("%s: got %v", role, err)
		}
	}
}

// T4: N17: neither a log handler that calls runtime.Goexit nor the hook that it is told of keeps
// the other hooks, and the process, from their end.
func TestT4_N17_GoexitInTheLogOfAHook(t *testing.T) {
	s, read := diary(t, "hooks and log vanish")
	log, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p, err := n.Start(ctx, unforced(s))
		if err != nil {
			return err
		}
		return p.Cancel(ctx, "done")
	})
	if err != nil {
		t.Error(err)
	}
	if got := read(); got != inOrder || strings.Contains(log.String(), "teardown goes on") {
		t.Errorf("the hooks noted %q; the log:\n%s", got, log)
	}
}

// T4: P10: a call of a plugin's own service whose handler calls runtime.Goexit has an answer.
func TestT4_P10_GoexitInAService(t *testing.T) {
	served(t, host.Options{}, func(ctx context.Context, p *host.Portal) error {
		_, err := get(ctx, p.Services(), "vanish")
		if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), fault.ErrGoexit.Error()) {
			t.Errorf("got %v", err)
		}
		return p.Cancel(ctx, "done")
	})
}

// R2: N17: a plugin whose own server has stopped, on which no host can reach it any more, ends in
// order, as its own failure.
func TestR2_N17_APluginWhoseServerHasStopped(t *testing.T) {
	s, read := diary(t, "stops its server")
	s.Health.Off = true
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		_, err = stopServer.Call(context.WithoutCancel(ctx), p, none{})
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "server has stopped") || read() != inOrder {
		t.Errorf("got %v; the hooks noted %q", err, read())
	}
}
