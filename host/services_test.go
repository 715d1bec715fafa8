package host_test

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// served starts a plugin that serves endpoints and, on the main connection, a gRPC
// service of its own.
func served(t *testing.T, o host.Options, body func(ctx context.Context, p *host.Portal) error) *syncBuffer {
	t.Helper()
	o.Endpoints = []contract.Handler{upper.Handle(func(_ context.Context, s string) (string, error) { return strings.ToUpper(s), nil })}
	log, err := open(t, o, func(ctx context.Context, n *host.Nursery) error {
		p, err := n.Start(ctx, unforced(spec(t, "shop", "services")))
		if err != nil {
			return err
		}
		return body(ctx, p)
	})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func TestN15_PluginServesItsOwnServicesToo(t *testing.T) {
	log := served(t, host.Options{}, func(ctx context.Context, p *host.Portal) error {
		if s, err := echo.Call(ctx, p, "hello"); s != "hello" || err != nil {
			t.Errorf("an endpoint gave %q, %v", s, err)
		}
		conn, err := p.Conn(ctx)
		if err != nil {
			return err
		}
		for key, want := range map[string]string{"pid": strconv.Itoa(p.ID().PID), "self": p.ID().String(), "upper": "HELLO"} {
			for _, c := range []grpc.ClientConnInterface{conn, p.Services()} {
				if got, err := get(ctx, c, key); got != want || err != nil {
					t.Errorf("%s = %q, %v; want %q", key, got, err, want)
				}
			}
		}
		if broker, err := p.Broker(ctx); broker == nil || err != nil {
			t.Errorf("Broker = %v, %v", broker, err)
		}
		return p.Cancel(ctx, "done")
	})
	if strings.Contains(log.String(), "teardown goes on") {
		t.Errorf("force was used:\n%s", log)
	}
}

func TestP10_PanicOfAService(t *testing.T) {
	log := served(t, host.Options{}, func(ctx context.Context, p *host.Portal) error {
		_, err := get(ctx, p.Services(), "panic")
		if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "panic: as asked") {
			t.Errorf("got %v", err)
		}
		if pid, err := get(ctx, p.Services(), "pid"); pid != strconv.Itoa(p.ID().PID) || err != nil {
			t.Errorf("after the panic: %q, %v", pid, err)
		}
		return p.Cancel(ctx, "done")
	})
	log.await(t, "a service has panicked", "kvServer.Get") // where it was
}

// P05: the calls of services are told who ends the actor, and end before the ack. Whoever has made them is told that in any case:
// the handler's own answer may be lost, as gRPC writes it while the process ends.
func TestP05_CancelEndsTheCallsOfServices(t *testing.T) {
	log := newNoticing()
	err := host.OpenNursery(t.Context(), host.Options{Log: log.logger()}, func(ctx context.Context, n *host.Nursery) error {
		p, err := n.Start(ctx, unforced(spec(t, "shop", "services")))
		if err != nil {
			return err
		}
		var called error
		waiting := task.Start(func() { _, called = get(ctx, p.Services(), "wait") })
		if err := log.await(ctx, "waiting"); err != nil {
			return err
		}
		if err := p.Cancel(ctx, "done"); err != nil {
			t.Errorf("Cancel: %v; the call was to end, and then the ack to come", err)
		}
		waiting.Wait()
		if status.Code(called) != codes.Unavailable || !errors.Is(called, fault.ErrActorClosing) {
			t.Errorf("the call in flight failed with %v", called)
		}
		if err := log.await(ctx, "told to end"); err != nil {
			return err
		}
		if want := "cancelled by " + n.Self().String() + ": done"; !strings.Contains(log.String(), want) {
			t.Errorf("the call was not told %q:\n%s", want, log)
		}
		if _, err := get(ctx, p.Services(), "pid"); !errors.Is(err, fault.ErrActorClosing) {
			t.Errorf("a later call failed with %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(log.String(), "teardown goes on") {
		t.Errorf("force was used:\n%s", log)
	}
}

func TestV06_ServicesSurviveARestart(t *testing.T) {
	parallel(t)
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s := spec(t, "shop", "services")
		s.Restart, s.Backoff.Initial = config.Permanent, config.Duration(time.Millisecond)
		p, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		old := p.ID()
		_, err = get(ctx, p.Services(), "exit")
		if died, ok := errors.AsType[*fault.ActorDied](err); !ok || died.ExitCode != 9 {
			t.Errorf("the call was cut off with %v", err)
		}
		if pid, err := get(ctx, p.Services(), "pid"); err != nil || pid == strconv.Itoa(old.PID) {
			t.Errorf("after the restart: %q, %v; it was %d", pid, err, old.PID)
		}
		return p.Cancel(ctx, "done")
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A stream is cut off with the reason as well.
func TestP07_StreamCutOffByTheDeathOfAProgram(t *testing.T) {
	parallel(t)
	_, err := open(t, host.Options{Supervision: config.Supervision{Strategy: config.OneForOne}}, func(ctx context.Context, n *host.Nursery) error {
		f, err := n.Start(ctx, foreign(t, "foreign"))
		if err != nil {
			return err
		}
		stream, err := f.Services().NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/proto.KV/Get")
		if err != nil {
			return err
		}
		if _, err := get(ctx, f.Services(), "exit"); err == nil {
			t.Error("it did not exit")
		}
		err = stream.RecvMsg(&healthpb.HealthCheckResponse{})
		if _, ok := errors.AsType[*fault.ActorDied](err); !ok || errors.Is(err, io.EOF) {
			t.Errorf("the stream ended with %v", err)
		}
		return nil
	})
	if _, ok := errors.AsType[*fault.ActorDied](err); !ok {
		t.Fatalf("the nursery ended with %v", err)
	}
}
