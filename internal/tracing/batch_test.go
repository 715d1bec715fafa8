package tracing_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-2ba35074/trellis/internal/tracing"
)

// O03: spans come out of a batch as they went in. One that has come is looked at before: a part of a span, or one
// whose words are not there, is not a batch. What words have beside their texts is of one span only.
func TestO03_ABatchOfSpans(t *testing.T) {
	words := []tracing.Words{{Actor: "a", Verb: "call ", Service: "b", Method: "c"}, {Actor: "d", Rest: &tracing.Rest{Name: "e"}}}
	all := []tracing.Ended{
		{Numbers: &tracing.Numbers{Time: 1 << 62, Duration: -1, Trace: [16]byte{1, 15: 2}, ID: [8]byte{3, 7: 4}, Parent: [8]byte{5, 7: 6}, Kind: 7, Status: 8}, Words: words[0]},
		{Numbers: &tracing.Numbers{Time: -1}, Words: words[1]},
		{Numbers: &tracing.Numbers{ID: [8]byte{9}}, Words: words[0]},
	}
	var b tracing.Batch
	for i, s := range all {
		if first := b.Add(s); first != (i < len(words)) {
			t.Errorf("O03: that span %d is the first with its words: %v", i, first)
		}
	}
	if err := b.Check(); err != nil || b.Len() != len(all) {
		t.Fatalf("O03: %d spans, %v", b.Len(), err)
	}
	for i, want := range all {
		got, place := b.Take(i)
		if diff := cmp.Diff(want, got); diff != "" || place != i%2 {
			t.Errorf("O03: span %d has the words %d: %s", i, place, diff)
		}
	}
	if again, _ := b.Take(1); again.Rest != nil {
		t.Errorf("O03: %v is the rest of two spans", again.Rest)
	}
	for _, odd := range []tracing.Batch{{Words: b.Words, Spans: b.Spans[1:]}, {Words: words[:1], Spans: b.Spans}} {
		if odd.Check() == nil {
			t.Errorf("O03: %d words and %d bytes are a batch", len(odd.Words), len(odd.Spans))
		}
	}
}
