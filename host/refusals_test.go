package host

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/internal/control"
	"github.com/seed-2ba35074/trellis/internal/fabric"
)

// D20: a host that is refused again and again is told once for each reason, and how often it was when there is another one.
func TestD20_ARefusalIsToldOnce(t *testing.T) {
	var log strings.Builder
	d := &door{n: &Nursery{env: &environment{log: slog.New(slog.NewTextHandler(&log, nil))}}}
	come := func(from, why string) string {
		log.Reset()
		d.refused.limit.last = time.Time{} // the second is over
		d.warn(&entrance{at: "here"}, &control.Caller{}, &fabric.Stranger{From: from, Err: fmt.Errorf("%s", why)})
		return log.String()
	}
	for i, c := range []struct{ from, why, want string }{
		{"10.0.0.2:1", "expired at 10:00", "expired at 10:00\" more_not_logged=0"},
		{"10.0.0.2:2", "expired at 10:01", ""},
		{"10.0.0.2:3", "expired at 10:02", ""},
		{"10.0.0.3:4", "expired at 10:03", "more_not_logged=0"},
		{"10.0.0.2:5", "of another fleet", "of another fleet\" more_not_logged=2"},
		{"10.0.0.2:6", "expired at 10:04", ""},
		{"10.0.0.2:7", "of another fleet", ""},
	} {
		if got := come(c.from, c.why); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("D20: %d: it is told %q, want %q", i, got, c.want)
		}
	}
	if more := d.refused.forget("10.0.0.2"); more != 2 {
		t.Errorf("D20: %d were not told, want 2", more)
	}
	if got := come("10.0.0.2:8", "of another fleet"); got == "" {
		t.Error("D20: it was let in, and is refused again, which is not told")
	}
}

// F06: what is kept of those that are refused is bounded, and one that was not told, as others were in that second, is told later.
func TestF06_RefusalsAreBounded(t *testing.T) {
	var r refusals
	now := time.Now()
	for i := range 2 * mostRefused {
		now = now.Add(time.Second)
		if _, tell := r.next(now, fmt.Sprint(i), strings.Repeat("x", 2*mostWhy)); !tell {
			t.Fatalf("F06: %d is not told", i)
		}
	}
	if len(r.last) != mostRefused || len(r.last[0].why) > mostWhy {
		t.Errorf("F06: %d are kept, of %d bytes", len(r.last), len(r.last[0].why))
	}
	if _, tell := r.next(now, "a", "b"); tell {
		t.Error("F06: two are told in a second")
	}
	if more, tell := r.next(now.Add(time.Second), "a", "b"); !tell || more != 1 {
		t.Errorf("F06: it is told %v with %d", tell, more)
	}
}
