package histogram

import (
	"slices"
	"testing"
	"time"
)

// O02: durations are counted up to the bounds, those included, and quantiles
// are found between them.
func TestO02_DurationsAreCounted(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{-1, 0, 10 * µs, 11 * µs, time.Minute, time.Hour} {
		h.Add(d)
	}
	counts, sum := h.Read()
	want := make([]uint64, Buckets)
	want[0], want[1], want[Buckets-2], want[Buckets-1] = 3, 1, 1, 1
	if !slices.Equal(counts, want) || sum != time.Hour+time.Minute+21*µs-1 || Total(counts) != 6 {
		t.Errorf("%v, %v", counts, sum)
	}
	if short, _ := new(Histogram).Read(); len(short) != 0 {
		t.Errorf("nothing is %v", short)
	}
}

func TestO02_Quantiles(t *testing.T) {
	for name, c := range map[string]struct {
		counts []uint64
		q      float64
		want   time.Duration
	}{
		"nothing":                {nil, 0.99, 0},
		"all in one":             {[]uint64{100}, 0.5, 5 * µs},
		"at its end":             {[]uint64{100}, 1, 10 * µs},
		"behind empty ones":      {[]uint64{0, 0, 10}, 0.5, 37500 * time.Nanosecond},
		"in the second":          {[]uint64{50, 50}, 0.75, 17500 * time.Nanosecond},
		"beyond the last bound":  {append(make([]uint64, len(Bounds)), 7), 0.99, time.Minute},
		"of all, beyond it":      {append(make([]uint64, len(Bounds)), 7), 0, time.Minute},
		"more buckets than are":  {append(make([]uint64, len(Bounds)), 7, 9), 0.99, time.Minute},
		"zeros are like nothing": {make([]uint64, Buckets), 0.99, 0},
	} {
		if got := Quantile(c.counts, c.q); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	var h Histogram
	b.ReportAllocs()
	for b.Loop() {
		h.Add(20 * µs)
	}
}
