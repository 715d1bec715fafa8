package host_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/records"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// ended waits for spans by their actors, kinds and names, in any order.
func ended(t *testing.T, ctx context.Context, f telemetry.Filter, want ...string) map[string]telemetry.Span { //nolint:revive // t goes first in tests
	t.Helper()
	f.Follow = true
	all := map[string]telemetry.Span{}
	missing := map[string]bool{}
	for _, name := range want {
		missing[name] = true
	}
	for s, err := range telemetry.From(ctx).WatchSpans(ctx, f) {
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(s.Actor+" "+string(s.Kind)+" "+s.Name, " ")
		all[name] = s
		if delete(missing, name); len(missing) == 0 {
			break
		}
	}
	return all
}

// O03: a call over two relays has a span of the caller and one of the callee, and those between add none; a program that has joined
// reads them there.
func TestO03_SpansOfACallOverRelaysReachTheRoot(t *testing.T) {
	store := records.New("", 1000, 1000, nil)
	joinableSpeakers(t, store, func(ctx context.Context) error {
		leaf, err := directory.WaitFor(ctx, "leaf")
		if err != nil {
			return err
		}
		outer := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{7}, SpanID: trace.SpanID{8}, TraceFlags: trace.FlagsSampled})
		if _, err := speak.Call(trace.ContextWithSpanContext(ctx, outer), leaf, "hello"); err != nil {
			return err
		}
		filter := telemetry.Filter{Trace: outer.TraceID().String()}
		check := func(who string, ctx context.Context) {
			const client, server = "client call leaf/speak", "middle/lower/leaf server serve leaf/speak"
			all := ended(t, ctx, filter, client, server)
			if c, s := all[client], all[server]; len(all) != 2 || c.Parent != outer.SpanID().String() || s.Parent != c.Span {
				t.Errorf("O03: %s has %+v", who, all)
			}
		}
		check("the root", ctx)
		return join(t.Context(), "guest", func(ctx context.Context) error {
			check("a program that has joined", ctx)
			return nil
		})
	})
}

// O03: a start, an end and a restart are spans with their steps, and a restart belongs to the end before it.
func TestO03_ARestartReadsAsATrace(t *testing.T) {
	parallel(t)
	options := host.Options{Telemetry: config.Telemetry{Spans: 1000}}
	err := host.OpenNursery(t.Context(), options, func(ctx context.Context, n *host.Nursery) error {
		s := spec(t, "speaker", "speaking")
		s.Restart = config.Permanent
		p, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		const start, end, restart = "speaker internal start speaker", "speaker internal teardown speaker", "speaker internal restart speaker"
		if err := syscall.Kill(p.ID().PID, syscall.SIGKILL); err != nil {
			return err
		}
		all := ended(t, ctx, telemetry.Filter{}, start, end, restart)
		if all[start].Trace == all[end].Trace || all[restart].Trace != all[end].Trace || all[restart].Parent != all[end].Span {
			t.Errorf("O03: the start has %+v, the end %+v, the restart %+v", all[start], all[end], all[restart])
		}
		if all[end].Status != telemetry.Failed || all[end].Type != "trellis.ActorDied" || all[restart].Status != telemetry.OK {
			t.Errorf("O03: the end is %q of type %q, the restart %q", all[end].Status, all[end].Type, all[restart].Status)
		}
		steps := ""
		for _, e := range all[restart].Events {
			steps += e.Name + " "
		}
		if steps != "handshake booted link " {
			t.Errorf("O03: the steps of a restart are %q", steps)
		}
		n.Cancel()
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// O03: where no spans are kept, there are none, and whoever asks is told how to have some.
func TestO03_NoSpansWithoutTheConfig(t *testing.T) {
	joinableSpeakers(t, records.New("", 1000, 0, nil), func(ctx context.Context) error {
		p, err := directory.WaitFor(ctx, "middle")
		if err != nil {
			return err
		}
		if _, err := speak.Call(ctx, p, "hello"); err != nil {
			return err
		}
		return join(t.Context(), "guest", func(ctx context.Context) error {
			told := "nothing"
			for _, err := range telemetry.From(ctx).WatchSpans(ctx, telemetry.Filter{}) {
				told = fmt.Sprint(err)
			}
			if !strings.Contains(told, "telemetry.spans") || telemetry.From(ctx).KeepsSpans() {
				t.Errorf("O03: a loop over spans that are not kept gets %v", told)
			}
			return nil
		})
	})
}
