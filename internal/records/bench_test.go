package records_test

import (
	"log/slog"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/seed-2ba35074/trellis/internal/records"
	"github.com/seed-2ba35074/trellis/internal/tracing"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// What a line costs that is kept, when the store is full and many actors say as much.
func BenchmarkPut(b *testing.B) {
	s := records.New("", 50_000, 0, nil)
	paths := make([]string, 100)
	for i := range paths {
		paths[i] = "worker" + string(rune('a'+i%26)) + string(rune('a'+i/26))
	}
	attrs := []slog.Attr{slog.String("file", "a.go"), slog.Int("lines", 12)}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := records.Of(time.Now(), slog.LevelInfo, "parsed", attrs)
		r.Actor = paths[i%len(paths)]
		s.Put(r)
	}
}

// What the two spans of a call cost, when the store is full.
func BenchmarkSpansOfACall(b *testing.B) {
	s := records.New("", 1, 20_000, nil)
	sink := tracing.To(s, "")
	b.ReportAllocs()
	for b.Loop() {
		client := sink.Client(trace.SpanContext{})
		start := wire.Start{}
		client.Write(&start, trace.SpanContext{})
		server := sink.Server(&start)
		_ = server.In(b.Context())
		for _, span := range []*tracing.Span{server, client} {
			ended := span.End(nil)
			ended.Verb, ended.Service, ended.Method = "call ", "parser", "parse"
			sink(ended)
		}
	}
}
