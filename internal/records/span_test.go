package records_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/internal/records"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// O03: what is kept of a span once for many is that of each, however many have come and gone: some have the same
// words, some words that nobody else has, some none at all, and some more than words.
func TestO03_ASpanKeepsItsWords(t *testing.T) {
	s := records.New("", 1, 1000, nil)
	span := func(n int) telemetry.Span {
		of := telemetry.Span{Time: time.Unix(int64(n), 0).UTC(), Kind: telemetry.Internal, Status: telemetry.OK}
		switch n % 5 {
		case 1, 2:
			of.Actor, of.Service, of.Method = "a", "b", fmt.Sprint(n%7)
			of.Name = "b/" + of.Method
		case 3:
			of.Actor, of.Service, of.Method = "c", "d", fmt.Sprint(n)
			of.Name = "d/" + of.Method
		case 4:
			of.Actor, of.Name, of.Error = "a/b", "restart", fmt.Sprint(n)
		}
		return of
	}
	const many = 20_000
	for n := range many {
		one := span(n)
		s.PutSpans(0, &one)
	}
	found, missed := 0, 0
	for got, err := range s.WatchSpans(t.Context(), telemetry.Filter{Level: -100}) {
		if lagged, behind := errors.AsType[*fault.Lagged](err); behind {
			missed += lagged.Missed
			continue
		}
		found++
		if want := span(int(got.Time.Unix())); err != nil || got.String() != want.String() || got.Method != want.Method || got.Error != want.Error || got.Actor != want.Actor {
			t.Fatalf("O03: %+v, %v; want %+v", got, err, want)
		}
	}
	if found < 900 || found > 1000 || found+missed != many {
		t.Errorf("O03: %d spans are kept, and %d missed", found, missed)
	}
}
