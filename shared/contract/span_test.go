package contract_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/seed-2ba35074/trellis/internal/lab/pair"
	"github.com/seed-2ba35074/trellis/internal/lab/pipe"
	"github.com/seed-2ba35074/trellis/internal/records"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

var (
	tracedFunc    = contract.Func[string, string]("func")
	tracedSource  = contract.Source[int, int]("source")
	tracedContext = contract.Context[none, none, int, int, none]("context")
)

// tracedPair are two actors whose spans are kept.
func tracedPair(t *testing.T, s telemetry.Source, handlers ...contract.Handler) *pair.Portal {
	t.Helper()
	a, b := pipe.New()
	p, err := pair.Traced(s, a, b, handlers...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// spansOf waits for so many spans, and gives them by their kind and name.
func spansOf(t *testing.T, s telemetry.Source, n int) map[string]telemetry.Span {
	t.Helper()
	all := map[string]telemetry.Span{}
	for span, err := range s.WatchSpans(t.Context(), telemetry.Filter{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		all[string(span.Kind)+" "+span.Name] = span
		if n--; n == 0 {
			break
		}
	}
	return all
}

func handlesTraced(nested *contract.Portal) []contract.Handler {
	return []contract.Handler{
		tracedFunc.Handle(func(ctx context.Context, what string) (string, error) {
			switch what {
			case "fail":
				return "", fmt.Errorf("no: %w", io.ErrUnexpectedEOF)
			case "panic":
				panic("oh")
			case "wait":
				<-ctx.Done()
				return "", context.Cause(ctx)
			case "nested":
				return tracedFunc.Call(ctx, *nested, "")
			}
			return trace.SpanContextFromContext(ctx).SpanID().String(), nil
		}),
		tracedSource.Handle(func(_ context.Context, n int) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for i := range n {
					if !yield(i, nil) {
						return
					}
				}
			}
		}),
		tracedContext.Handle(func(ctx context.Context, _ none, c *contract.Callee[none, int, int]) (none, error) {
			if err := c.Started(none{}); err != nil {
				return none{}, err
			}
			stream, err := c.Stream(contract.StreamOptions{})
			if err != nil {
				return none{}, err
			}
			for m, err := range stream.All(ctx) {
				if err != nil {
					return none{}, err
				}
				if err := stream.Send(ctx, m); err != nil {
					return none{}, err
				}
			}
			return none{}, nil
		}),
	}
}

// O03: a call has one span on each side, the callee's below the caller's, and what the callee's code does is below its own.
func TestO03_ACallHasASpanOnEachSide(t *testing.T) {
	s := records.New("", 1, 100, nil)
	var nested contract.Portal
	p := tracedPair(t, s, handlesTraced(&nested)...)
	nested = p
	outer := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	id, err := tracedFunc.Call(trace.ContextWithSpanContext(t.Context(), outer), p, "")
	if err != nil {
		t.Fatal(err)
	}
	all := spansOf(t, s, 2)
	client, server := all["client call callee/func"], all["server serve callee/func"]
	if client.Trace != outer.TraceID().String() || client.Parent != outer.SpanID().String() || server.Trace != client.Trace || server.Parent != client.Span || server.Span != id {
		t.Errorf("O03: the caller has %+v, the callee, in %s, %+v", client, id, server)
	}
	if client.Actor != "" || server.Actor != "callee" || client.Service != "callee" || server.Method != "func" || client.Status != telemetry.OK || server.Status != telemetry.OK {
		t.Errorf("O03: the caller has %+v, the callee %+v", client, server)
	}
	if _, err := tracedFunc.Call(trace.ContextWithSpanContext(t.Context(), outer.WithTraceFlags(0)), p, ""); err != nil {
		t.Fatal(err)
	}
	if all := spansOf(t, s, 2); len(all) != 2 {
		t.Errorf("O03: a call that is not sampled has spans: %v", all)
	}
}

// O03: the callee's own calls, and those in the body of a context, belong to its span; over any number of actors it is one trace.
func TestO03_ATraceGoesThroughAllCalls(t *testing.T) {
	s := records.New("", 1, 100, nil)
	var last contract.Portal = tracedPair(t, s, handlesTraced(nil)...)
	p := tracedPair(t, s, handlesTraced(&last)...)
	_, err := tracedContext.Open(t.Context(), p, none{}, func(ctx context.Context, _ *contract.Opener[none, int, int, none]) error {
		_, err := tracedFunc.Call(ctx, p, "nested")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	parents, traces := map[string]string{}, map[string]bool{}
	for span, err := range s.WatchSpans(t.Context(), telemetry.Filter{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		parents[span.Span] = span.Parent
		traces[span.Trace] = true
		if len(parents) == 6 {
			break
		}
	}
	roots := 0
	for _, parent := range parents {
		if _, there := parents[parent]; !there {
			roots++
		}
	}
	if roots != 1 || len(traces) != 1 {
		t.Errorf("O03: three calls have %d first spans, in %d traces", roots, len(traces))
	}
}

// O03: what goes over a stream is counted on both sides, and there are no spans for messages.
func TestO03_StreamsAreCounted(t *testing.T) {
	s := records.New("", 1, 100, nil)
	p := tracedPair(t, s, handlesTraced(nil)...)
	for _, err := range tracedSource.Stream(t.Context(), p, 100) {
		if err != nil {
			t.Fatal(err)
		}
	}
	all := spansOf(t, s, 2)
	client, server := all["client stream callee/source"], all["server serve callee/source"]
	if client.Received != server.Sent || server.Sent.Messages != 100 || server.Sent.Bytes < 100 || client.Sent.Messages+server.Received.Messages != 0 {
		t.Errorf("O03: the caller has counted %+v, the callee %+v", client, server)
	}
	if n := len(client.Events); n != 3 || client.Events[2].Fields[0].Value != int64(100) {
		t.Errorf("O03: the caller has the events %v", client.Events)
	}
}

// O03: how a span ends follows from the error, which each side has as its own code has it.
func TestO03_SpansEndAsTheirCallsDo(t *testing.T) {
	for what, want := range map[string]struct {
		status telemetry.Status
		kind   string
	}{
		"fail":  {telemetry.Failed, "io.ErrUnexpectedEOF"},
		"panic": {telemetry.Failed, "trellis.Panic"},
		"wait":  {telemetry.Cancelled, "context.Canceled"},
	} {
		t.Run(what, func(t *testing.T) {
			s := records.New("", 1, 100, nil)
			p := tracedPair(t, s, handlesTraced(nil)...)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if what == "wait" {
				cancel()
			}
			if _, err := tracedFunc.Call(ctx, p, what); err == nil {
				t.Fatal("the call has not failed")
			}
			n := 2
			if what == "wait" {
				n = 1 // it did not go out
			}
			for name, span := range spansOf(t, s, n) {
				if span.Status != want.status || span.Type != want.kind || span.Error == "" {
					t.Errorf("O03: %s has ended with %q, %q of type %q; want %q, %q", name, span.Status, span.Error, span.Type, want.status, want.kind)
				}
			}
		})
	}
	t.Run("a refusal", func(t *testing.T) {
		s := records.New("", 1, 100, nil)
		p := tracedPair(t, s, handlesTraced(nil)...)
		_, err := contract.Func[none, none]("absent").Call(t.Context(), p, none{})
		if _, refused := errors.AsType[*fault.NotExposed](err); !refused {
			t.Fatal(err)
		}
		for name, span := range spansOf(t, s, 2) {
			if span.Status != telemetry.Failed || span.Type != "trellis.NotExposed" {
				t.Errorf("O03: %s has ended with %q of type %q", name, span.Status, span.Type)
			}
		}
	})
	t.Run("a cancel", func(t *testing.T) {
		s := records.New("", 1, 100, nil)
		p := tracedPair(t, s, handlesTraced(nil)...)
		if _, err := tracedContext.Open(t.Context(), p, none{}, func(ctx context.Context, c *contract.Opener[none, int, int, none]) error {
			return c.Cancel(ctx, "enough")
		}); err != nil {
			t.Fatal(err)
		}
		for name, span := range spansOf(t, s, 2) {
			if span.Status != telemetry.Cancelled || span.Events[0].Name != "started" {
				t.Errorf("O03: %s has ended with %q, and has %v", name, span.Status, span.Events)
			}
		}
	})
}
