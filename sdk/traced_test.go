package sdk

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"
)

// rendered counts how often it becomes text.
type rendered struct{ n *int }

func (r rendered) LogValue() slog.Value {
	*r.n++
	return slog.StringValue("x")
}

// O03: the ids of a trace are fields of the record itself, whatever groups its logger has; and what a logger has added is
// rendered once, and not again with each record.
func TestO03_ATraceCostsNoRendering(t *testing.T) {
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2}, SpanID: trace.SpanID{3}})
	ctx := trace.ContextWithSpanContext(t.Context(), span)
	var out bytes.Buffer
	n := 0
	log := slog.New(newTraced(slog.NewJSONHandler(&out, nil))).With("v", rendered{&n})
	once := n
	for range 3 {
		log.InfoContext(ctx, "in a trace", "k", 1)
	}
	grouped := log.WithGroup("g").With("a", 2).WithGroup("h")
	grouped.InfoContext(ctx, "in a trace", "k", 1)
	if n != once {
		t.Errorf("O03: it was rendered %d times more", n-once)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	ids := `"trace_id":"` + span.TraceID().String() + `","span_id":"` + span.SpanID().String() + `"`
	if want := `"v":"x","k":1,` + ids + `}`; !strings.HasSuffix(lines[0], want) {
		t.Errorf("O03: %s\nwant %s", lines[0], want)
	}
	if want := `"v":"x",` + ids + `,"g":{"a":2,"h":{"k":1}}}`; !strings.HasSuffix(lines[3], want) {
		t.Errorf("O03: %s\nwant %s", lines[3], want)
	}
	out.Reset()
	grouped.Info("in none")
	if strings.Contains(out.String(), "trace_id") {
		t.Errorf("O03: %s", out.String())
	}
}
