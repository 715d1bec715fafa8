package otlp

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// A span that is kept goes to the collector; what comes in from there says the same, with its attributes as fields.
func TestO03_SpansGoOutAndIn(t *testing.T) {
	got := make(chan telemetry.Span, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		var request collector.ExportTraceServiceRequest
		body, err := io.ReadAll(req.Body)
		if err == nil && req.URL.Path == "/v1/traces" && proto.Unmarshal(body, &request) == nil {
			for _, r := range request.GetResourceSpans() {
				for _, s := range r.GetScopeSpans()[0].GetSpans() {
					got <- decodeSpan(s)
				}
			}
		}
	}))
	defer server.Close()
	begun := time.Now().Add(-time.Second).Round(0)
	s := telemetry.Span{
		Time: begun, Duration: time.Millisecond, Actor: "parser", Name: "call \xff", Kind: telemetry.Server, State: "a=b", Status: telemetry.Failed, Error: "no file",
		Trace: strings.Repeat("0a", 16), Span: strings.Repeat("0b", 8), Parent: strings.Repeat("0c", 8), Type: "io.EOF",
		Events: []telemetry.SpanEvent{{Time: begun, Name: "message", Fields: []telemetry.Field{{Key: "n", Value: int64(1)}}}},
	}
	want := s
	want.Actor, want.Type, want.Name = "", "", "call \uFFFD"
	want.Fields = []telemetry.Field{{Key: "trellis.actor", Value: "parser"}, {Key: "error.type", Value: "io.EOF"}}
	err := Run(t.Context(), config.Telemetry{Spans: 10, OTLP: config.OTLP{Endpoint: server.URL, Flush: config.Duration(time.Minute)}}, func(ctx context.Context) error {
		telemetry.From(ctx).PutSpans(0, &s)
		return nil
	})
	if err != nil || len(got) != 1 {
		t.Fatalf("O03: %d spans have come; %v", len(got), err)
	}
	sameTime := cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })
	if diff := cmp.Diff(want, <-got, sameTime); diff != "" {
		t.Errorf("O03: %s", diff)
	}
}
