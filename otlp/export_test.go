package otlp_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	logs "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/otlp"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

func settings(c *collector) config.Telemetry {
	return config.Telemetry{OTLP: config.OTLP{Endpoint: c.endpoint(), Protocol: c.protocol, Flush: config.Duration(time.Minute)}}
}

func quiet() host.Options { return host.Options{Log: slog.New(slog.DiscardHandler)} }

func put(ctx context.Context, text string) {
	telemetry.From(ctx).Put(telemetry.Record{Time: time.Now(), Text: text})
}

func eachProtocol(t *testing.T, f func(t *testing.T, protocol config.Protocol)) {
	for _, protocol := range []config.Protocol{config.GRPC, config.HTTP} {
		t.Run(strings.ReplaceAll(string(protocol), "/", " "), func(t *testing.T) { f(t, protocol) })
	}
}

// What a tree of three processes says is with the collector when it has ended, each process as a resource of its own,
// with its level, its fields, and the place in the trace of its caller.
func TestO02_ATreeIsExported(t *testing.T) {
	eachProtocol(t, func(t *testing.T, protocol config.Protocol) {
		tempdir.Use(t)
		c := newCollector(t, protocol)
		o := settings(c)
		o.OTLP.Headers = map[string]string{"X-Token": "secret"}
		o.OTLP.Resource = map[string]string{"service.name": "shop", "deployment.environment.name": "test"}
		middle := program(t, "middle", "speaking")
		middle.Actors = []host.Spec{program(t, "leaf", "speaking")}
		span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
		place := " " + span.TraceID().String() + "/" + span.SpanID().String()
		want := map[string]directory.Entry{"<nil> INFO of the root map[]": {}}
		err := otlp.Run(t.Context(), o, func(ctx context.Context) error {
			return host.OpenTree(ctx, quiet(), []host.Spec{middle}, func(ctx context.Context, _ *host.Tree) error {
				put(ctx, "of the root")
				for _, name := range []string{"middle", "leaf"} {
					p, err := directory.WaitFor(ctx, name)
					if err != nil {
						return err
					}
					if _, err := speak.Call(trace.ContextWithSpanContext(ctx, span), p, "hello"); err != nil {
						return err
					}
					want[p.Entry.Path+" WARN hello map[n:7]"+place] = p.Entry
					want[p.Entry.Path+" DEBUG actor is gone map[state:gone]"] = p.Entry
				}
				return nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		late, cancel := context.WithCancel(t.Context())
		cancel()
		for line, e := range want {
			got, err := c.await(late, line)
			if err != nil {
				t.Errorf("%v; there is\n%s", err, strings.Join(c.all(), "\n"))
				continue
			}
			check := map[string]any{"service.name": e.Actor.Name, "service.instance.id": e.Actor.UUID, "process.pid": int64(e.Actor.PID), "deployment.environment.name": "test"}
			if e.Path == "" {
				check["service.name"], check["process.pid"], check["service.instance.id"] = "shop", int64(os.Getpid()), got["service.instance.id"]
			}
			for key, value := range check {
				if got[key] != value {
					t.Errorf("O02: %q is of a resource whose %s is %v, want %v", line, key, got[key], value)
				}
			}
		}
		if !c.headers["secret"] {
			t.Error("the header has not come")
		}
	})
}

// A collector that goes away and comes back has all that was said meanwhile.
func TestO02_ACollectorThatComesBack(t *testing.T) { //nolint:tparallel // eachProtocol's functions are parallel
	t.Parallel()
	eachProtocol(t, func(t *testing.T, protocol config.Protocol) {
		t.Parallel()
		c := newCollector(t, protocol)
		err := otlp.Run(t.Context(), settings(c), func(ctx context.Context) error {
			put(ctx, "before")
			if _, err := c.await(ctx, "<nil> INFO before map[]"); err != nil {
				return err
			}
			c.stop()
			put(ctx, "while it is away")
			for r, err := range telemetry.From(ctx).Watch(ctx, telemetry.Filter{Level: slog.LevelWarn, Follow: true}) {
				if err != nil || r.Text == "the collector does not take records, which wait for it" {
					break
				}
			}
			c.start()
			_, err := c.await(ctx, "<nil> INFO while it is away map[]")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// A collector that hangs holds nobody up. What it misses is counted, to the last record.
func TestO02_ACollectorThatHangs(t *testing.T) {
	eachProtocol(t, func(t *testing.T, protocol config.Protocol) {
		told := captureLog(t)
		c := newCollector(t, protocol)
		over, end := context.WithCancel(t.Context())
		defer end()
		c.answer = func(ctx context.Context, _ *logs.ExportLogsServiceRequest) (*logs.ExportLogsServiceResponse, error) {
			select {
			case <-ctx.Done():
			case <-over.Done():
			}
			return nil, status.Error(codes.Unavailable, "it hangs")
		}
		o := settings(c)
		o.Records, o.OTLP.Timeout, o.OTLP.Flush = 100, config.Duration(10*time.Millisecond), config.Duration(10*time.Millisecond)
		const said = 5000
		err := otlp.Run(t.Context(), o, func(ctx context.Context) error {
			put(ctx, "the first")
			for r, err := range telemetry.From(ctx).Watch(ctx, telemetry.Filter{Level: slog.LevelWarn, Follow: true}) {
				if err != nil || strings.Contains(r.Text, "wait for it") {
					break
				}
			}
			for i := range said {
				put(ctx, fmt.Sprint(i))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		// The first one, and what the tree was told itself.
		if last := told.last(); last["missed"] != int64(said+2) || last[slog.MessageKey] != "records have not reached the collector" {
			t.Errorf("O02: in the end it was told %v; want %d missed", last, said+2)
		}
	})
}

// What a collector refuses is lost, and told; it gets the next ones.
func TestO02_ACollectorThatRefuses(t *testing.T) {
	eachProtocol(t, func(t *testing.T, protocol config.Protocol) {
		told := captureLog(t)
		c := newCollector(t, protocol)
		o := settings(c)
		c.answer = func(context.Context, *logs.ExportLogsServiceRequest) (*logs.ExportLogsServiceResponse, error) {
			return &logs.ExportLogsServiceResponse{PartialSuccess: &logs.ExportLogsPartialSuccess{RejectedLogRecords: 1, ErrorMessage: "too old"}}, nil
		}
		err := otlp.Run(t.Context(), o, func(ctx context.Context) error {
			put(ctx, "something")
			return nil
		})
		last := told.last()
		if err != nil || last["missed"] != int64(1) || last["reason"] != "too old" {
			t.Errorf("O02: %v; in the end it was told %v", err, last)
		}
	})
}

// What is wrong with a setting is known before anything is started.
func TestO02_SettingsThatMakeNoSense(t *testing.T) {
	for _, c := range []struct {
		o    config.OTLP
		want string
	}{
		{config.OTLP{Endpoint: "localhost:4317"}, `telemetry.otlp.endpoint: expected a URL such as http://localhost:4317 or https://example.com, got "localhost:4317"`},
		{config.OTLP{Endpoint: "http://"}, `telemetry.otlp.endpoint: expected a URL such as`},
		{config.OTLP{Endpoint: "http://me:pw@there"}, `telemetry.otlp.endpoint: expected a URL without a user; what authenticates is a header (telemetry.otlp.headers)`},
		{config.OTLP{Protocol: "http/json"}, `telemetry.otlp.protocol: expected grpc or http/protobuf, got "http/json"`},
		{config.OTLP{Headers: map[string]string{"a b": "secret"}}, `telemetry.otlp.headers.a b: expected the name of a header`},
		{config.OTLP{Headers: map[string]string{"a": "secret\n"}}, `telemetry.otlp.headers.a: expected a value of printable ASCII characters`},
		{config.OTLP{Timeout: -1}, `telemetry.otlp.timeout: expected a duration above zero`},
	} {
		err := otlp.Run(t.Context(), config.Telemetry{OTLP: c.o}, func(context.Context) error {
			t.Error("it was run")
			return nil
		})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "pw") {
			t.Errorf("%+v: %v\nwant %s", c.o, err, c.want)
		}
	}
}

// Run ends what it has started whatever ends its body.
func TestO02_ExportEndsWithItsBody(t *testing.T) {
	c := newCollector(t, config.HTTP)
	failure := errors.New("the body has failed")
	if err := otlp.Run(t.Context(), settings(c), func(context.Context) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("O02: %v", err)
	}
	done := make(chan any)
	go func() {
		defer func() { done <- recover() }()
		_ = otlp.Run(t.Context(), settings(c), func(ctx context.Context) error {
			put(ctx, "last words")
			panic(failure)
		})
	}()
	if got, _ := (<-done).(error); !errors.Is(got, failure) {
		t.Errorf("O02: the panic has become %v", got)
	}
	if _, err := c.await(t.Context(), "<nil> INFO last words map[]"); err != nil {
		t.Error(err)
	}
}

// In the body of a nursery, what was said until then is sent as well, and the loops of others go on.
func TestO02_ExportWithinATree(t *testing.T) {
	tempdir.Use(t)
	c := newCollector(t, config.GRPC)
	err := host.OpenNursery(t.Context(), quiet(), func(ctx context.Context, _ *host.Nursery) error {
		put(ctx, "before")
		err := otlp.Run(ctx, settings(c), func(ctx context.Context) error {
			put(ctx, "within")
			_, err := c.await(ctx, "<nil> INFO within map[]")
			put(ctx, "at its end")
			return err
		})
		put(ctx, "after")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, said := range []string{"before", "at its end"} {
		if _, err := c.await(t.Context(), "<nil> INFO "+said+" map[]"); err != nil {
			t.Error(err)
		}
	}
}

// capture is a log of which the last record is read.
type capture struct {
	slog.Handler
	records chan slog.Record
}

func (c *capture) Enabled(context.Context, slog.Level) bool { return true }

func (c *capture) Handle(_ context.Context, r slog.Record) error {
	c.records <- r
	return nil
}

func captureLog(t *testing.T) *capture {
	t.Helper()
	c := &capture{slog.DiscardHandler, make(chan slog.Record, 100)}
	before := slog.Default()
	slog.SetDefault(slog.New(c))
	t.Cleanup(func() { slog.SetDefault(before) })
	return c
}

// last is the last record, with its text.
func (c *capture) last() map[string]any {
	fields := map[string]any{}
	for len(c.records) > 0 {
		r := <-c.records
		clear(fields)
		fields[slog.MessageKey] = r.Message
		r.Attrs(func(a slog.Attr) bool {
			fields[a.Key] = a.Value.Any()
			return true
		})
	}
	return fields
}
