package bench

import (
	"math"
	"strings"
	"testing"
	"time"
)

// The ratio is taken round by round: a disturbance of one round that meets both
// changes nothing.
func TestRatioIsOfTheSameRound(t *testing.T) {
	got := ratioOf([]float64{1, 100, 3}, []float64{2, 200, 6})
	if want := (Ratio{0.5, 0.5, 0.5}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := ratioOf([]float64{1}, []float64{0}); got != (Ratio{}) {
		t.Errorf("against nothing: %v", got)
	}
}

func TestUnits(t *testing.T) {
	for _, test := range []struct {
		unit  Unit
		value float64
		want  string
	}{
		{Nanoseconds, 181_234, "181 µs"},
		{Nanoseconds, 10e6, "10 ms"},
		{Nanoseconds, 0, "0 ns"},
		{PerSecond, 1_234_567, "1.23 M/s"},
		{BytesPerSecond, 999, "999 B/s"},
		{Bytes, 8 << 10, "8 KiB"},
		{Bytes, -1536, "-1.50 KiB"},
		{Pieces, 13.66, "13.7"},
	} {
		if got := test.unit.Text(test.value); got != test.want {
			t.Errorf("%v %s: got %q, want %q", test.value, test.unit, got, test.want)
		}
	}
}

func TestGoals(t *testing.T) {
	row := Row{Unit: Bytes, Results: []Result{{Subject: Trellis, Median: 4096, Rounds: []float64{4096}}}, Ratio: Ratio{Median: 0.5}}
	for _, test := range []struct {
		goal Goal
		met  bool
		text string
	}{
		{atMost(0.5, 0), true, "≤ 0.5×"},
		{atMost(0.4, 0), false, "≤ 0.4×"},
		{atLeast(0.5, 0), true, "≥ 0.5×"},
		{atLeast(4, 0), false, "≥ 4×"},
		{within(4096, 0), true, "≤ 4 KiB"},
		{within(1024, 0), false, "≤ 1 KiB"},
	} {
		if got := test.goal.met(row, test.goal.Reach); got != test.met {
			t.Errorf("%s: met %v, want %v", test.text, got, test.met)
		}
		if got := test.goal.text(row, test.goal.Reach); got != test.text {
			t.Errorf("got %q, want %q", got, test.text)
		}
	}
}

func TestForeignJSON(t *testing.T) {
	for text, want := range map[string]string{"[": "not the JSON of a benchmark", `{"schema": 99}`: "schema 99, expected 1"} {
		if _, err := ParseReport([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

// A stream's first tenth is not counted, and its rate is of what comes after.
func TestMeterCountsAfterTheWarmUp(t *testing.T) {
	m := newMeter(5*time.Millisecond, 1<<20)
	for m.more() {
	}
	if m.first == 0 || m.first >= m.seen {
		t.Errorf("of %d messages %d were before the count", m.seen, m.first)
	}
	if took := m.ended.Sub(m.begun); took < m.length {
		t.Errorf("it counted for %v, want at least %v", took, m.length)
	}
	if rate := m.rate(); rate <= 0 || math.IsInf(rate, 0) || math.IsNaN(rate) {
		t.Errorf("rate %v", rate)
	}
}
